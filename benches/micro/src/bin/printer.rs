//! What runs in the containers of a benchmark: prints real lines flat out, or its own time stamps at a given rate.
//!
//! It uses nothing but the standard library, so that one call of rustc makes it, static, without the core.
//!
//! ```text
//! printer text FILE LINES [wait]    the lines of FILE over and over, 64 KiB a write; then waits if asked to
//! printer paced FILE RATE LINES     RATE of them a second, a write each
//! printer stamps RATE LINES         RATE lines a second, each with the time in nanoseconds at which it is printed
//! ```
#![allow(
    clippy::print_stderr,
    reason = "a program for people: its output is its purpose"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "it has nothing to do with the store"
)]

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What is written at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Short texts are repeated up to this, so that nearly all writes are whole.
const TEXT_BYTES: usize = 4 << 20;

/// The last line where it waits, by which it is known that all has been printed.
const LAST_LINE: &[u8] = b"all printed\n";

/// Fills a line of stamps to about the length of real ones.
const FILLING: &str =
    "a line of about a hundred bytes, as programs print them, with its own time before it";

/// Standard output without the buffer of lines that Rust puts before it.
fn output() -> Result<File> {
    Ok(File::from(std::io::stdout().as_fd().try_clone_to_owned()?))
}

fn read_text(file: &str) -> Result<Vec<u8>> {
    let mut text = std::fs::read(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    Ok(text)
}

fn print_text(file: &str, lines: u64) -> Result<()> {
    let mut text = read_text(file)?;
    let once = text.clone();
    while text.len() < TEXT_BYTES {
        text.extend_from_slice(&once);
    }
    // Where each line ends, so that the last write can end with a line.
    let ends: Vec<usize> = text
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(index, _)| index + 1)
        .collect();
    let mut output = output()?;
    let mut left = lines;
    while left > 0 {
        let count = left.min(ends.len() as u64);
        let end = usize::try_from(count)?
            .checked_sub(1)
            .and_then(|last| ends.get(last))
            .copied()
            .unwrap_or_default();
        for chunk in text.get(..end).unwrap_or_default().chunks(CHUNK_BYTES) {
            output.write_all(chunk)?;
        }
        left -= count;
    }
    Ok(())
}

/// Writes what `next` gives, so often a second.
fn print_paced(rate: f64, lines: u64, mut next: impl FnMut() -> Result<Vec<u8>>) -> Result<()> {
    let gap = Duration::from_secs_f64(1.0 / rate);
    let mut due = Instant::now();
    let mut output = output()?;
    for _ in 0..lines {
        due += gap;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        output.write_all(&next()?)?;
    }
    Ok(())
}

fn print_text_paced(file: &str, rate: f64, lines: u64) -> Result<()> {
    let text = read_text(file)?;
    let mut cycle = text.split_inclusive(|&byte| byte == b'\n').cycle();
    print_paced(rate, lines, || {
        Ok(cycle.next().unwrap_or_default().to_vec())
    })
}

fn print_stamps(rate: f64, lines: u64) -> Result<()> {
    print_paced(rate, lines, || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        Ok(format!("{now} {FILLING}\n").into_bytes())
    })
}

fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["text", file, lines] => print_text(file, lines.parse()?),
        ["text", file, lines, "wait"] => {
            print_text(file, lines.parse()?)?;
            output()?.write_all(LAST_LINE)?;
            loop {
                std::thread::park();
            }
        }
        ["paced", file, rate, lines] => print_text_paced(file, rate.parse()?, lines.parse()?),
        ["stamps", rate, lines] => print_stamps(rate.parse()?, lines.parse()?),
        _ => Err(
            "usage: printer text FILE LINES [wait] | paced FILE RATE LINES | stamps RATE LINES"
                .into(),
        ),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("printer: {error}");
            ExitCode::FAILURE
        }
    }
}

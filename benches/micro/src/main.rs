//! Measures the core of Logboom alone, and holds the programs that the measurements on whole engines need.
//!
//! ```text
//! logboom-bench micro     the core: decode, split, pack, rebuild, append, read back, ratios
//! logboom-bench generate  writes lines of its own into a folder, where there are no real logs
//! logboom-bench write     writes frames into FIFOs as dockerd does
//! logboom-bench null      a logging plugin that reads and drops
//! ```
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people: its output is its purpose"
)]
#![allow(clippy::disallowed_methods, reason = "these are not the store's files")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "counts and times become numbers for people, far below any limit"
)]

mod arguments;
mod corpus;
mod frames;
mod micro;
mod null;
mod random;
mod spread;
mod write;

use std::process::ExitCode;

/// A measurement that cannot be made ends the program with a sentence.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "\
usage: logboom-bench micro [FOLDER] [--runs N] [--bytes N] [--read-bytes N] [--json FILE]
           measures the core alone; FOLDER holds logs as text or .zst, one line an entry
       logboom-bench generate FOLDER [--bytes N]
           writes lines of its own there, the same each time
       logboom-bench write --lines FILE (--bytes N | --seconds N) [--rate N] [--chunk N]
                     [--start-ns N] [--gap-ns N] FIFO...
           writes frames with these lines into FIFOs and says what a write cost, as JSON
           --rate      frames a second over all FIFOs, one write each; without it: as fast as they are taken
           --chunk     bytes a write instead of one frame a write
           --start-ns  the time of the first entry, the others at random gaps of --gap-ns on average (1000000);
                       without it: the time of the write
       logboom-bench null --root PREFIX
           a logging plugin `null` for the engine whose root folder is PREFIX, that reads and drops";

fn run() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let words: Vec<String> = words.collect();
    match command.as_str() {
        "micro" => micro::run(&words),
        "generate" => corpus::run_generate(&words),
        "write" => write::run(&words),
        "null" => null::run(&words),
        "help" | "-h" | "--help" => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("there is no command {command:?}\n{USAGE}").into()),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("logboom-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

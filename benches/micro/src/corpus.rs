//! Logs to measure with: real ones from a folder, or lines made here where there are none.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::arguments::Arguments;
use crate::random::Random;
use crate::{Result, USAGE};

/// How much of each kind `generate` makes: enough for a few blocks.
const GENERATED_BYTES: usize = 4 << 20;

/// One log.
#[derive(Clone, Debug)]
pub(crate) struct Corpus {
    pub(crate) name: String,
    /// Its lines, each with its newline.
    pub(crate) text: Vec<u8>,
}

impl Corpus {
    /// The lines without their newlines.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.text
            .strip_suffix(b"\n")
            .unwrap_or(&self.text)
            .split(|&byte| byte == b'\n')
    }
}

/// A file's text; zstd's own program reads what is compressed.
fn read_text(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_some_and(|extension| extension == "zst") {
        let output = Command::new("zstd")
            .args(["--decompress", "--stdout", "--quiet"])
            .arg(path)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cannot run zstd to read {}: {error}", path.display()))?;
        if !output.status.success() {
            return Err(format!("zstd cannot read {}", path.display()).into());
        }
        return Ok(output.stdout);
    }
    fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()).into())
}

/// The logs of a folder, in the order of their names.
pub(crate) fn load(folder: &Path) -> Result<Vec<Corpus>> {
    let listed = fs::read_dir(folder)
        .map_err(|error| format!("cannot list {}: {error}", folder.display()))?;
    let mut corpora = Vec::new();
    for entry in listed {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let plain = name.strip_suffix(".zst").unwrap_or(&name);
        // A README beside the logs is none.
        let is_log = [".txt", ".log"]
            .iter()
            .any(|suffix| plain.ends_with(suffix));
        if !is_log || !path.is_file() {
            continue;
        }
        let mut text = read_text(&path)?;
        if !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        let name = plain.rsplit_once('.').map_or(plain, |(stem, _)| stem);
        corpora.push(Corpus {
            name: name.to_owned(),
            text,
        });
    }
    corpora.sort_by(|left, right| left.name.cmp(&right.name));
    if corpora.is_empty() {
        return Err(format!(
            "{} has no log: a file .txt or .log, or one of these with .zst behind it",
            folder.display()
        )
        .into());
    }
    Ok(corpora)
}

/// Lines made here: of a web server, of an application that logs JSON, and of one that logs Java's way.
pub(crate) fn generate(bytes: usize) -> Vec<Corpus> {
    type Line = fn(&mut Random, u64) -> String;
    let kinds: [(&str, Line); 3] = [
        ("made-access", access_line),
        ("made-json", json_line),
        ("made-java", java_line),
    ];
    kinds
        .into_iter()
        .map(|(name, line)| {
            let mut random = Random::new(1);
            let mut moment_ms = 0.0;
            let mut text = String::new();
            while text.len() < bytes {
                moment_ms += random.gap(5.0);
                text.push_str(&line(&mut random, moment_ms as u64));
                text.push('\n');
            }
            Corpus {
                name: name.to_owned(),
                text: text.into_bytes(),
            }
        })
        .collect()
}

fn time_of_day(moment_ms: u64) -> String {
    let seconds = moment_ms / 1000;
    format!(
        "{:02}:{:02}:{:02}.{:03}",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        moment_ms % 1000
    )
}

fn path(random: &mut Random) -> String {
    const WORDS: [&str; 8] = [
        "api", "v1", "users", "orders", "static", "search", "items", "cart",
    ];
    // Few paths are asked for often.
    let depth = 1 + random.below(3);
    let mut path = String::new();
    for _ in 0..depth {
        path.push('/');
        path.push_str(random.one_of(&WORDS));
    }
    path
}

fn access_line(random: &mut Random, moment_ms: u64) -> String {
    format!(
        "10.{}.{}.{} - - [{}] \"GET {}?id={} HTTP/1.1\" {} {}",
        random.below(4),
        random.below(256),
        random.below(256),
        time_of_day(moment_ms),
        path(random),
        random.below(1_000_000),
        random.one_of(&["200", "200", "200", "200", "200", "304", "404", "500"]),
        random.gap(9000.0) as u64,
    )
}

fn json_line(random: &mut Random, moment_ms: u64) -> String {
    format!(
        "{{\"time\":\"2024-03-01T{}Z\",\"level\":\"{}\",\"service\":\"{}\",\"trace\":\"{:016x}\",\"msg\":\"{}\",\"ms\":{}}}",
        time_of_day(moment_ms),
        random.one_of(&["info", "info", "info", "info", "warn", "error"]),
        random.one_of(&["cart", "orders", "search"]),
        random.next(),
        random.one_of(&[
            "request handled",
            "cache miss",
            "connection opened",
            "retrying after a timeout"
        ]),
        random.gap(40.0) as u64,
    )
}

fn java_line(random: &mut Random, moment_ms: u64) -> String {
    // One in twenty is a line of a stack trace.
    if random.below(20) == 0 {
        return format!(
            "\tat org.example.{}.{}(Handler.java:{})",
            random.one_of(&["cart", "orders", "search"]),
            random.one_of(&["handle", "invoke", "doFilter", "run"]),
            random.below(900),
        );
    }
    format!(
        "2024-03-01 {} {} [worker-{}] org.example.{}.Handler - {} {} in {} ms",
        time_of_day(moment_ms),
        random.one_of(&["INFO ", "INFO ", "INFO ", "WARN ", "DEBUG"]),
        random.below(16),
        random.one_of(&["cart", "orders", "search"]),
        random.one_of(&["finished request", "loaded segment", "sent answer to"]),
        random.below(10_000_000),
        random.gap(30.0) as u64,
    )
}

/// `generate`: writes the made lines as files.
pub(crate) fn run_generate(words: &[String]) -> Result<()> {
    let arguments = Arguments::parse(words, &["bytes"])?;
    let [folder] = arguments.others.as_slice() else {
        return Err(format!("generate needs a folder\n{USAGE}").into());
    };
    fs::create_dir_all(folder)?;
    for corpus in generate(arguments.number("bytes")?.unwrap_or(GENERATED_BYTES)) {
        fs::write(
            Path::new(folder).join(format!("{}.txt", corpus.name)),
            &corpus.text,
        )?;
    }
    Ok(())
}

/// The logs of the folder that was given; without one, lines made here, and that is said.
pub(crate) fn given_or_generated(folder: Option<&str>) -> Result<Vec<Corpus>> {
    if let Some(folder) = folder {
        return load(Path::new(folder));
    }
    eprintln!("no folder with real logs was given: measuring with lines made here");
    Ok(generate(GENERATED_BYTES))
}

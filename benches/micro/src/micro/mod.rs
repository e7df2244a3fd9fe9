//! The core alone, step by step, so that a slow step is found.

mod block;
mod ratio;
mod store;

use std::fs;

use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::corpus::{Corpus, given_or_generated};
use crate::spread::{Spread, rounded};
use crate::{Result, USAGE};

/// The fewest runs whose median says something.
const RUNS: usize = 5;

/// What each run of a step works through at least.
const RUN_BYTES: usize = 64 << 20;

/// The size of the stream that is read back.
const READ_BYTES: usize = 1 << 30;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Effort {
    runs: usize,
    run_bytes: usize,
    read_bytes: usize,
}

/// `micro`: measures, prints a table, and writes JSON where it was asked for.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let arguments = Arguments::parse(words, &["runs", "bytes", "read-bytes", "json"])?;
    let folder = match arguments.others.as_slice() {
        [] => None,
        [folder] => Some(folder.as_str()),
        _ => return Err(format!("micro takes one folder\n{USAGE}").into()),
    };
    let effort = Effort {
        runs: arguments.number("runs")?.unwrap_or(RUNS),
        run_bytes: arguments.number("bytes")?.unwrap_or(RUN_BYTES),
        read_bytes: arguments.number("read-bytes")?.unwrap_or(READ_BYTES),
    };
    if effort.runs == 0 {
        return Err("--runs must be at least 1".into());
    }
    let corpora = given_or_generated(folder)?;
    let document = measure(&corpora, folder.is_none(), effort)?;
    print_tables(&document);
    if let Some(file) = arguments.text("json") {
        fs::write(file, serde_json::to_vec_pretty(&document)?)
            .map_err(|error| format!("cannot write {file}: {error}"))?;
    }
    Ok(())
}

fn measure(corpora: &[Corpus], is_generated: bool, effort: Effort) -> Result<Value> {
    let mut rows = Vec::new();
    for corpus in corpora {
        eprintln!("{}: decode, split, pack, rebuild", corpus.name);
        let mut row = block::measure(corpus, effort)?;
        eprintln!("{}: ratios", corpus.name);
        merge(&mut row, ratio::measure(corpus)?);
        eprintln!("{}: append", corpus.name);
        merge(&mut row, store::measure_append(corpus, effort)?);
        rows.push(row);
    }
    eprintln!("reading back");
    let read = store::measure_read(corpora, effort)?;
    Ok(json!({
        "lines_are_made_here": is_generated,
        "runs": effort.runs,
        "run_bytes": effort.run_bytes,
        "geometric_means": geometric_means(&rows),
        "corpora": rows,
        "read": read,
    }))
}

fn merge(row: &mut Value, other: Value) {
    if let (Value::Object(row), Value::Object(other)) = (row, other) {
        row.extend(other);
    }
}

/// What several runs over some bytes and entries came to: GB/s, and ns an entry.
fn speed(seconds: &[f64], bytes: usize, entries: usize) -> Value {
    let per = |number: f64| Spread::of(seconds.iter().map(|s| number / s).collect()).as_json();
    let each = seconds.iter().map(|s| s * 1e9 / entries as f64).collect();
    json!({
        "gb_per_core_s": per(bytes as f64 / 1e9),
        "ns_per_entry": Spread::of(each).as_json(),
    })
}

/// The numbers of each corpus that have a mean over all.
const MEANS: [&str; 8] = [
    "/decode/gb_per_core_s/median",
    "/split/gb_per_core_s/median",
    "/pack/gb_per_core_s/median",
    "/rebuild/gb_per_core_s/median",
    "/append/gb_per_core_s/median",
    "/append_in_chunks/gb_per_core_s/median",
    "/ratios/local_gzip",
    "/ratios/text_gzip",
];

fn geometric_means(rows: &[Value]) -> Value {
    let mut means = serde_json::Map::new();
    for pointer in MEANS {
        let logarithms: Vec<f64> = rows
            .iter()
            .filter_map(|row| row.pointer(pointer)?.as_f64())
            .map(f64::ln)
            .collect();
        let mean = (logarithms.iter().sum::<f64>() / logarithms.len().max(1) as f64).exp();
        let name = pointer.trim_start_matches('/').replace('/', ".");
        means.insert(name, json!(rounded(mean)));
    }
    Value::Object(means)
}

fn number(row: &Value, pointer: &str) -> f64 {
    row.pointer(pointer)
        .and_then(Value::as_f64)
        .unwrap_or_default()
}

fn spread(row: &Value, pointer: &str) -> String {
    let part = |name: &str| number(row, &format!("{pointer}/{name}"));
    format!("{}/{}/{}", part("min"), part("median"), part("max"))
}

fn print_tables(document: &Value) {
    println!("\nGB of frames per second of one core (ns per entry); min/median/max of runs");
    for (step, meaning) in [
        ("decode", "frames to entries"),
        ("split", "decode, and put into columns"),
        ("pack", "split, compress, checksum"),
        ("rebuild", "blocks to the frames of ReadLogs"),
        (
            "append",
            "FIFO to blocks on disk, a write an entry; without the writer",
        ),
        ("append_in_chunks", "the same, 64 KiB a write"),
    ] {
        println!("\n{step}: {meaning}");
        for row in corpora(document) {
            println!(
                "  {:26} {:>22}  ({} ns)",
                name(row),
                spread(row, &format!("/{step}/gb_per_core_s")),
                spread(row, &format!("/{step}/ns_per_entry")),
            );
        }
        let mean = format!("/geometric_means/{step}.gb_per_core_s.median");
        println!("  {:26} {:>22}", "geometric mean", number(document, &mean));
    }
    println!(
        "\nsize: times smaller than the frames; and than gzip -6 of moby's local format, of the text"
    );
    for row in corpora(document) {
        println!(
            "  {:26} {:>8} {:>8} {:>8}",
            name(row),
            number(row, "/ratios/frames"),
            number(row, "/ratios/local_gzip"),
            number(row, "/ratios/text_gzip"),
        );
    }
    println!(
        "  {:26} {:>8} {:>8} {:>8}",
        "geometric mean",
        "",
        number(document, "/geometric_means/ratios.local_gzip"),
        number(document, "/geometric_means/ratios.text_gzip"),
    );
    let read = document.pointer("/read").unwrap_or(&Value::Null);
    println!(
        "\nreading a stream of {} MB of frames back: {} GB per second of a core",
        number(read, "/frame_bytes") / 1e6,
        spread(read, "/all/gb_per_core_s"),
    );
    for (query, meaning) in [
        ("tail_ended", "last ten of an ended stream"),
        ("tail_active", "last ten of an active stream"),
        ("since_ended", "from the tenth last on, by its time"),
    ] {
        println!(
            "  {meaning:38} p50 {} us, p99 {} us",
            number(read, &format!("/{query}/p50_us")),
            number(read, &format!("/{query}/p99_us")),
        );
    }
}

fn corpora(document: &Value) -> &[Value] {
    document
        .pointer("/corpora")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn name(row: &Value) -> &str {
    row.pointer("/name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

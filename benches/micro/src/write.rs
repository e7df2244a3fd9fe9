//! Writes frames into FIFOs as dockerd does, and says what a write cost.

use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::arguments::Arguments;
use crate::corpus::Corpus;
use crate::frames::{MEAN_GAP_NS, Times, put_frame};
use crate::spread::{quantile, rounded, thread_cpu_s};
use crate::{Result, USAGE};

/// LIMIT: times of single writes that are kept.
const KEPT_WRITES: usize = 10_000_000;

/// When to stop.
#[derive(Clone, Copy, Debug)]
enum Until {
    Bytes(u64),
    Elapsed(Duration),
}

/// The time of the next entry.
enum Stamps {
    Made(Times),
    Now,
}

impl Stamps {
    fn next_ns(&mut self) -> i64 {
        match self {
            Self::Made(times) => times.next_ns(),
            Self::Now => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_nanos() as i64),
        }
    }
}

#[derive(Default)]
struct Done {
    lines: u64,
    bytes: u64,
    first_ns: Option<i64>,
    last_ns: i64,
    write_ns: Vec<f64>,
}

/// `write`.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let known = [
        "lines", "bytes", "seconds", "rate", "chunk", "start-ns", "gap-ns",
    ];
    let arguments = Arguments::parse(words, &known)?;
    if arguments.others.is_empty() {
        return Err(format!("write needs a FIFO\n{USAGE}").into());
    }
    // As dockerd opens them, so that there is always a reader.
    let mut fifos = Vec::new();
    for path in &arguments.others {
        let fifo = File::options().read(true).write(true).open(path);
        fifos.push(fifo.map_err(|error| format!("cannot open {path}: {error}"))?);
    }
    let lines = arguments.text("lines").ok_or("write needs --lines")?;
    let corpus = Corpus {
        name: lines.to_owned(),
        text: fs::read(lines).map_err(|error| format!("cannot read {lines}: {error}"))?,
    };
    let until = match (arguments.number("bytes")?, arguments.number("seconds")?) {
        (Some(bytes), None) => Until::Bytes(bytes),
        (None, Some(seconds)) => Until::Elapsed(Duration::from_secs_f64(seconds)),
        _ => return Err(format!("write needs either --bytes or --seconds\n{USAGE}").into()),
    };
    let gap_ns = arguments.number("gap-ns")?.unwrap_or(MEAN_GAP_NS);
    let stamps = match arguments.number("start-ns")? {
        Some(start_ns) => Stamps::Made(Times::new(start_ns, gap_ns)),
        None => Stamps::Now,
    };
    let gap = arguments
        .number::<f64>("rate")?
        .map(|rate| Duration::from_secs_f64(1.0 / rate));
    let chunk_bytes = arguments.number("chunk")?.unwrap_or(0);

    let (started, cpu) = (Instant::now(), thread_cpu_s());
    let mut done = write(&fifos, &corpus, until, stamps, gap, chunk_bytes)?;
    let seconds = started.elapsed().as_secs_f64();
    done.write_ns.sort_by(f64::total_cmp);
    let writes = done.write_ns.len().max(1) as f64;
    println!(
        "{}",
        json!({
            "lines": done.lines,
            "bytes": done.bytes,
            "first_ns": done.first_ns,
            "last_ns": done.last_ns,
            "seconds": rounded(seconds),
            "cpu_s": rounded(thread_cpu_s() - cpu),
            "write_ns": {
                "p50": rounded(quantile(&done.write_ns, 0.5)),
                "p99": rounded(quantile(&done.write_ns, 0.99)),
                "max": rounded(quantile(&done.write_ns, 1.0)),
                "mean": rounded(done.write_ns.iter().sum::<f64>() / writes),
            },
        })
    );
    Ok(())
}

fn write(
    fifos: &[File],
    corpus: &Corpus,
    until: Until,
    mut stamps: Stamps,
    gap: Option<Duration>,
    chunk_bytes: usize,
) -> Result<Done> {
    let mut done = Done::default();
    let mut pending = Vec::new();
    let started = Instant::now();
    let mut due = started;
    let mut targets = fifos.iter().cycle();
    let lines: Vec<&[u8]> = corpus.lines().collect();
    let mut cycle = lines.iter().cycle();
    loop {
        let is_over = match until {
            Until::Bytes(bytes) => done.bytes >= bytes,
            Until::Elapsed(limit) => started.elapsed() >= limit,
        };
        if !is_over {
            let line = cycle.next().ok_or("there are no lines")?;
            if let Some(gap) = gap {
                // The kernel's timers are too coarse to sleep for so short a time.
                while Instant::now() < due {
                    std::hint::spin_loop();
                }
                due += gap;
            }
            let before = pending.len();
            let time_ns = stamps.next_ns();
            put_frame(line, time_ns, &mut pending);
            done.lines += 1;
            done.bytes += (pending.len() - before) as u64;
            done.first_ns.get_or_insert(time_ns);
            done.last_ns = time_ns;
        }
        if pending.len() > chunk_bytes || (is_over && !pending.is_empty()) {
            let mut fifo = targets.next().ok_or("there are no FIFOs")?;
            let before = Instant::now();
            fifo.write_all(&pending)?;
            if done.write_ns.len() < KEPT_WRITES {
                done.write_ns.push(before.elapsed().as_nanos() as f64);
            }
            pending.clear();
        }
        if is_over {
            return Ok(done);
        }
    }
}

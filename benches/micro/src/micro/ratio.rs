//! Sizes beside those of gzip.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use logboom_core::block::{BlockBuilder, Encoder};
use serde_json::{Value, json};

use super::block::{frames_of, pack};
use crate::Result;
use crate::corpus::Corpus;
use crate::frames::{Times, put_local_record};
use crate::spread::rounded;

/// The length of what `gzip -6` makes of some bytes.
fn gzip_bytes(bytes: &[u8]) -> Result<usize> {
    let mut gzip = Command::new("gzip")
        .args(["-6", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run gzip: {error}"))?;
    let (Some(mut input), Some(mut output)) = (gzip.stdin.take(), gzip.stdout.take()) else {
        return Err("gzip has no pipes".into());
    };
    let mut packed = Vec::new();
    // It takes no more while nobody reads what it gives.
    thread::scope(|scope| {
        let writer = scope.spawn(move || input.write_all(bytes));
        output.read_to_end(&mut packed)?;
        writer.join().map_err(|_| "a thread panicked")??;
        Ok::<(), Box<dyn std::error::Error>>(())
    })?;
    gzip.wait()?;
    Ok(packed.len())
}

/// What a corpus, once, takes as blocks, and how many times smaller that is.
pub(super) fn measure(corpus: &Corpus) -> Result<Value> {
    let frames = frames_of(corpus, &mut Times::default());
    let mut blocks = Vec::new();
    pack(
        &frames,
        &mut BlockBuilder::default(),
        &mut Encoder::new(true),
        &mut blocks,
    )?;

    let mut local = Vec::new();
    let mut times = Times::default();
    for line in corpus.lines() {
        put_local_record(line, times.next_ns(), &mut local);
    }
    let stored = blocks.len() as f64;
    let (local_gzip, text_gzip) = (gzip_bytes(&local)?, gzip_bytes(&corpus.text)?);
    Ok(json!({
        "stored_bytes": blocks.len(),
        "local_gzip_bytes": local_gzip,
        "text_gzip_bytes": text_gzip,
        "ratios": {
            "frames": rounded(frames.len() as f64 / stored),
            "local_gzip": rounded(local_gzip as f64 / stored),
            "text_gzip": rounded(text_gzip as f64 / stored),
        },
    }))
}

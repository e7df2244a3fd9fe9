//! From frames to a block and back, in memory.

use std::hint::black_box;

use logboom_core::block::{
    BLOCK_PREFIX_BYTES, BLOCK_TARGET_BYTES, Block, BlockBuilder, BlockHeader, Encoder, Origin,
};
use logboom_core::wire::{Entry, Item, Step, Walk, encode_readlogs_frame};
use serde_json::{Value, json};

use super::{Effort, speed};
use crate::Result;
use crate::corpus::Corpus;
use crate::frames::{Times, put_frame};
use crate::spread::seconds_per_pass;

/// A corpus as the frames that dockerd would have written.
pub(super) fn frames_of(corpus: &Corpus, times: &mut Times) -> Vec<u8> {
    let mut frames = Vec::new();
    for line in corpus.lines() {
        put_frame(line, times.next_ns(), &mut frames);
    }
    frames
}

/// Gives each entry, with the position behind it.
fn walk(frames: &[u8], mut visit: impl FnMut(&Entry<'_>, u64)) -> Result<()> {
    let mut walk = Walk::new(frames, true);
    loop {
        match walk.step() {
            Step::Item(Item::Entry(entry)) => visit(&entry, walk.position() as u64),
            Step::End => return Ok(()),
            other => return Err(format!("the frames of a corpus do not decode: {other:?}").into()),
        }
    }
}

/// The blocks that the cutter would make.
pub(super) fn pack(
    frames: &[u8],
    builder: &mut BlockBuilder,
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
) -> Result<Vec<(BlockHeader, usize)>> {
    let mut headers = Vec::new();
    let mut from = 0;
    let mut finish = |builder: &mut BlockBuilder, to: u64, out: &mut Vec<u8>| {
        let origin = Origin {
            position_from: from,
            position_to: to,
            ..Origin::default()
        };
        let start = out.len();
        if let Some(header) = builder.finish(origin, encoder, out) {
            headers.push((header, start));
        }
        from = to;
    };
    let mut block_start = 0;
    walk(frames, |entry, end| {
        builder.push(entry, false);
        if end - block_start >= BLOCK_TARGET_BYTES {
            finish(builder, end, out);
            block_start = end;
        }
    })?;
    finish(builder, frames.len() as u64, out);
    Ok(headers)
}

/// The frames of `ReadLogs` that blocks hold.
fn rebuild(
    blocks: &[u8],
    headers: &[(BlockHeader, usize)],
    block: &mut Block,
    out: &mut Vec<u8>,
) -> Result<()> {
    for (header, start) in headers {
        let body_start = start + BLOCK_PREFIX_BYTES;
        let body_bytes = (header.sections_bytes + header.text_stored_bytes) as usize;
        let body = blocks
            .get(body_start..body_start + body_bytes)
            .ok_or("a block is shorter than its header says")?;
        block.decode(header, body)?;
        for row in block.rows() {
            encode_readlogs_frame(&row?.entry, out);
        }
    }
    Ok(())
}

/// Measures each step on one core.
pub(super) fn measure(corpus: &Corpus, effort: Effort) -> Result<Value> {
    let frames = frames_of(corpus, &mut Times::default());
    let entries = corpus.lines().count();
    let time = |work: &mut dyn FnMut() -> Result<()>| -> Result<Value> {
        let seconds = seconds_per_pass(effort.runs, frames.len(), effort.run_bytes, work)?;
        Ok(speed(&seconds, frames.len(), entries))
    };

    let decode = time(&mut || {
        let mut sum = 0;
        walk(&frames, |entry, _| {
            sum += entry.line.len() as i64 ^ entry.time_ns;
        })?;
        black_box(sum);
        Ok(())
    })?;

    let mut builder = BlockBuilder::default();
    let split = time(&mut || {
        let mut block_start = 0;
        walk(&frames, |entry, end| {
            builder.push(entry, false);
            if end - block_start >= BLOCK_TARGET_BYTES {
                builder.clear();
                block_start = end;
            }
        })?;
        black_box(builder.entry_count());
        builder.clear();
        Ok(())
    })?;

    let mut encoder = Encoder::new(true);
    let mut blocks = Vec::new();
    let mut headers = Vec::new();
    let packing = time(&mut || {
        blocks.clear();
        headers = pack(&frames, &mut builder, &mut encoder, &mut blocks)?;
        Ok(())
    })?;

    let mut block = Block::default();
    let mut rebuilt = Vec::new();
    let rebuilding = time(&mut || {
        rebuilt.clear();
        rebuild(&blocks, &headers, &mut block, &mut rebuilt)
    })?;
    check(corpus, &rebuilt)?;

    Ok(json!({
        "name": corpus.name,
        "lines": entries,
        "text_bytes": corpus.text.len(),
        "frame_bytes": frames.len(),
        "decode": decode,
        "split": split,
        "pack": packing,
        "rebuild": rebuilding,
    }))
}

/// A fast wrong answer is none.
fn check(corpus: &Corpus, rebuilt: &[u8]) -> Result<()> {
    let mut text = Vec::with_capacity(corpus.text.len());
    walk(rebuilt, |entry, _| text.extend_from_slice(entry.line))?;
    if text == corpus.text {
        Ok(())
    } else {
        Err(format!("{} did not come back as it was", corpus.name).into())
    }
}

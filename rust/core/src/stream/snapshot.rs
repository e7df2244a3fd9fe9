//! A stream as its files are at one moment, for whoever may not change them: another process, or one that only looks.
//!
//! A worker may cut, seal and remove meanwhile. The order of the look makes that harmless:
//!
//! 1. The generations are opened and stay open. Whatever the cutter does to them from now on, nothing of them is missed.
//! 2. Then the segments are listed. The newest block tells how far the generations lie in blocks.
//! 3. Then `container.json` is read, which tells the same where retention has taken the last segment.
//!
//! A file that is gone when it is opened is passed over: a generation lies in blocks by then, a segment was removed by
//! retention.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container::ContainerFile;
use super::found::FoundSegment;
use super::reader::{Query, Reader};
use super::recover::publish_recovered;
use super::retention::holds_entries;
use super::{Boot, SegmentFacts, SessionFacts, State, Stream};
use crate::disk::{Disk, Listed, is_missing, list_folder};
use crate::error::{Error, Result};
use crate::journal::{self, Generation, Left, with_entry};
use crate::segment::{self, BlockPlace};
use crate::sync_log::SyncWhen;

/// What a stream holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// How many entries.
    pub entry_count: u64,
    /// The oldest time among them.
    pub first_ns: Option<i64>,
    /// The newest.
    pub last_ns: Option<i64>,
    /// The sequence number of the oldest entry, or of the next one where there is none.
    pub first_sequence: u64,
    /// The sequence number behind the newest entry.
    pub end_sequence: u64,
    /// Their lines with newlines: what `zstdcat` would print.
    pub text_bytes: u64,
    /// The files that hold them.
    pub stored_bytes: u64,
    /// How many of these files are segments.
    pub segment_count: u64,
}

impl Description {
    fn add(&mut self, entry_count: u64, text_bytes: u64, min_time_ns: i64, max_time_ns: i64) {
        self.entry_count += entry_count;
        self.text_bytes += text_bytes;
        self.first_ns = Some(
            self.first_ns
                .map_or(min_time_ns, |first| first.min(min_time_ns)),
        );
        self.last_ns = Some(
            self.last_ns
                .map_or(max_time_ns, |last| last.max(max_time_ns)),
        );
    }
}

/// A stream whose entries are fixed.
#[derive(Debug)]
pub struct Snapshot {
    /// It is never opened as a worker opens it, nor does a session begin in it.
    stream: Arc<Stream>,
    /// Its blocks, oldest first.
    blocks: Vec<BlockPlace>,
    stored_bytes: u64,
    has_journal: bool,
}

impl Snapshot {
    /// Looks at a stream's folder; `None`: there is none.
    ///
    /// # Errors
    /// The disk refused.
    pub fn take(disk: &Arc<dyn Disk>, folder: PathBuf, container_id: &str) -> Result<Option<Self>> {
        let Some(listed) = list(&**disk, &folder)? else {
            return Ok(None);
        };
        let mut generations = open_generations(&**disk, &folder, &listed)?;
        // ORDER: the generations are open before the segments are listed.
        let Some(listed) = list(&**disk, &folder)? else {
            return Ok(None);
        };
        let mut state = State {
            is_open: true,
            ..State::default()
        };
        let mut blocks = Vec::new();
        let found = find_segments(&**disk, &folder, &listed)?;
        let last_block = found.iter().rev().find_map(|segment| segment.last_block);
        let file = ContainerFile::read(&**disk, &folder, container_id)?;
        if let Some(last_block) = last_block.or(file.last_block) {
            state.pass_over(last_block);
        }
        publish_recovered(&mut generations)?;
        for generation in generations {
            state.place(generation);
        }
        take_segments(found, &mut state, &mut blocks);
        let stored_bytes = listed
            .iter()
            .filter(|file| holds_entries(&file.name))
            .map(|file| file.bytes)
            .sum();
        let stream = Stream::new(
            container_id,
            folder,
            Arc::clone(disk),
            Boot::default(),
            Arc::default(),
            0,
            SyncWhen::default(),
        );
        *stream.state() = state;
        Ok(Some(Self {
            stream: Arc::new(stream),
            blocks,
            stored_bytes,
            has_journal: !numbers(&listed, journal::parse_file_name).is_empty(),
        }))
    }

    /// A reader of it. A follower ends where the snapshot does.
    ///
    /// # Errors
    /// No file descriptor is left, or the disk refused.
    pub fn read(&self, query: &Query) -> Result<Reader> {
        Reader::open(&self.stream, query)
    }

    /// One of its files is a generation, whole or not.
    pub fn has_journal(&self) -> bool {
        self.has_journal
    }

    /// The sequence number behind its newest entry.
    pub fn end_sequence(&self) -> u64 {
        self.stream.state().next_sequence()
    }

    /// Its blocks, oldest first.
    pub fn blocks(&self) -> &[BlockPlace] {
        &self.blocks
    }

    /// What it holds. Of blocks the headers are looked at, of the journal each entry.
    ///
    /// # Errors
    /// The disk refused.
    pub fn describe(&self) -> Result<Description> {
        let mut description = {
            let state = self.stream.state();
            Description {
                first_sequence: state.oldest_sequence(),
                end_sequence: state.next_sequence(),
                stored_bytes: self.stored_bytes,
                segment_count: state.segments.len() as u64,
                ..Description::default()
            }
        };
        for block in &self.blocks {
            description.add(
                block.counted_entries(),
                block.text_bytes.into(),
                block.min_time_ns,
                block.max_time_ns,
            );
        }
        self.visit_journal(|time_ns, text_bytes| {
            description.add(1, text_bytes, time_ns, time_ns);
        })?;
        Ok(description)
    }

    /// Adds how much text came in each of equally long spans of time from `from_ns` on. Of a block only its oldest and newest
    /// time are known, so its text is spread evenly between them.
    ///
    /// # Errors
    /// The disk refused.
    pub fn add_activity(&self, from_ns: i64, span_ns: i64, spans: &mut [u64]) -> Result<()> {
        for block in &self.blocks {
            let (min, max) = (block.min_time_ns, block.max_time_ns);
            spread(block.text_bytes.into(), min, max, from_ns, span_ns, spans);
        }
        self.visit_journal(|time_ns, text_bytes| {
            spread(text_bytes, time_ns, time_ns, from_ns, span_ns, spans);
        })
    }

    /// Gives the time and the size of the text of each entry that lies in no block.
    fn visit_journal(&self, mut visit: impl FnMut(i64, u64)) -> Result<()> {
        let chain: Vec<(u64, Arc<Generation>)> = {
            let state = self.stream.state();
            let uncut = state.chain.iter().enumerate().map(|(index, generation)| {
                let offset = state.uncut_point(index, generation).offset;
                (offset, Arc::clone(generation))
            });
            uncut.collect()
        };
        let mut chunk = Vec::new();
        for (offset, generation) in chain {
            generation.walk(offset, &mut chunk, |item, end| {
                with_entry(&generation, &item, end, |entry, _| {
                    let text_bytes = entry.line.len() + usize::from(!entry.is_continued());
                    visit(entry.time_ns, text_bytes as u64);
                });
                ControlFlow::Continue(())
            })?;
        }
        Ok(())
    }
}

/// Spreads bytes that came between two times over the spans that they touch; what lies outside of all is left out.
fn spread(bytes: u64, min: i64, max: i64, from_ns: i64, span_ns: i64, spans: &mut [u64]) {
    let span_ns = i128::from(span_ns.max(1));
    let (first, last) = (
        i128::from(min) - i128::from(from_ns),
        i128::from(max.max(min)) - i128::from(from_ns) + 1,
    );
    let whole = last - first;
    for (index, span) in spans.iter_mut().enumerate() {
        let begin = index as i128 * span_ns;
        let shared = last.min(begin + span_ns) - first.max(begin);
        if shared > 0 {
            // Less than the block has, which fits.
            *span += u64::try_from(i128::from(bytes) * shared / whole).unwrap_or(0);
        }
    }
}

/// The facts of a stream's sessions, oldest first; none where they were not written down yet, or cannot be read.
pub(crate) fn read_facts(disk: &dyn Disk, folder: &Path, container_id: &str) -> Vec<SessionFacts> {
    ContainerFile::read(disk, folder, container_id)
        .map_or_else(|_| Vec::new(), |file| file.sessions)
}

fn list(disk: &dyn Disk, folder: &Path) -> Result<Option<Vec<Listed>>> {
    let listed = list_folder(disk, folder);
    if is_missing(&listed) {
        return Ok(None);
    }
    listed.map(Some).map_err(Error::io("list", folder))
}

/// The numbers in the names of some files, in ascending order.
fn numbers(listed: &[Listed], parse: impl Fn(&str) -> Option<u64>) -> Vec<u64> {
    let mut numbers: Vec<u64> = listed.iter().filter_map(|file| parse(&file.name)).collect();
    numbers.sort_unstable();
    numbers
}

fn open_generations(disk: &dyn Disk, folder: &Path, listed: &[Listed]) -> Result<Vec<Generation>> {
    let mut generations = Vec::new();
    for number in numbers(listed, journal::parse_file_name) {
        let path = folder.join(journal::file_name(number));
        match Generation::open(disk, &path) {
            Ok(Left::Whole(generation)) => generations.push(generation),
            // Its start is not whole yet, or damaged: it holds nothing.
            Ok(Left::Nothing | Left::Damaged) => {}
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(generations)
}

/// Looks at all segments, oldest first.
fn find_segments(disk: &dyn Disk, folder: &Path, listed: &[Listed]) -> Result<Vec<FoundSegment>> {
    let mut names: Vec<(u64, i64)> = listed
        .iter()
        .filter_map(|file| Some((segment::parse_file_name(&file.name)?, file.modified_ns)))
        .collect();
    names.sort_unstable();
    let mut found = Vec::new();
    for (index, &this) in names.iter().enumerate() {
        let next = names.get(index + 1).map(|(number, _)| *number);
        match FoundSegment::open(disk, folder, this, next, false) {
            Ok(segment) => found.push(segment),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Puts segments and their blocks in place, as an opening does.
fn take_segments(found: Vec<FoundSegment>, state: &mut State, blocks: &mut Vec<BlockPlace>) {
    for mut segment in found {
        if !state.chain.is_empty() {
            segment.end_before(state.cut.sequence);
        }
        let Some(end_sequence) = segment.end_sequence() else {
            continue;
        };
        if state.chain.is_empty() {
            state.cut.sequence = state.cut.sequence.max(end_sequence);
        }
        let is_known = !segment.is_indexed;
        let facts = SegmentFacts::new(&segment.path, segment.bytes, &segment.blocks, is_known);
        state.segments.push_back(facts);
        blocks.extend(segment.blocks);
    }
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn bytes_are_spread_over_the_spans_between_two_times() {
        let mut spans = [0; 4];
        spread(100, 105, 105, 100, 10, &mut spans);
        assert_eq!(spans, [100, 0, 0, 0]);
        // From the middle of the first span to the middle of the third.
        spread(200, 105, 124, 100, 10, &mut spans);
        assert_eq!(spans, [150, 100, 50, 0]);
        // Half of it lies before the first.
        spread(20, 90, 109, 100, 10, &mut spans);
        assert_eq!(spans, [160, 100, 50, 0]);
        spread(1000, 200, 300, 100, 10, &mut spans);
        spread(1000, i64::MIN, 0, 100, 10, &mut spans);
        assert_eq!(spans, [160, 100, 50, 0]);
    }
}

//! Turning journal bytes into blocks, blocks into segments, and dropping what the limits do not allow.
//!
//! The cutter goes through the chain from left to right. Its steps, each of which may be the last one of this worker:
//!
//! 1. a block behind the newest segment; readers take entries from it from then on;
//! 2. the facts of new sessions into `container.json`;
//! 3. generations that lie wholly in blocks are removed, after the segment was synced without an error.
//!
//! Where nothing is to be removed the segment is synced later, with those of other streams: syncs that follow upon each other are
//! cheaper than as many alone, if the disk has begun to write before the first of them.
//!
//! A kill between 1 and 3 leaves entries in both; the newest block says so to the next opening.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

use super::quarantine::Damage;
use super::{CutPoint, Cutting, LastBlock, Logged, SegmentFacts, Session, Stream};
use crate::block::{BLOCK_TARGET_BYTES, BlockBuilder, BlockHeader, Encoder, Origin};
use crate::disk::is_missing;
use crate::error::{Error, Result};
use crate::journal::{Generation, GenerationHeader, with_entry};
use crate::segment::SegmentWriter;
use crate::sync_log::{Mark, Place, SyncLog, SyncWhen};
use crate::wire::Item;

/// Which entries are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutWhen {
    /// Whole blocks, and the rest of closed generations.
    Full,
    /// All that there is.
    All,
}

/// The cutter's memory, used again for each block.
#[derive(Debug)]
pub struct Tools {
    encoder: Encoder,
    builder: BlockBuilder,
    chunk: Vec<u8>,
    block: Vec<u8>,
    counted: Counted,
    closing: Option<SyncSender<Arc<Generation>>>,
}

/// What has been cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// Blocks.
    pub blocks: u64,
    /// Frame bytes that went into them.
    pub frame_bytes: u64,
    /// Their size as stored.
    pub stored_bytes: u64,
    /// Runs of bytes that were no entry.
    pub damaged_runs: u64,
    /// Their lengths.
    pub damaged_bytes: u64,
    /// Segments that the stream's limits have taken.
    pub deleted_segments: u64,
    /// Their size.
    pub deleted_bytes: u64,
}

impl Tools {
    /// Tools that give removed generations to another thread, as far as it takes them. The last one who closes a file waits until
    /// the disk has taken its space back, which on a busy one takes as long as all else that a cut does.
    pub fn closing_elsewhere(closing: SyncSender<Arc<Generation>>) -> Self {
        Self {
            closing: Some(closing),
            ..Self::default()
        }
    }

    fn close(&self, generation: Option<Arc<Generation>>) {
        if let (Some(closing), Some(generation)) = (&self.closing, generation) {
            // One that is not taken is closed here.
            let _ = closing.try_send(generation);
        }
    }

    /// What has been cut since the last call.
    pub fn take_counted(&mut self) -> Counted {
        std::mem::take(&mut self.counted)
    }
}

impl Default for Tools {
    fn default() -> Self {
        Self {
            encoder: Encoder::new(true),
            builder: BlockBuilder::default(),
            chunk: Vec::new(),
            block: Vec::new(),
            counted: Counted::default(),
            closing: None,
        }
    }
}

/// A run of one generation that becomes a block.
struct Job {
    generation: Arc<Generation>,
    offset: u64,
    sequence: u64,
}

impl Stream {
    /// Cuts blocks until nothing is due, then removes what has become superfluous.
    ///
    /// # Errors
    /// The disk refused. Nothing is lost: what could not be cut stays in the journal, and a later call goes on.
    pub fn cut(&self, when: CutWhen, now_ns: i64, tools: &mut Tools) -> Result<()> {
        let result = self.try_cut(when, now_ns, tools);
        self.has_failed.store(result.is_err(), Ordering::Relaxed);
        result
    }

    fn try_cut(&self, when: CutWhen, now_ns: i64, tools: &mut Tools) -> Result<()> {
        self.open()?;
        let mut cutting = self.cutting();
        if self.state().is_removed {
            return Ok(());
        }
        // Entries are worth more than facts, and a full disk gets free only when the limits are heeded: each step is tried
        // whatever came of those before.
        let blocks_before = tools.counted.blocks;
        let blocks = self.cut_blocks(when, &mut cutting, tools);
        if tools.counted.blocks > blocks_before {
            self.state().written_ns = now_ns;
        }
        // ORDER: a session's facts before its journal goes, which tells a later worker that they are due.
        let facts = self.write_facts();
        let removed = self.remove_cut_generations(&mut cutting, tools);
        let damage = self.count_damage(tools);
        let limits = self.remove_old_segments(now_ns, &mut cutting, tools);
        blocks.and(removed).and(damage).and(limits).and(facts)
    }

    fn count_damage(&self, tools: &mut Tools) -> Result<()> {
        let (runs, bytes) = self.state().take_new_damage();
        tools.counted.damaged_runs += runs;
        tools.counted.damaged_bytes += bytes;
        if runs > 0 { self.trim_damage() } else { Ok(()) }
    }

    fn cut_blocks(&self, when: CutWhen, cutting: &mut Cutting, tools: &mut Tools) -> Result<()> {
        while let Some(job) = self.next_job(when, cutting) {
            self.cut_block(&job, cutting, tools)?;
        }
        Ok(())
    }

    /// Makes all blocks survive a power cut, unless nothing is to be synced. Until that has succeeded no block is added, and what
    /// these were made from stays on disk.
    fn sync_segment(&self, cutting: &mut Cutting) -> Result<()> {
        if self.sync == SyncWhen::Off {
            return Ok(());
        }
        let synced = self.try_sync_segment(cutting);
        self.has_unsynced_blocks
            .store(synced.is_err(), Ordering::Relaxed);
        synced
    }

    fn try_sync_segment(&self, cutting: &mut Cutting) -> Result<()> {
        self.take_up(cutting)?;
        drop_removed(cutting);
        let Some(writer) = &mut cutting.segment else {
            return Ok(());
        };
        self.sync_name(&mut cutting.is_named)?;
        writer.sync(&*self.disk)
    }

    /// Takes up what an earlier worker has left, which may not be synced.
    pub(super) fn take_up(&self, cutting: &mut Cutting) -> Result<()> {
        if let Some(left) = &cutting.left {
            cutting.segment = match left.resume(&*self.disk) {
                // Somebody has removed it since it was found.
                Err(error) if error.is_missing() => None,
                resumed => Some(resumed?),
            };
            cutting.left = None;
        }
        Ok(())
    }

    /// Makes the folder's own name survive a power cut, once: an earlier worker may have been killed before it did.
    fn sync_name(&self, is_named: &mut bool) -> Result<()> {
        if let (false, Some(containers)) = (*is_named, self.folder.parent()) {
            self.disk
                .sync_folder(containers)
                .map_err(Error::io("sync", containers))?;
            *is_named = true;
        }
        Ok(())
    }

    /// Lets the disk begin to write blocks that are not synced, and does not wait for it.
    pub fn begin_writing(&self) {
        if let Some(writer) = &self.cutting().segment {
            writer.begin_writing();
        }
    }

    /// Makes all blocks survive a power cut, unless nothing is to be synced.
    ///
    /// # Errors
    /// The disk refused.
    pub fn sync_blocks(&self) -> Result<()> {
        let mut cutting = self.cutting();
        if self.has_unsynced_blocks() {
            self.sync_segment(&mut cutting)?;
        }
        Ok(())
    }

    /// Copies what is in no block into the log, from which it survives a power cut once that is synced. `sync_blocks` comes before:
    /// what a record skips must lie in synced blocks.
    ///
    /// # Errors
    /// The disk refused.
    pub fn log_unsynced(&self, log: &mut SyncLog, bytes: &mut Vec<u8>) -> Result<()> {
        let mut cutting = self.cutting();
        let state = self.state();
        let chain: Vec<(Arc<Generation>, CutPoint)> = state
            .chain
            .iter()
            .enumerate()
            // Of an open one the reactor logs each entry before it is shown.
            .filter(|(_, generation)| self.sync != SyncWhen::Always || generation.is_closed())
            .map(|(index, generation)| {
                (Arc::clone(generation), state.uncut_point(index, generation))
            })
            .collect();
        drop(state);
        let mut logged = cutting.logged.filter(|logged| logged.epoch == log.epoch());
        for (generation, mut point) in chain {
            let header = generation.header();
            match logged {
                Some(logged) if header.number < logged.generation => continue,
                Some(logged)
                    if header.number == logged.generation && point.offset < logged.offset =>
                {
                    point = CutPoint {
                        offset: logged.offset,
                        sequence: logged.sequence,
                    };
                }
                _ => {}
            }
            let entry_count = generation.read_entries(point.offset, bytes)?;
            if entry_count == 0 {
                continue;
            }
            let place = Place {
                container_id: self.container_id.clone(),
                header: GenerationHeader {
                    start: header.start + point.offset,
                    first_sequence: point.sequence,
                    ..header.clone()
                },
            };
            log.append(&*self.disk, &place, bytes)?;
            logged = Some(Logged {
                epoch: log.epoch(),
                generation: header.number,
                offset: point.offset + bytes.len() as u64,
                sequence: point.sequence + entry_count,
            });
            cutting.logged = logged;
        }
        Ok(())
    }

    /// Whether all before a mark of the sync log lies in synced blocks.
    pub fn is_in_blocks(&self, mark: Mark) -> bool {
        let state = self.state();
        state.is_open
            && !self.has_unsynced_blocks()
            && state.chain.front().is_none_or(|first| {
                let header = first.header();
                mark.generation < header.number
                    || (mark.generation == header.number
                        && mark.position <= header.start + state.cut.offset)
            })
    }

    /// Writes down the sessions that have had their first byte, as far as they are known yet.
    fn write_facts(&self) -> Result<()> {
        let state = self.state();
        let sessions: Vec<Arc<Session>> = state
            .ended_sessions
            .iter()
            .chain(&state.sessions)
            .filter(|session| state.unwritten_sessions.contains(&session.id))
            .cloned()
            .collect();
        drop(state);
        if sessions.is_empty() {
            return Ok(());
        }
        let mut file = self.read_facts()?;
        let mut is_changed = false;
        for session in &sessions {
            is_changed |= file.add(&session.facts);
        }
        if is_changed {
            file.write(&*self.disk, &self.folder)?;
        }
        self.state()
            .unwritten_sessions
            .retain(|id| !sessions.iter().any(|session| session.id == *id));
        Ok(())
    }

    fn next_job(&self, when: CutWhen, cutting: &mut Cutting) -> Option<Job> {
        let mut state = self.state();
        loop {
            let first = state.chain.front()?;
            // ORDER: closed first; a generation that is closed has its last boundary.
            let is_closed = first.is_closed();
            let point = state.uncut_point(0, first);
            let available = first.boundary() - point.offset;
            if available == 0 && is_closed {
                let generation = state.chain.pop_front()?;
                state.cut.offset = 0;
                if generation.has_torn_rest() {
                    state.torn.push(generation);
                } else {
                    cutting.to_remove.push_back(generation);
                }
                continue;
            }
            let is_due = available >= BLOCK_TARGET_BYTES || is_closed || when == CutWhen::All;
            let job = Job {
                generation: Arc::clone(first),
                offset: point.offset,
                sequence: point.sequence,
            };
            return (available > 0 && is_due).then_some(job);
        }
    }

    fn cut_block(&self, job: &Job, cutting: &mut Cutting, tools: &mut Tools) -> Result<()> {
        let Tools {
            encoder,
            builder,
            chunk,
            block,
            counted,
            ..
        } = tools;
        builder.clear();
        let limits = self.limits();
        // What is not compressed must not fill a segment many times over: the newest one stays whatever the limits say.
        let block_bytes = if limits.compress {
            BLOCK_TARGET_BYTES
        } else {
            BLOCK_TARGET_BYTES.min(limits.segment_bytes)
        };
        let mut damage = Vec::new();
        let walked = job.generation.walk(job.offset, chunk, |item, end| {
            if let Item::Damage(bytes) = item {
                damage.push(Damage::new(bytes, end));
            }
            with_entry(&job.generation, &item, end, |entry, is_own| {
                builder.push(entry, is_own);
            });
            // The entry that stands for damage may be longer than the damage.
            if end - job.offset >= block_bytes || builder.text_bytes() >= block_bytes {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        self.keep_damage(&job.generation, &damage)?;
        let header = job.generation.header();
        let origin = Origin {
            first_sequence: job.sequence,
            session: header.session,
            generation: header.number,
            position_from: header.start + job.offset,
            position_to: header.start + walked.offset,
        };
        encoder.set_compress_text(limits.compress);
        block.clear();
        let Some(header) = builder.finish(origin, encoder, block) else {
            return Err(Error::corrupt(
                job.generation.path(),
                job.offset,
                "entries that were there are gone",
            ));
        };
        self.append_block(&header, block, limits.segment_bytes, walked.offset, cutting)?;
        counted.blocks += 1;
        counted.frame_bytes += walked.offset - job.offset;
        counted.stored_bytes += header.block_bytes();
        Ok(())
    }

    /// Appends a block that reaches up to `cut_offset` in the first generation of the chain.
    fn append_block(
        &self,
        header: &BlockHeader,
        block: &[u8],
        segment_bytes: u64,
        cut_offset: u64,
        cutting: &mut Cutting,
    ) -> Result<()> {
        self.take_up(cutting)?;
        drop_removed(cutting);
        if cutting
            .segment
            .as_ref()
            .is_some_and(SegmentWriter::has_failed)
        {
            self.sync_segment(cutting)?;
        }
        // A segment that refuses a block is given up: whatever it holds behind its last block, nothing is added there.
        let writer = match cutting.segment.take() {
            Some(mut writer)
                if writer.is_sealed() || writer.bytes() + block.len() as u64 > segment_bytes =>
            {
                let sealed = self.seal(&mut writer);
                cutting.segment = Some(writer);
                // ORDER: synced although the index may be missing; nobody comes back to it.
                self.sync_segment(cutting)?;
                cutting.segment = None;
                sealed?;
                None
            }
            writer => writer,
        };
        let writer = match writer {
            Some(mut writer) => {
                let appended = writer.append(header, block);
                if appended.is_err() {
                    cutting.segment = Some(writer);
                    self.sync_segment(cutting)?;
                    cutting.segment = None;
                    return appended;
                }
                writer
            }
            None => self.begin_segment(header, block)?,
        };
        let path = self
            .folder
            .join(crate::segment::file_name(writer.first_sequence()));
        let facts = SegmentFacts::new(&path, writer.bytes(), writer.blocks(), true);
        self.has_unsynced_blocks.store(true, Ordering::Relaxed);
        // All at once: nobody may see the entries in both places.
        let mut state = self.state();
        state.last_block = Some(LastBlock::new(header));
        state.cut.offset = cut_offset;
        state.cut.sequence = header.end_sequence();
        match state.segments.back_mut() {
            Some(last) if last.first_sequence == facts.first_sequence => *last = facts,
            _ => state.segments.push_back(facts),
        }
        drop(state);
        cutting.segment = Some(writer);
        Ok(())
    }

    fn begin_segment(&self, header: &BlockHeader, block: &[u8]) -> Result<SegmentWriter> {
        // Somebody may have removed the folder and what was known of the container.
        self.disk
            .create_folder(&self.folder)
            .map_err(Error::io("create", &self.folder))?;
        let writer = SegmentWriter::create(&*self.disk, &self.folder, header, block)?;
        self.state().expect_facts();
        Ok(writer)
    }

    fn seal(&self, writer: &mut SegmentWriter) -> Result<()> {
        writer.seal()?;
        let mut state = self.state();
        if let Some(last) = state.segments.back_mut() {
            last.bytes = writer.bytes();
            last.open_blocks = None;
        }
        Ok(())
    }

    /// Removes generations, and the records of ended sessions that have none left.
    fn remove_cut_generations(&self, cutting: &mut Cutting, tools: &Tools) -> Result<()> {
        let mut state = self.state();
        let (torn, whole): (Vec<_>, Vec<_>) = std::mem::take(&mut state.torn)
            .into_iter()
            .partition(|generation| generation.has_torn_rest());
        state.torn = torn;
        drop(state);
        cutting.to_remove.extend(whole);
        if !cutting.to_remove.is_empty() {
            // ORDER: blocks reach the disk before the journal that they were made from goes.
            self.sync_segment(cutting)?;
            // ORDER: oldest first. A torn rest must not be left without the generation that overrides it.
            cutting
                .to_remove
                .make_contiguous()
                .sort_by_key(|generation| generation.header().number);
            while let Some(generation) = cutting.to_remove.front() {
                let removed = self.disk.remove_file(generation.path());
                if !is_missing(&removed) {
                    removed.map_err(Error::io("remove", generation.path()))?;
                }
                tools.close(cutting.to_remove.pop_front());
            }
        }
        let mut state = self.state();
        // One that came and went while others were cut is not written down before the next time.
        let waiting: Vec<u64> = state
            .chain
            .iter()
            .map(|generation| generation.header().session)
            .chain(state.unwritten_sessions.iter().copied())
            .collect();
        let (waiting, done): (Vec<_>, Vec<_>) = std::mem::take(&mut state.ended_sessions)
            .into_iter()
            .partition(|session| waiting.contains(&session.id));
        state.ended_sessions = waiting;
        drop(state);
        for session in done {
            // A record that stays is found again by the next worker, which sees that the FIFO is gone.
            let _ = self.disk.remove_file(&session.record_path);
        }
        Ok(())
    }

    /// Removes whole segments, oldest first, as far as size and age demand; the newest one only for its age.
    fn remove_old_segments(
        &self,
        now_ns: i64,
        cutting: &mut Cutting,
        tools: &mut Tools,
    ) -> Result<()> {
        while let Some(path) = self.next_old_segment(now_ns) {
            if self.state().segments.len() == 1 {
                self.keep_last_block()?;
            }
            let removed = self.disk.remove_file(&path);
            if !is_missing(&removed) {
                removed.map_err(Error::io("remove", &path))?;
            }
            let mut state = self.state();
            let gone = state.segments.pop_front();
            tools.counted.deleted_segments += 1;
            tools.counted.deleted_bytes += gone.map_or(0, |segment| segment.bytes);
            if state.segments.is_empty() {
                cutting.segment = None;
                cutting.left = None;
            }
        }
        Ok(())
    }

    /// ORDER: before the last segment goes, which tells where the numbers go on and how far the journal lies in blocks.
    fn keep_last_block(&self) -> Result<()> {
        let mut file = self.read_facts()?;
        let state = self.state();
        file.next_sequence = state.next_sequence();
        file.last_block = state.last_block;
        drop(state);
        file.write(&*self.disk, &self.folder)
    }

    fn next_old_segment(&self, now_ns: i64) -> Option<Arc<std::path::Path>> {
        let limits = self.limits();
        let state = self.state();
        let oldest = state.segments.front()?;
        let bytes = state
            .segments
            .iter()
            .map(|segment| segment.bytes)
            .sum::<u64>()
            + state.uncut_bytes()
            + state.kept.bytes;
        let is_too_much =
            limits.stream_bytes.is_some_and(|most| bytes > most) && state.segments.len() > 1;
        let is_too_old = limits.max_age_s.is_some_and(|seconds| {
            let oldest_ns = now_ns.saturating_sub(
                i64::try_from(seconds.saturating_mul(1_000_000_000)).unwrap_or(i64::MAX),
            );
            oldest.max_time_ns < oldest_ns
        });
        (is_too_much || is_too_old).then(|| Arc::clone(&oldest.path))
    }
}

/// Gives up a segment that somebody has removed, and perhaps its folder with it: a block that is added there would be lost.
fn drop_removed(cutting: &mut Cutting) {
    if cutting
        .segment
        .as_ref()
        .is_some_and(SegmentWriter::is_removed)
    {
        cutting.segment = None;
        cutting.is_named = false;
    }
}

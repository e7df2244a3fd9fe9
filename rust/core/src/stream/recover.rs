//! Opening a stream: what does an earlier worker, killed at any instant, leave behind?
//!
//! * The newest segment may end in a torn block: it is cut off when the segment is next appended to.
//! * A generation may lie in blocks wholly or in part: the newest block says which and how far.
//! * The newest generation may not have a whole start: nothing was spliced behind it, so it is removed.
//! * The torn rest of a generation is overridden by the session's next one, which begins with a copy, or with an entry that
//!   names the loss.
//!
//! All generations that are found are closed: a session that goes on begins another. So what is found does not depend on
//! which sessions still run.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::found::{FoundSegment, LOSS_JUMP};
use super::options::Asked;
use super::quarantine::{Kept, LOST, aside_bytes};
use super::retention::holds_entries;
use super::{CutPoint, Cutting, LastBlock, SegmentFacts, Session, State, Stream, container};
use crate::disk::{is_missing, list_folder};
use crate::error::{Error, Result};
use crate::journal::{
    self, DAMAGED_SUFFIX, Generation, GenerationHeader, JournalWriter, Left, RECOVERED, damage_text,
};
use crate::segment::{self, UNREADABLE};
use crate::wire::{Entry, Item, Step, Walk, encode_marked_frame};

/// How a session that an earlier worker had goes on: in a generation that begins at this position with these bytes.
#[derive(Debug, Default)]
pub struct Resumed {
    /// The session's position at the start of the torn frame.
    pub position: u64,
    /// The torn frame.
    pub torn: Vec<u8>,
}

impl State {
    /// All up to the end of a block lies in blocks.
    pub(super) fn pass_over(&mut self, block: LastBlock) {
        self.cut.sequence = block.end_sequence;
        self.next_generation = block.generation.saturating_add(1);
        self.last_block = Some(block);
    }

    /// Puts a generation behind those that were placed before it, or gives it back when it lies in blocks.
    pub(super) fn place(&mut self, generation: Generation) -> Option<Generation> {
        let header = generation.header();
        // A power cut may bring back blocks of a stream that was removed, beside journals of one that came again, or journals of
        // the former beside blocks of the latter. Their numbers are the same, their sessions and sequence numbers are not.
        let block = self
            .last_block
            .filter(|block| header.first_sequence < block.end_sequence);
        match block {
            Some(block)
                if header.number < block.generation
                    || (header.number == block.generation && header.session != block.session) =>
            {
                return Some(generation);
            }
            Some(block)
                if header.number == block.generation && block.position_to > header.start =>
            {
                self.cut.offset = (block.position_to - header.start).min(generation.boundary());
            }
            _ if self.chain.is_empty() => {
                // Where new streams begin means nothing to one that is there.
                let behind = self.last_block.map_or(0, |block| block.end_sequence);
                let sequence = header.first_sequence.max(behind);
                self.cut = CutPoint {
                    offset: 0,
                    sequence,
                };
            }
            _ => {}
        }
        self.chain.push_back(Arc::new(generation));
        None
    }
}

/// Publishes what is whole in the generations of a stream, which are given in their order. A torn rest counts only in a
/// session's newest generation: the next one begins where the whole frames of this one end.
pub(super) fn publish_recovered(generations: &mut [Generation]) -> Result<()> {
    let mut next_starts: HashMap<u64, u64> = HashMap::new();
    let mut chunk = Vec::new();
    for generation in generations.iter_mut().rev() {
        let (session, start) = (generation.header().session, generation.header().start);
        generation.recover(next_starts.insert(session, start), &mut chunk)?;
    }
    Ok(())
}

impl Stream {
    /// Finds out what is on disk, once; a second call does nothing.
    ///
    /// # Errors
    /// The disk refused. Try again later.
    pub fn open(&self) -> Result<()> {
        if self.state().is_open {
            return Ok(());
        }
        let mut cutting = self.cutting();
        if self.state().is_open {
            return Ok(());
        }
        let listed = list_folder(&*self.disk, &self.folder);
        if is_missing(&listed) {
            self.state().is_open = true;
            return Ok(());
        }
        let listed = listed.map_err(Error::io("list", &self.folder))?;
        let mut segments: Vec<(u64, i64)> = listed
            .iter()
            .filter_map(|file| Some((segment::parse_file_name(&file.name)?, file.modified_ns)))
            .collect();
        let mut generations: Vec<(u64, i64)> = listed
            .iter()
            .filter_map(|file| Some((journal::parse_file_name(&file.name)?, file.modified_ns)))
            .collect();
        segments.sort_unstable();
        generations.sort_unstable();

        let written_ns = listed
            .iter()
            .filter(|file| holds_entries(&file.name))
            .map(|file| file.modified_ns)
            .max();
        let mut opened = State {
            is_open: true,
            cut: self.state().cut,
            written_ns: written_ns.unwrap_or(0),
            kept: Kept {
                bytes: aside_bytes(&listed),
                ..Kept::default()
            },
            ..State::default()
        };
        let mut file =
            container::ContainerFile::read(&*self.disk, &self.folder, &self.container_id)?;
        opened.sequence_floor = file.next_sequence;
        if let Some(last_block) = file.last_block {
            opened.pass_over(last_block);
        }
        if let Some(facts) = file.sessions.last() {
            opened.asked = facts.asked();
        } else if file.is_damaged {
            // Nobody knows what its container asked for, so nothing is deleted for it.
            opened.asked = Asked::nothing_deleted();
        }
        let is_after_power_cut = file.power_cuts < self.boot.power_cuts;
        let mut found = Cutting::default();
        let segments = self.find_segments(&segments, is_after_power_cut)?;
        if let Some(block) = segments.iter().rev().find_map(|segment| segment.last_block) {
            opened.pass_over(block);
        }
        let damaged =
            self.open_generations(&generations, is_after_power_cut, &mut opened, &mut found)?;
        let has_journal = !generations.is_empty();
        self.take_segments(segments, has_journal, &mut opened, &mut found)?;
        *cutting = found;
        if file.is_damaged {
            opened.sequence_floor = opened.next_sequence().saturating_add(LOSS_JUMP);
        }
        opened.is_floor_due = is_after_power_cut || opened.sequence_floor > file.next_sequence;
        if opened.is_floor_due {
            self.raise_floor(&mut file, opened.sequence_floor);
            // A disk that refuses gets another chance before a number is given.
            opened.is_floor_due = file.write(&*self.disk, &self.folder).is_err();
        }
        for (number, modified_ns) in damaged {
            // ORDER: behind the floor, or a power cut that takes both lets the number of this entry be given again.
            if !opened.is_floor_due {
                // What is set aside cannot be said again, and a disk that is full must not keep the rest from being read.
                let _ = self.name_lost_generation(number, modified_ns, &mut opened);
            }
        }

        let mut state = self.state();
        let started = std::mem::take(&mut *state);
        *state = opened;
        // Sessions may have begun while the disk refused.
        if let Some(session) = started.sessions.last() {
            state.asked = session.facts.asked();
        }
        state.sessions = started.sessions;
        state.ended_sessions = started.ended_sessions;
        Ok(())
    }

    /// What is known of the container and of the stream's numbers.
    pub(super) fn read_facts(&self) -> Result<container::ContainerFile> {
        let mut file =
            container::ContainerFile::read(&*self.disk, &self.folder, &self.container_id)?;
        let floor = self.state().sequence_floor;
        self.raise_floor(&mut file, floor);
        Ok(file)
    }

    /// The facts say that no lower number is given any more, and that the stream was looked at since the last power cut.
    fn raise_floor(&self, file: &mut container::ContainerFile, floor: u64) {
        file.next_sequence = file.next_sequence.max(floor);
        file.power_cuts = self.boot.power_cuts;
    }

    /// Writes down that no lower number is given any more.
    pub(super) fn write_floor(&self) -> Result<()> {
        self.read_facts()?.write(&*self.disk, &self.folder)?;
        self.state().is_floor_due = false;
        Ok(())
    }

    /// Looks at all segments, oldest first.
    fn find_segments(
        &self,
        listed: &[(u64, i64)],
        is_after_power_cut: bool,
    ) -> Result<Vec<FoundSegment>> {
        listed
            .iter()
            .enumerate()
            .map(|(index, &this)| {
                let next = listed.get(index + 1).map(|(number, _)| *number);
                FoundSegment::open(&*self.disk, &self.folder, this, next, is_after_power_cut)
            })
            .collect()
    }

    /// Takes up the segments, once it is known from which number on the journal has what they may hide.
    fn take_segments(
        &self,
        mut found: Vec<FoundSegment>,
        has_journal: bool,
        state: &mut State,
        cutting: &mut Cutting,
    ) -> Result<()> {
        if !state.chain.is_empty() {
            for segment in &mut found {
                segment.end_before(state.cut.sequence);
            }
        }
        let newest = found.len().saturating_sub(1);
        for (index, segment) in found.into_iter().enumerate() {
            let Some(end_sequence) = segment.end_sequence() else {
                if segment.may_grow() {
                    // Its first block is made again from the journal. On a disk that refuses it counts for nothing all the same.
                    let _ = self.disk.remove_file(&segment.path);
                } else {
                    // Its numbers come again, from the journal.
                    self.set_aside(&segment.path, UNREADABLE)?;
                }
                continue;
            };
            let may_grow = segment.may_grow() && index == newest;
            if segment.hides_unknown() && index == newest {
                let jumped = state.cut.sequence.saturating_add(LOSS_JUMP);
                state.sequence_floor = state.sequence_floor.max(jumped);
            }
            if state.chain.is_empty() {
                state.cut.sequence = state.cut.sequence.max(end_sequence);
            }
            let has_no_index = !segment.is_indexed && !segment.may_grow();
            let is_known = may_grow || has_no_index;
            let mut facts =
                SegmentFacts::new(&segment.path, segment.bytes, &segment.blocks, is_known);
            // A worker that was killed may not have synced one that it has sealed.
            let is_unsynced = segment.is_indexed && index == newest && has_journal;
            if may_grow || is_unsynced {
                cutting.left = Some(segment);
                // A disk that refuses can be read all the same; it is asked again before blocks are added or journals go.
                let is_refused = self.take_up(cutting).is_err();
                // Without a journal they are synced: it went after that.
                self.has_unsynced_blocks
                    .store(is_refused || has_journal, Ordering::Relaxed);
            }
            if let Some(writer) = &cutting.segment {
                facts.bytes = writer.bytes();
            }
            state.segments.push_back(facts);
        }
        Ok(())
    }

    /// Takes up the generations; returns the numbers and times of those whose first page is damaged.
    fn open_generations(
        &self,
        listed: &[(u64, i64)],
        is_after_power_cut: bool,
        state: &mut State,
        cutting: &mut Cutting,
    ) -> Result<Vec<(u64, i64)>> {
        let mut found: Vec<Generation> = Vec::new();
        let mut has_lost = is_after_power_cut;
        let mut damaged = Vec::new();
        for &(number, modified_ns) in listed {
            let path = self.folder.join(journal::file_name(number));
            state.next_generation = state.next_generation.max(number.saturating_add(1));
            match Generation::open(&*self.disk, &path)? {
                Left::Whole(generation) if generation.header().boot_id == self.boot.id => {
                    found.push(generation);
                }
                Left::Whole(generation) if generation.header().boot_id == RECOVERED => {
                    has_lost = true;
                    found.push(generation);
                }
                Left::Whole(_) => {
                    has_lost = true;
                    self.set_aside(&path, LOST)?;
                }
                Left::Damaged => {
                    has_lost = true;
                    self.set_aside(&path, LOST)?;
                    // After a power cut it need not ever have reached the disk.
                    if !is_after_power_cut {
                        damaged.push((number, modified_ns));
                    }
                }
                // On a disk that refuses it counts for nothing all the same.
                Left::Nothing => drop(self.disk.remove_file(&path)),
            }
        }
        publish_recovered(&mut found)?;
        for generation in found {
            // A worker that was killed may not have written down whose entries these are.
            state.unwritten_sessions.push(generation.header().session);
            if let Some(in_blocks) = state.place(generation) {
                let generation = Arc::new(in_blocks);
                if generation.has_torn_rest() {
                    state.torn.push(generation);
                } else {
                    cutting.to_remove.push_back(generation);
                }
            }
        }
        if has_lost {
            state.sequence_floor = state.next_sequence().saturating_add(LOSS_JUMP);
        }
        Ok(damaged)
    }

    /// Puts an entry at the end of the journal that says which generation is lost, in a generation of no session.
    fn name_lost_generation(&self, lost: u64, time_ns: i64, state: &mut State) -> Result<()> {
        let name = journal::file_name(lost);
        let text = format!(
            "logboom: entries of {name} are lost: its first page is damaged; it is kept with the suffix .{LOST}"
        );
        let mut initial = Vec::new();
        encode_marked_frame(&Entry::own(time_ns, &text), &mut initial);
        let header = GenerationHeader {
            number: state.next_generation,
            first_sequence: state.next_sequence(),
            created_ns: time_ns,
            boot_id: self.boot.id,
            ..GenerationHeader::default()
        };
        let mut writer = JournalWriter::create(&*self.disk, &self.folder, header, &initial)?;
        let generation = Arc::clone(writer.generation());
        writer
            .find(&mut Vec::new())
            .map_err(Error::io("read", generation.path()))?;
        writer.show();
        writer
            .close()
            .map_err(Error::io("read", generation.path()))?;
        state.next_generation = state.next_generation.saturating_add(1);
        if state.chain.is_empty() {
            state.cut = CutPoint {
                offset: 0,
                sequence: generation.header().first_sequence,
            };
        }
        state.chain.push_back(generation);
        Ok(())
    }

    /// How a running session goes on.
    ///
    /// # Errors
    /// The disk refused.
    pub fn resume_session(&self, session: &Session) -> Result<Resumed> {
        self.open()?;
        let state = self.state();
        let newest = state
            .torn
            .iter()
            .chain(&state.chain)
            .filter(|generation| generation.header().session == session.id)
            .max_by_key(|generation| generation.header().number)
            .cloned();
        let cut_position = state
            .last_block
            .filter(|block| block.session == session.id)
            .map(|block| block.position_to);
        drop(state);
        let Some(generation) = newest else {
            return Ok(Resumed {
                position: cut_position.unwrap_or(0),
                torn: Vec::new(),
            });
        };
        let (position, torn) = generation.torn_rest()?;
        Ok(Resumed { position, torn })
    }

    /// The initial bytes of a session's last generation: what is torn will never be whole, so it is walked over as damage,
    /// and a marked frame that names the file in which the bytes are kept stands for each run of it.
    ///
    /// # Errors
    /// The disk refused.
    pub fn name_torn_rest(
        &self,
        session: &Session,
        rest: &Resumed,
        now_ns: i64,
    ) -> Result<Vec<u8>> {
        let mut initial = Vec::new();
        let mut walk = Walk::new(&rest.torn, true);
        loop {
            let from = walk.position();
            match walk.step() {
                Step::Item(Item::Damage(bytes)) => {
                    let position = rest.position + from as u64;
                    let name = format!("{:016x}-{position}{DAMAGED_SUFFIX}", session.id);
                    self.keep_named_damage(&name, bytes)?;
                    let text = damage_text(bytes.len(), &name);
                    encode_marked_frame(&Entry::own(now_ns, &text), &mut initial);
                }
                Step::Item(_) => {
                    initial.extend(rest.torn.get(from..walk.position()).unwrap_or_default());
                }
                Step::NeedMore(_) | Step::End => return Ok(initial),
            }
        }
    }

    /// Keeps a generation for a person to look at; it is no part of the stream. Journal bytes of another machine start prove
    /// nothing: pages may be stale or zero. Nor do those behind a damaged header.
    fn set_aside(&self, path: &Path, suffix: &str) -> Result<()> {
        self.disk
            .rename(path, &path.with_extension(suffix))
            .map_err(Error::io("set aside", path))
    }
}

//! Opening a stream: what does an earlier worker, killed at any instant, leave behind?
//!
//! * The newest segment may end in a torn block: it is cut off when the segment is next appended to.
//! * A generation may lie in blocks wholly or in part: the newest block says which and how far.
//! * The newest generation may not have a whole start: nothing was spliced behind it, so it is removed.
//! * The torn rest of a generation is overridden by the session's next one, which begins with a copy.

use std::collections::HashMap;
use std::sync::Arc;

use super::{CutPoint, SegmentFacts, Session, State, Stream, container};
use crate::disk::is_missing;
use crate::error::{Error, Result};
use crate::journal::{self, Generation, JournalWriter, RECOVERED};
use crate::segment::{self, SegmentReader, SegmentWriter};

/// After a power cut entries may have been shown whose sequence numbers nothing on disk tells. More than these cannot
/// have come since the last sync, and there are enough numbers for four thousand million power cuts.
const POWER_CUT_JUMP: u64 = 1 << 32;

/// The newest block: which generation it came from and how far into the session it reaches.
struct LastBlock {
    generation: u64,
    position_to: u64,
}

/// How a session that an earlier worker had goes on.
#[derive(Debug)]
pub enum Resumed {
    /// In the generation that it has.
    Writer(JournalWriter),
    /// In a generation that begins at this position with these bytes of a torn frame.
    Torn {
        /// The session's position at the start of the torn frame.
        position: u64,
        /// The torn frame.
        torn: Vec<u8>,
    },
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
        let listed = self.disk.list(&self.folder);
        if is_missing(&listed) {
            self.state().is_open = true;
            return Ok(());
        }
        let listed = listed.map_err(Error::io("list", &self.folder))?;
        let mut segments: Vec<u64> = listed
            .iter()
            .filter_map(|file| segment::parse_file_name(&file.name))
            .collect();
        let mut generations: Vec<u64> = listed
            .iter()
            .filter_map(|file| journal::parse_file_name(&file.name))
            .collect();
        segments.sort_unstable();
        generations.sort_unstable();

        let mut opened = State {
            is_open: true,
            cut: self.state().cut,
            ..State::default()
        };
        opened.sessions.clone_from(&self.state().sessions);
        let (writer, last_block) = self.open_segments(&segments, &mut opened)?;
        self.open_generations(&generations, last_block.as_ref(), &mut opened)?;
        if let Some(facts) =
            container::ContainerFile::read(&*self.disk, &self.folder, &self.container_id)
                .sessions
                .last()
        {
            opened.limits = facts.limits;
        }
        Self::finish_ended(&opened)?;
        cutting.segment = writer;

        let mut state = self.state();
        let started = std::mem::take(&mut *state);
        *state = opened;
        // Sessions may have begun while the disk refused.
        if let Some(session) = started.sessions.last() {
            state.limits = session.facts.limits;
        }
        state.sessions = started.sessions;
        state.ended_sessions = started.ended_sessions;
        Ok(())
    }

    fn open_segments(
        &self,
        numbers: &[u64],
        state: &mut State,
    ) -> Result<(Option<SegmentWriter>, Option<LastBlock>)> {
        let mut writer = None;
        let mut last_block = None;
        for (index, &number) in numbers.iter().enumerate() {
            let path = self.folder.join(segment::file_name(number));
            let reader = SegmentReader::open(&*self.disk, &path)?;
            let mut contents = reader.contents()?;
            if self.boot.is_after_power_cut && !contents.is_sealed {
                contents.blocks = reader.whole_blocks(contents.blocks)?;
            }
            let Some(last) = contents.blocks.last() else {
                // Its first block was torn, and is made again from the journal.
                self.disk
                    .remove_file(&path)
                    .map_err(Error::io("remove", &path))?;
                continue;
            };
            let header = reader.header(last)?;
            last_block = Some(LastBlock {
                generation: header.generation,
                position_to: header.position_to,
            });
            state.cut.sequence = header.end_sequence();
            state.next_generation = header.generation + 1;
            state.last_cut = Some((header.session, header.position_to));
            let is_open = !contents.is_sealed && index + 1 == numbers.len();
            let bytes = contents
                .blocks
                .last()
                .map_or(0, |block| block.offset + block.bytes);
            state
                .segments
                .push_back(SegmentFacts::new(&path, bytes, &contents.blocks, true));
            if is_open {
                writer = Some(SegmentWriter::resume(&*self.disk, &path, contents.blocks)?);
            } else if let Some(facts) = state.segments.back_mut() {
                facts.open_blocks = None;
            }
        }
        Ok((writer, last_block))
    }

    fn open_generations(
        &self,
        numbers: &[u64],
        last_block: Option<&LastBlock>,
        state: &mut State,
    ) -> Result<()> {
        let mut found: Vec<Generation> = Vec::new();
        let mut has_lost = self.boot.is_after_power_cut;
        for &number in numbers {
            let path = self.folder.join(journal::file_name(number));
            state.next_generation = state.next_generation.max(number + 1);
            match Generation::open(&*self.disk, &path)? {
                Some(generation) if generation.header().boot_id == self.boot.id => {
                    found.push(generation);
                }
                Some(generation) => {
                    has_lost = true;
                    if generation.header().boot_id == RECOVERED {
                        found.push(generation);
                    } else {
                        self.set_aside(&generation)?;
                    }
                }
                None => self
                    .disk
                    .remove_file(&path)
                    .map_err(Error::io("remove", &path))?,
            }
        }
        // A torn rest counts only in the session's newest generation: the next one begins where its whole frames end.
        let mut next_starts: HashMap<u64, u64> = HashMap::new();
        let mut chunk = Vec::new();
        for generation in found.iter_mut().rev() {
            let (session, start) = (generation.header().session, generation.header().start);
            generation.recover(next_starts.insert(session, start), &mut chunk)?;
        }
        for generation in found {
            let header = generation.header();
            if last_block.is_some_and(|block| header.number < block.generation) {
                self.keep_torn(generation, state)?;
                continue;
            }
            match last_block {
                Some(block)
                    if header.number == block.generation && block.position_to > header.start =>
                {
                    state.cut.offset =
                        (block.position_to - header.start).min(generation.boundary());
                }
                _ if state.chain.is_empty() => {
                    let sequence = header.first_sequence.max(state.cut.sequence);
                    state.cut = CutPoint {
                        offset: 0,
                        sequence,
                    };
                }
                _ => {}
            }
            if let Some(before) = state.chain.back() {
                before.close(false);
            }
            state.chain.push_back(Arc::new(generation));
        }
        if has_lost {
            state.sequence_floor = state.next_sequence() + POWER_CUT_JUMP;
        }
        Ok(())
    }

    /// A generation that lies in blocks stays for the torn frame at its end alone, while its session runs.
    fn keep_torn(&self, generation: Generation, state: &mut State) -> Result<()> {
        let is_running = state
            .sessions
            .iter()
            .any(|session| session.id == generation.header().session);
        if generation.has_torn_rest() && is_running {
            generation.close(false);
            state.torn.push(Arc::new(generation));
            return Ok(());
        }
        self.disk
            .remove_file(generation.path())
            .map_err(Error::io("remove", generation.path()))
    }

    /// Closes the newest generation when its session is over: what is torn there will never be whole.
    fn finish_ended(state: &State) -> Result<()> {
        let Some(last) = state.chain.back() else {
            return Ok(());
        };
        if !state
            .sessions
            .iter()
            .any(|session| session.id == last.header().session)
        {
            let writer = JournalWriter::resume(Arc::clone(last));
            writer
                .finish(&mut Vec::new())
                .map_err(Error::io("read", last.path()))?;
        }
        Ok(())
    }

    /// How a running session goes on: in its own generation when that is the stream's newest, else in a new one.
    ///
    /// # Errors
    /// The disk refused.
    pub fn resume_session(&self, session: &Session) -> Result<Resumed> {
        self.open()?;
        let state = self.state();
        let mut generations = state.torn.iter().chain(&state.chain).rev();
        let newest = generations
            .find(|generation| generation.header().session == session.id)
            .cloned();
        let last_cut = state
            .last_cut
            .filter(|&(last_session, _)| last_session == session.id);
        drop(state);
        let Some(generation) = newest else {
            let position = last_cut.map_or(0, |(_, position)| position);
            return Ok(Resumed::Torn {
                position,
                torn: Vec::new(),
            });
        };
        let writer = JournalWriter::resume(Arc::clone(&generation));
        if !generation.is_closed() {
            return Ok(Resumed::Writer(writer));
        }
        let position = writer.boundary_position();
        let torn = writer
            .close()
            .map_err(Error::io("read", generation.path()))?;
        Ok(Resumed::Torn { position, torn })
    }

    /// Journal bytes of another machine start prove nothing: pages may be stale or zero. They are kept for a person to
    /// look at, and are no part of the stream.
    fn set_aside(&self, generation: &Generation) -> Result<()> {
        let path = generation.path();
        self.disk
            .rename(path, &path.with_extension("lost"))
            .map_err(Error::io("set aside", path))
    }
}

//! Walking a stream forwards.
//!
//! A reader knows a sequence number and nothing else that must stay true: whenever the block or generation that it
//! reads is used up, it asks the stream where its number lies now. So the cutter may move entries from journal to
//! segment, and retention may remove segments, under a reader that stands still for hours.
//!
//! The rules for what is given (moby's `loggertest`, in the strict form):
//!
//! 1. `tail` counts entries from the end of the snapshot.
//! 2. `since` then passes over entries until the first that is not older, and gives all after it, older ones too.
//! 3. `until` ends before the first entry that is newer.
//! 4. A follower goes on under 2 and 3 until its session has ended.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use super::session::Session;
use super::watch::Watcher;
use super::{CutPoint, SegmentFacts, State, Stream};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::journal::{Generation, with_entry};
use crate::segment::{BlockPlace, SegmentReader, UNKNOWN_COUNT};
use crate::wire::Entry;

/// Journal bytes that one step gives at most, so that a follower that lags takes no more memory than any reader.
const STEP_BYTES: u64 = 1 << 20;

/// What to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Only so many entries from the end; `None`: all.
    pub tail: Option<u64>,
    /// Rule 2.
    pub since_ns: Option<i64>,
    /// Rule 3.
    pub until_ns: Option<i64>,
    /// Rule 4. Without a running session it changes nothing.
    pub follow: bool,
    /// Nothing before this sequence number, whatever `tail` says, for whoever has read up to there.
    pub from_sequence: Option<u64>,
}

/// An entry as a reader gives it.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The entry.
    pub entry: &'a Entry<'a>,
    /// Its number; `None`: it stands in no stream, but says why others are missing here.
    pub sequence: Option<u64>,
    /// Logboom wrote it.
    pub is_own: bool,
}

/// What takes the entries of a step.
type Visit<'a> = &'a mut dyn FnMut(&Given<'_>);

/// Where a reader stands after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There may be more at once.
    More,
    /// A follower has given all there is.
    Wait,
    /// Nothing will follow.
    End,
}

#[derive(Debug)]
enum End {
    /// Before this sequence number.
    At(u64),
    /// Where the session ends.
    With(Arc<Session>),
}

/// Rules 2 and 3.
#[derive(Debug)]
struct Pass {
    /// `None` once an entry has been given.
    since_ns: Option<i64>,
    until_ns: Option<i64>,
    /// The time of the entry that was given last.
    given_ns: Option<i64>,
    /// Rule 3 has ended the walk.
    is_past_until: bool,
}

/// Gives the entries of a stream, in runs.
#[derive(Debug)]
pub struct Reader {
    stream: Arc<Stream>,
    watcher: Arc<Watcher>,
    sequence: u64,
    end: End,
    pass: Pass,
    is_finished: bool,
    /// The segment that was read last, and its blocks.
    segment: Option<(Arc<Path>, SegmentReader, Arc<Vec<BlockPlace>>)>,
    /// The generation that was read last, and the offset of the next entry in it.
    generation: Option<(Arc<Generation>, u64)>,
    /// Memory that is used again from step to step.
    block: Block,
    stored: Vec<u8>,
    chunk: Vec<u8>,
}

/// Where the next entries of a reader lie.
enum Source {
    Nothing,
    /// Retention has removed them; this is the oldest that is left.
    Removed(u64),
    Segment(SegmentFacts),
    /// From this offset, where this sequence number lies.
    Generation(Arc<Generation>, u64, u64),
}

/// Where the last entries before the end of a snapshot begin.
enum Tail {
    /// There are no more.
    All,
    /// At this sequence number.
    At(u64),
    /// So many entries before the end of this segment.
    In(SegmentFacts, u64),
}

impl State {
    /// Finds the last `tail` entries before `end`. Numbers may have gaps, so entries are counted: generations, then whole
    /// segments by what is known of them.
    fn count_tail(&self, end: u64, mut tail: u64) -> Tail {
        let mut behind = end;
        for (index, generation) in self.chain.iter().enumerate().rev() {
            let first = self.uncut_point(index, generation).sequence;
            let count = behind.min(generation.end_sequence()).saturating_sub(first);
            if tail <= count {
                return Tail::At(first + count - tail);
            }
            tail -= count;
            behind = first;
        }
        for segment in self.segments.iter().rev() {
            if tail <= segment.entry_count {
                return Tail::In(segment.clone(), tail);
            }
            tail -= segment.entry_count;
        }
        Tail::All
    }

    /// Where the first entry at or behind a sequence number lies. With `since_ns`, segments in which all is older are
    /// passed over.
    fn locate(&self, sequence: u64, since_ns: Option<i64>) -> Source {
        let oldest = self.oldest_sequence();
        if sequence < oldest {
            return Source::Removed(oldest);
        }
        if sequence < self.cut.sequence {
            let from = self
                .segments
                .partition_point(|segment| segment.end_sequence <= sequence);
            let found =
                self.segments.iter().skip(from).find(|segment| {
                    since_ns.is_none_or(|since_ns| segment.max_time_ns >= since_ns)
                });
            if let Some(segment) = found {
                return Source::Segment(segment.clone());
            }
        }
        for (index, generation) in self.chain.iter().enumerate() {
            if generation.end_sequence() <= sequence.max(self.cut.sequence) {
                continue;
            }
            let CutPoint { offset, sequence } = self.uncut_point(index, generation);
            return Source::Generation(Arc::clone(generation), offset, sequence);
        }
        Source::Nothing
    }
}

impl Reader {
    /// A reader whose start and end are fixed now.
    ///
    /// # Errors
    /// The stream cannot be opened, or no file descriptor is left.
    pub fn open(stream: &Arc<Stream>, query: &Query) -> Result<Self> {
        stream.open()?;
        let watcher =
            Arc::new(Watcher::new().map_err(Error::io("make an eventfd for", stream.folder()))?);
        let session = if query.follow {
            stream.running_session()
        } else {
            None
        };
        if session.is_some() {
            stream.watch.add(&watcher);
        }
        // All in one look: what is cut or comes in afterwards must not be counted.
        let (start, end, tail) = {
            let state = stream.state();
            let end = state.next_sequence();
            let tail = query.tail.map(|tail| state.count_tail(end, tail));
            (state.oldest_sequence(), end, tail)
        };
        let mut reader = Self {
            stream: Arc::clone(stream),
            watcher,
            sequence: start,
            end: session.map_or(End::At(end), End::With),
            pass: Pass {
                since_ns: query.since_ns,
                until_ns: query.until_ns,
                given_ns: None,
                is_past_until: false,
            },
            is_finished: false,
            segment: None,
            generation: None,
            block: Block::default(),
            stored: Vec::new(),
            chunk: Vec::new(),
        };
        match tail {
            Some(Tail::At(sequence)) => reader.sequence = sequence,
            Some(Tail::In(segment, tail)) => reader.sequence = reader.tail_start(&segment, tail)?,
            Some(Tail::All) | None => {}
        }
        reader.sequence = reader.sequence.max(query.from_sequence.unwrap_or(0));
        Ok(reader)
    }

    /// The sequence number with which the last `tail` entries of a segment begin.
    fn tail_start(&mut self, segment: &SegmentFacts, mut tail: u64) -> Result<u64> {
        let blocks = match self.blocks(segment) {
            // Retention was quicker; the reader begins where it has left off.
            Err(error) if error.is_missing() => return Ok(segment.end_sequence),
            blocks => blocks?,
        };
        for block in blocks.iter().rev() {
            if tail <= block.counted_entries() {
                return Ok(block.end_sequence() - tail);
            }
            tail -= block.counted_entries();
        }
        Ok(segment.first_sequence)
    }

    /// The blocks of a segment, whose file is open afterwards.
    fn blocks(&mut self, segment: &SegmentFacts) -> Result<Arc<Vec<BlockPlace>>> {
        let open = self.segment.take_if(|(path, ..)| *path == segment.path);
        let (path, reader, known) = if let Some(open) = open {
            open
        } else {
            let reader = SegmentReader::open(&*self.stream.disk, &segment.path)?;
            (Arc::clone(&segment.path), reader, Arc::default())
        };
        // An open segment that was looked at before may have got more blocks, and been sealed.
        let is_complete = known
            .last()
            .is_some_and(|block| block.end_sequence() == segment.end_sequence);
        let blocks = match &segment.open_blocks {
            _ if is_complete => known,
            Some(blocks) => Arc::clone(blocks),
            None => Arc::new(reader.contents()?.blocks),
        };
        self.segment = Some((path, reader, Arc::clone(&blocks)));
        Ok(blocks)
    }

    fn end_sequence(&self) -> Option<u64> {
        match &self.end {
            End::At(end) => Some(*end),
            End::With(session) => session.end_sequence(),
        }
    }

    /// It has ended because an entry was newer than the query wants.
    pub fn is_past_until(&self) -> bool {
        self.pass.is_past_until
    }

    /// Takes back what the stream's bell has rung. Do it before the steps that answer the ring.
    pub fn clear_wake(&self) {
        self.watcher.clear();
    }

    /// Gives the entries of one block, or of about a megabyte of journal.
    ///
    /// A block that cannot be read is replaced by an entry that says so; only its own entries are lost.
    pub fn step(&mut self, visit: Visit<'_>) -> Progress {
        let progress = self.step_once(visit);
        if progress != Progress::Wait {
            return progress;
        }
        // ORDER: arm, then look again; what comes in between rings.
        self.watcher.arm();
        self.step_once(visit)
    }

    fn step_once(&mut self, visit: Visit<'_>) -> Progress {
        let end = self.end_sequence();
        if self.is_finished || end.is_some_and(|end| self.sequence >= end) {
            self.is_finished = true;
            return Progress::End;
        }
        let source = match &self.generation {
            Some((generation, offset)) if *offset < generation.boundary() => {
                Source::Generation(Arc::clone(generation), *offset, self.sequence)
            }
            _ => self
                .stream
                .state()
                .locate(self.sequence, self.pass.since_ns),
        };
        match source {
            Source::Nothing if end.is_none() => return Progress::Wait,
            Source::Nothing => self.is_finished = true,
            Source::Removed(oldest) => self.pass_over_removed(oldest, visit),
            Source::Segment(segment) => self.step_segment(&segment, end, visit),
            Source::Generation(generation, offset, first) => {
                self.step_generation(generation, offset, first, end, visit);
            }
        }
        if self.is_finished {
            Progress::End
        } else {
            Progress::More
        }
    }

    /// Goes on behind entries that retention removed under this reader. One that has given nothing yet just begins later.
    fn pass_over_removed(&mut self, sequence: u64, visit: Visit<'_>) {
        if let Some(time_ns) = self.pass.given_ns {
            let text = format!(
                "logboom: up to {} entries were removed while they were being read",
                sequence - self.sequence
            );
            visit_notice(&text, time_ns, visit);
        }
        self.sequence = sequence;
    }

    /// One block.
    fn step_segment(&mut self, segment: &SegmentFacts, end: Option<u64>, visit: Visit<'_>) {
        let blocks = match self.blocks(segment) {
            Ok(blocks) => blocks,
            Err(error) => {
                if error.is_missing() {
                    self.pass_over_removed(segment.end_sequence, visit);
                } else {
                    visit_loss(
                        Some(segment.entry_count),
                        segment.max_time_ns,
                        &error,
                        visit,
                    );
                    self.sequence = segment.end_sequence;
                }
                return;
            }
        };
        let from = blocks.partition_point(|block| block.end_sequence() <= self.sequence);
        let since_ns = self.pass.since_ns;
        let found = blocks
            .iter()
            .skip(from)
            .find(|block| since_ns.is_none_or(|since_ns| block.max_time_ns >= since_ns));
        let (Some(place), Some((_, reader, _))) = (found, &self.segment) else {
            self.sequence = segment.end_sequence;
            return;
        };
        self.sequence = self.sequence.max(place.first_sequence);
        let rows = match reader.read_block(place, &mut self.stored, &mut self.block) {
            Ok(()) => self.block.rows(),
            Err(error) => {
                let count =
                    (place.entry_count != UNKNOWN_COUNT).then_some(place.entry_count.into());
                visit_loss(count, place.max_time_ns, &error, visit);
                self.sequence = place.end_sequence();
                return;
            }
        };
        let skipped = usize::try_from(self.sequence - place.first_sequence).unwrap_or(usize::MAX);
        for row in rows.skip(skipped) {
            if end.is_some_and(|end| self.sequence >= end) {
                break;
            }
            let Ok(row) = row else {
                let error = Error::corrupt(
                    &segment.path,
                    place.offset,
                    "its columns contradict each other",
                );
                visit_loss(
                    Some(place.end_sequence() - self.sequence),
                    place.max_time_ns,
                    &error,
                    visit,
                );
                self.sequence = place.end_sequence();
                break;
            };
            let given = Given {
                entry: &row.entry,
                sequence: Some(self.sequence),
                is_own: row.is_own,
            };
            self.sequence += 1;
            if self.pass.give(&given, visit).is_break() {
                self.is_finished = true;
                break;
            }
        }
    }

    /// Up to `STEP_BYTES` of a generation, from an offset at which the sequence number `first` lies.
    fn step_generation(
        &mut self,
        generation: Arc<Generation>,
        offset: u64,
        first: u64,
        end: Option<u64>,
        visit: Visit<'_>,
    ) {
        let mut next = first;
        let mut chunk = std::mem::take(&mut self.chunk);
        self.sequence = self.sequence.max(first);
        let walked = generation.walk(offset, &mut chunk, |item, item_end| {
            if end.is_some_and(|end| next >= end) {
                return ControlFlow::Break(());
            }
            next += 1;
            if next <= self.sequence {
                return ControlFlow::Continue(());
            }
            self.sequence = next;
            let pass = &mut self.pass;
            let given = with_entry(&generation, &item, item_end, |entry, is_own| {
                let given = Given {
                    entry,
                    sequence: Some(next - 1),
                    is_own,
                };
                pass.give(&given, visit)
            });
            if given.is_break() {
                self.is_finished = true;
                return given;
            }
            if item_end - offset >= STEP_BYTES {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        self.chunk = chunk;
        let walked = walked.and_then(|walked| {
            if walked.offset == offset && end.is_none_or(|end| next < end) {
                return Err(Error::corrupt(
                    generation.path(),
                    offset,
                    "entries that were there are gone",
                ));
            }
            Ok(walked)
        });
        match walked {
            Ok(walked) => self.generation = Some((generation, walked.offset)),
            Err(error) => {
                visit_loss(
                    Some(generation.end_sequence() - next),
                    generation.header().created_ns,
                    &error,
                    visit,
                );
                self.sequence = generation.end_sequence();
            }
        }
    }
}

impl Pass {
    /// Gives an entry that the times let through; breaks at the first that is too new.
    fn give(&mut self, given: &Given<'_>, visit: Visit<'_>) -> ControlFlow<()> {
        let time_ns = given.entry.time_ns;
        if let Some(since_ns) = self.since_ns {
            if time_ns < since_ns {
                return ControlFlow::Continue(());
            }
            self.since_ns = None;
        }
        if self.until_ns.is_some_and(|until_ns| time_ns > until_ns) {
            self.is_past_until = true;
            return ControlFlow::Break(());
        }
        self.given_ns = Some(time_ns);
        visit(given);
        ControlFlow::Continue(())
    }
}

/// Says in the stream's place which entries cannot be read; `None`: nothing tells how many.
fn visit_loss(entry_count: Option<u64>, time_ns: i64, error: &Error, visit: Visit<'_>) {
    let entries = match entry_count {
        Some(count) => format!("{count} entries"),
        None => "an unknown number of entries".to_owned(),
    };
    let text = format!("logboom: {entries} cannot be read: {error}");
    visit_notice(&text, time_ns, visit);
}

/// Gives an entry that stands in no stream.
fn visit_notice(text: &str, time_ns: i64, visit: Visit<'_>) {
    visit(&Given {
        entry: &Entry::own(time_ns, text),
        sequence: None,
        is_own: true,
    });
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watcher.as_fd()
    }
}

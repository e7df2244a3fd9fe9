//! Several streams of a view as one log, merged by time.
//!
//! Within a stream the order is that of arrival, whatever its times say: an entry that is older than the one before it comes
//! right behind it. A stream is opened when the merge has come to its first entry, and given up at its end; so thousands of
//! containers that ran one after another need the memory of one.
//!
//! A line of several pieces is not torn apart: what other streams have waits for its end, as long as there is more of it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::replay::{Format, Output};
use crate::store::StoreView;
use crate::stream::{Footprint, Given, Progress, Query, Reader};
use crate::wire::Entry;

/// One stream, and how it is written.
#[derive(Clone, Debug)]
pub struct Track {
    /// Whose entries.
    pub container_id: String,
    /// Which of them.
    pub query: Query,
    /// None of its entries is older; the stream is not looked at before.
    pub begins_ns: i64,
    /// How they are written.
    pub format: Format,
    /// Stands before each line.
    pub prefix: Vec<u8>,
}

/// What was written.
#[derive(Debug, Default)]
pub struct Printed {
    /// All bytes.
    pub bytes: Vec<u8>,
    /// Where they go, each up to an offset in `bytes`.
    pub runs: Vec<(Output, usize)>,
    /// How many entries these are.
    pub entry_count: u64,
}

/// Several streams, being read.
#[derive(Debug)]
pub struct Playback {
    view: StoreView,
    only: Option<Output>,
    tracks: Vec<Playing>,
    /// Which track comes next, by the time of its next entry, or of the last one where that is not known yet.
    queue: BinaryHeap<Reverse<(i64, usize)>>,
    /// Whose line has been begun and not ended.
    open_line: Option<(usize, Output)>,
    /// The track whose line is longer than was wanted at the last call; it is not in the queue.
    interrupted: Option<usize>,
}

#[derive(Debug)]
struct Playing {
    track: Track,
    reader: Option<Reader>,
    /// All that was there at the last look has been read.
    is_at_end: bool,
    /// An entry was newer than the query wants.
    is_over: bool,
    /// The files at the last look.
    footprint: Option<Footprint>,
    /// Entries that were read and not given yet, and their bytes.
    rows: VecDeque<Row>,
    bytes: Vec<u8>,
    given_bytes: usize,
    /// The newest time so far.
    time_ns: i64,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    time_ns: i64,
    /// Where its bytes end.
    end: usize,
    output: Output,
    is_continued: bool,
}

impl Playback {
    /// Nothing yet. With `only`, entries of the other output are left out.
    pub fn new(view: StoreView, only: Option<Output>) -> Self {
        Self {
            view,
            only,
            tracks: Vec::new(),
            queue: BinaryHeap::new(),
            open_line: None,
            interrupted: None,
        }
    }

    /// Adds a stream. Of entries with the same time those of the stream that was added first come first.
    pub fn add(&mut self, track: Track) {
        self.queue
            .push(Reverse((track.begins_ns, self.tracks.len())));
        self.tracks.push(Playing {
            time_ns: track.begins_ns,
            track,
            reader: None,
            is_at_end: false,
            is_over: false,
            footprint: None,
            rows: VecDeque::new(),
            bytes: Vec::new(),
            given_bytes: 0,
        });
    }

    /// Gives entries: about `enough_bytes`, or as many as there are; none at the end of all streams.
    ///
    /// A stream that cannot be read is replaced by an entry that says so.
    pub fn next(&mut self, enough_bytes: usize, printed: &mut Printed) {
        while printed.bytes.len() < enough_bytes {
            // A line has no limit, but what is given at once has.
            let interrupted = self.interrupted.take();
            let first = || self.queue.pop().map(|Reverse((_, index))| index);
            let Some(index) = interrupted.or_else(first) else {
                return;
            };
            let Some(playing) = self.tracks.get_mut(index) else {
                return;
            };
            if playing.rows.is_empty() && !playing.fill(&self.view, self.only) {
                continue;
            }
            let others = self.queue.peek().map(|Reverse(other)| *other);
            let mut goes_on = interrupted.is_some();
            while let Some(row) = playing.rows.front().copied() {
                if printed.bytes.len() >= enough_bytes {
                    break;
                }
                if !goes_on && others.is_some_and(|other| (row.time_ns, index) > other) {
                    break;
                }
                playing.rows.pop_front();
                put_row(playing, index, row, &mut self.open_line, printed);
                goes_on = row.is_continued;
                if playing.rows.is_empty() && goes_on {
                    playing.fill(&self.view, self.only);
                }
            }
            if playing.is_at_end && playing.rows.is_empty() {
                playing.bytes = Vec::new();
                continue;
            }
            if goes_on {
                self.interrupted = Some(index);
                continue;
            }
            let next_ns = playing
                .rows
                .front()
                .map_or(playing.time_ns, |row| row.time_ns);
            self.queue.push(Reverse((next_ns, index)));
        }
    }

    /// Looks for what has come in since the streams ended. `next` gives it.
    pub fn look_again(&mut self) {
        for (index, playing) in self.tracks.iter_mut().enumerate() {
            if playing.is_waiting() && playing.is_changed(&self.view) {
                playing.is_at_end = false;
                self.queue.push(Reverse((playing.time_ns, index)));
            }
        }
    }

    /// Each stream has come to an entry that is newer than the query wants.
    pub fn is_over(&self) -> bool {
        self.tracks.iter().all(|playing| playing.is_over)
    }
}

impl Playing {
    /// It has given all that there was at the last look, and may have more at the next.
    fn is_waiting(&self) -> bool {
        self.is_at_end && !self.is_over && self.rows.is_empty()
    }

    fn is_changed(&self, view: &StoreView) -> bool {
        // Whatever cannot be looked at is told when it is read.
        view.footprint(&self.track.container_id)
            .map_or(true, |footprint| footprint != self.footprint)
    }

    /// Reads on until there are rows; `false`: there are none now.
    fn fill(&mut self, view: &StoreView, only: Option<Output>) -> bool {
        self.bytes.clear();
        self.given_bytes = 0;
        if self.reader.is_none() && !self.is_at_end {
            match self.look(view) {
                Ok(()) => self.is_at_end = self.reader.is_none(),
                Err(error) => {
                    let text = format!("logboom: the stream cannot be read: {error}");
                    let notice = Given {
                        entry: &Entry::own(self.time_ns, &text),
                        sequence: None,
                        is_own: true,
                    };
                    self.put(&notice);
                    self.is_at_end = true;
                }
            }
        }
        while !self.is_at_end && self.rows.is_empty() {
            self.read(only);
        }
        !self.rows.is_empty()
    }

    /// Looks at the files. What was there at the last look is passed over.
    fn look(&mut self, view: &StoreView) -> crate::Result<()> {
        // ORDER: the footprint first. What comes in behind it may be seen now, and makes the next look find nothing new.
        self.footprint = view.footprint(&self.track.container_id)?;
        if let Some(snapshot) = view.snapshot(&self.track.container_id)? {
            self.reader = Some(snapshot.read(&self.track.query)?);
            self.track.query.tail = None;
            self.track.query.from_sequence = Some(snapshot.end_sequence());
        }
        Ok(())
    }

    /// One step of the reader, which is given up at its end.
    fn read(&mut self, only: Option<Output>) {
        let Some(mut reader) = self.reader.take() else {
            self.is_at_end = true;
            return;
        };
        let progress = reader.step(&mut |given| {
            self.track.query.since_ns = None;
            if only.is_none_or(|only| only == Output::of(given.entry)) {
                self.put(given);
            }
        });
        if progress == Progress::End {
            self.is_at_end = true;
            self.is_over = reader.is_past_until();
        } else {
            self.reader = Some(reader);
        }
    }

    fn put(&mut self, given: &Given<'_>) {
        self.track.format.put(given, &mut self.bytes);
        self.time_ns = self.time_ns.max(given.entry.time_ns);
        self.rows.push_back(Row {
            time_ns: self.time_ns,
            end: self.bytes.len(),
            output: Output::of(given.entry),
            is_continued: given.entry.is_continued() && self.track.format.is_text(),
        });
    }
}

fn put_row(
    playing: &mut Playing,
    index: usize,
    row: Row,
    open_line: &mut Option<(usize, Output)>,
    printed: &mut Printed,
) {
    let prefix = &playing.track.prefix;
    match *open_line {
        Some((other, _)) if other == index => {}
        // No more of that line has come.
        Some((_, output)) if !prefix.is_empty() => {
            printed.put(output, b"\n");
            printed.put(row.output, prefix);
        }
        _ => printed.put(row.output, prefix),
    }
    let bytes = playing.bytes.get(playing.given_bytes..row.end);
    printed.put(row.output, bytes.unwrap_or_default());
    printed.entry_count += 1;
    playing.given_bytes = row.end;
    *open_line = row.is_continued.then_some((index, row.output));
}

impl Printed {
    fn put(&mut self, output: Output, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        match self.runs.last_mut() {
            Some((last, end)) if *last == output => *end = self.bytes.len(),
            _ => self.runs.push((output, self.bytes.len())),
        }
    }
}

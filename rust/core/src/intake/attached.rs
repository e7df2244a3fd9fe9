//! One session as the reactor has it: its FIFO, and where its bytes go.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::cutter::CutterThread;
use super::dropped::{Dropped, tally_path};
use super::faults::Faults;
use super::fifo::{probe, unlink_fifo};
use super::pipe::{PipeBudget, PipeSize};
use super::room::Room;
use super::traffic::{Received, Traffic};
use crate::block::BLOCK_TARGET_BYTES;
use crate::clock::Clock;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::journal::{GenerationHeader, JournalWriter};
use crate::stats::{Counters, add};
use crate::store::Store;
use crate::stream::{CutWhen, Resumed, Session, Stream};
use crate::sync_log::{Place, SyncLog, SyncWhen};

/// What all sessions of the reactor share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) clock: Clock,
    pub(super) cutter: Arc<CutterThread>,
    pub(super) counters: Arc<Counters>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) faults: Arc<Faults>,
    pub(super) budget: PipeBudget,
    /// Where it is counted in memory what is dropped.
    pub(super) tally_folder: PathBuf,
    /// Memory for reading back what was taken.
    pub(super) chunk: Vec<u8>,
}

/// How far the sync log holds a session's newest generation.
#[derive(Clone, Copy, Debug, Default)]
struct Logged {
    epoch: u64,
    offset: u64,
    entry_count: u64,
}

/// A log that could not be written or synced is given up, and another is tried once. A disk that refuses that, too, keeps no
/// promise; entries are shown all the same.
const LOG_TRIES: usize = 2;

/// Shows readers and the cutter what was found in these sessions' journals. Under `always` it survives a power cut before that.
pub(super) fn show(found: &mut [&mut Attached], shared: &mut Shared) {
    if shared.store.sync_when() == SyncWhen::Always {
        let mut logged = Ok(());
        for _ in 0..LOG_TRIES {
            logged = shared.store.log(|log, disk| {
                found
                    .iter_mut()
                    .try_for_each(|session| session.log(log, disk))
            });
            if logged.is_ok() {
                break;
            }
            add(&shared.counters.storage_errors_total, 1);
        }
        shared.faults.unsynced.note(&logged);
    }
    for session in found {
        session.show(shared);
    }
}

/// Where a session's bytes go.
#[derive(Debug)]
enum Sink {
    /// Nowhere yet: the session's next generation begins so.
    Idle(Resumed),
    /// Into the stream's newest generation.
    Journal(JournalWriter),
    /// The store refuses.
    Dropped(Dropped),
}

#[derive(Debug)]
pub(super) struct Attached {
    session: Arc<Session>,
    stream: Option<Arc<Stream>>,
    fifo: OwnedFd,
    fifo_path: PathBuf,
    pipe: PipeSize,
    received: Arc<Received>,
    sink: Sink,
    logged: Logged,
    /// What an earlier worker left of the session is known.
    is_resumed: bool,
    /// Nothing more will come. The session is here only since the stream could not be told what was dropped.
    is_over: bool,
    taken_at: Instant,
    room: Room,
}

impl Attached {
    pub(super) fn new(
        session: Arc<Session>,
        stream: Option<Arc<Stream>>,
        fifo: OwnedFd,
        fifo_path: PathBuf,
        dropped: Option<Dropped>,
        shared: &mut Shared,
    ) -> Self {
        let now = Instant::now();
        let pipe = PipeSize::new(fifo.as_fd(), &mut shared.budget, now);
        // A stream that was removed meanwhile has another in its place, which is looked up later.
        let stream = stream.filter(|stream| stream.begin_session(&session));
        if let Some(stream) = &stream {
            // An earlier worker may have left journal bytes.
            shared.cutter.note(stream, now);
        }
        let received = shared.traffic.counter(&session.facts.facts);
        let sink = dropped.map_or_else(|| Sink::Idle(Resumed::default()), Sink::Dropped);
        Self {
            session,
            stream,
            fifo,
            fifo_path,
            pipe,
            received,
            sink,
            logged: Logged::default(),
            is_resumed: false,
            is_over: false,
            taken_at: now,
            room: Room::default(),
        }
    }

    pub(super) fn fifo(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }

    pub(super) fn fifo_path(&self) -> &Path {
        &self.fifo_path
    }

    pub(super) fn session_id(&self) -> u64 {
        self.session.id
    }

    pub(super) fn file(&self) -> &str {
        &self.session.facts.file
    }

    pub(super) fn container_id(&self) -> &str {
        &self.session.facts.container_id
    }

    /// When something was last taken, if that went into the stream's newest generation.
    pub(super) fn has_the_turn_since(&self) -> Option<Instant> {
        matches!(self.sink, Sink::Journal(_)).then_some(self.taken_at)
    }

    /// The next bytes need a generation to go to. A session that never prints never does, and leaves nothing in the store.
    pub(super) fn needs_generation(&self, now: Instant) -> bool {
        let may_begin = match &self.sink {
            Sink::Idle(_) => true,
            Sink::Dropped(dropped) => dropped.is_due(now),
            Sink::Journal(writer) => {
                let is_cut = || {
                    self.stream
                        .as_ref()
                        .is_some_and(|stream| stream.is_cut(writer.generation()))
                };
                return writer.is_full(is_cut);
            }
        };
        may_begin && self.held_bytes() > 0
    }

    /// How many bytes the FIFO holds right now.
    pub(super) fn held_bytes(&self) -> usize {
        let bytes = rustix::io::ioctl_fionread(&self.fifo).unwrap_or(0);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Begins the session's next generation. No other session of the container may have an open one.
    pub(super) fn begin(&mut self, shared: &mut Shared) {
        self.publish(shared);
        self.close_journal();
        if let Err(error) = self.try_begin(shared) {
            self.refuse(&error, shared);
        }
    }

    fn try_begin(&mut self, shared: &mut Shared) -> Result<()> {
        let stream = self.resume(shared)?;
        shared
            .store
            .may_grow()
            .map_err(Error::io("add to", stream.folder()))?;
        shared.store.begin_log()?;
        let now_ns = shared.clock.now_ns();
        let (position, initial) = match &self.sink {
            Sink::Journal(_) => return Ok(()),
            Sink::Idle(Resumed { position, torn }) => (*position, torn.clone()),
            Sink::Dropped(dropped) => (dropped.position(), dropped.initial_bytes(now_ns)),
        };
        let writer = stream.begin_generation(&self.session, position, &initial, now_ns)?;
        // ORDER: what is told is counted, and the stream tells it before the tally goes.
        self.count_dropped(shared);
        if let Sink::Dropped(told) = std::mem::replace(&mut self.sink, Sink::Journal(writer)) {
            told.remove(shared.store.disk());
        }
        self.logged = Logged::default();
        self.publish(shared);
        // The cutter writes down whose entries these are.
        shared.cutter.request(&stream, CutWhen::Full);
        Ok(())
    }

    /// Finds the session's stream, and what an earlier worker has left there of the session.
    fn resume(&mut self, shared: &Shared) -> Result<Arc<Stream>> {
        let stream = if let Some(stream) = &self.stream {
            Arc::clone(stream)
        } else {
            let stream = shared.store.stream_of(&self.session)?;
            self.stream = Some(Arc::clone(&stream));
            stream
        };
        if !self.is_resumed {
            let resumed = stream.resume_session(&self.session)?;
            let disk = shared.store.disk();
            match std::mem::replace(&mut self.sink, Sink::Idle(Resumed::default())) {
                Sink::Dropped(mut dropped) if !dropped.is_told(resumed.position) => {
                    // What followed a frame that was torn when the store began to refuse is counted.
                    dropped.set_position(disk, resumed.position);
                    self.sink = Sink::Dropped(dropped);
                }
                Sink::Dropped(told) => {
                    told.remove(disk);
                    self.sink = Sink::Idle(resumed);
                }
                _ => self.sink = Sink::Idle(resumed),
            }
            self.is_resumed = true;
        }
        Ok(stream)
    }

    /// The stream learns of its session as soon as the store can be opened, not only with the next byte.
    pub(super) fn is_known(&mut self, shared: &Shared) -> bool {
        self.stream.is_some() || self.resume(shared).is_ok()
    }

    /// One system call's worth; `Ok(0)`: no writer is left. A store that refuses turns into dropping, and is no error here.
    ///
    /// # Errors
    /// `WouldBlock` when the FIFO is empty; whatever else comes passes with the next round.
    pub(super) fn take(&mut self, shared: &mut Shared) -> io::Result<usize> {
        let taken = match &mut self.sink {
            Sink::Idle(_) => return probe(self.fifo.as_fd()),
            Sink::Dropped(dropped) => {
                let now_ns = shared.clock.now_ns();
                return dropped.take(shared.store.disk(), self.fifo.as_fd(), now_ns);
            }
            Sink::Journal(writer) => writer.take(self.fifo.as_fd(), || shared.store.may_grow()),
        };
        if let (Err(error), Sink::Journal(writer)) = (&taken, &self.sink) {
            if !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) {
                let path = writer.generation().path().to_owned();
                let raw = error
                    .raw_os_error()
                    .map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
                // What has been taken before stays readable.
                self.publish(shared);
                self.refuse(&Error::io("append to", &path)(raw), shared);
            }
        }
        taken
    }

    /// Notes how much a round has taken, and finds the entries in it.
    pub(super) fn taken(&mut self, taken_bytes: usize, shared: &mut Shared) {
        self.taken_at = Instant::now();
        self.room = Room::default();
        self.pipe.taken(
            taken_bytes,
            self.fifo.as_fd(),
            &mut shared.budget,
            self.taken_at,
        );
        add(&shared.counters.intake_bytes_total, taken_bytes as u64);
        self.received.add_bytes(taken_bytes as u64);
        self.find(shared);
    }

    fn find(&mut self, shared: &mut Shared) {
        let Sink::Journal(writer) = &mut self.sink else {
            return;
        };
        if let Err(error) = writer.find(&mut shared.chunk) {
            let error = Error::io("read", writer.generation().path())(error);
            self.refuse(&error, shared);
        }
    }

    /// Adds what was found to the sync log.
    fn log(&mut self, log: &mut SyncLog, disk: &dyn Disk) -> Result<()> {
        let Sink::Journal(writer) = &self.sink else {
            return Ok(());
        };
        if self.logged.epoch != log.epoch() {
            self.logged = Logged {
                epoch: log.epoch(),
                ..Logged::default()
            };
        }
        let (found, header) = (writer.found(), writer.generation().header());
        if found.offset == self.logged.offset {
            return Ok(());
        }
        let mut bytes = Vec::new();
        writer
            .read_found(self.logged.offset, &mut bytes)
            .map_err(Error::io("read", writer.generation().path()))?;
        let place = Place {
            container_id: self.session.facts.container_id.clone(),
            header: GenerationHeader {
                start: header.start + self.logged.offset,
                first_sequence: header.first_sequence + self.logged.entry_count,
                ..header.clone()
            },
        };
        log.append(disk, &place, &bytes)?;
        self.logged.offset = found.offset;
        self.logged.entry_count = found.entry_count;
        Ok(())
    }

    fn show(&mut self, shared: &mut Shared) {
        let Sink::Journal(writer) = &self.sink else {
            return;
        };
        let entries = writer.show();
        if entries > 0 {
            add(&shared.counters.intake_entries_total, entries);
            self.received.add_entries(entries);
            self.tell(shared);
        }
    }

    fn publish(&mut self, shared: &mut Shared) {
        self.find(shared);
        show(&mut [self], shared);
    }

    fn tell(&self, shared: &Shared) {
        let Some(stream) = &self.stream else { return };
        if stream.published() >= BLOCK_TARGET_BYTES {
            shared.cutter.request(stream, CutWhen::Full);
        } else {
            shared.cutter.note(stream, self.taken_at);
        }
    }

    /// The store does not take this session's entries: they are dropped and counted until it does again. Where the disk is
    /// full retention is asked first, once: entries stay in the FIFO for the moment that it takes.
    fn refuse(&mut self, error: &Error, shared: &mut Shared) {
        let now = Instant::now();
        self.close_journal();
        if error.is_full() {
            // Blocks take less room than the journal that they are made from.
            self.cut_all(shared);
            let is_asked_now = self.room.ask(&shared.cutter, now);
            if is_asked_now && matches!(self.sink, Sink::Idle(_)) {
                return;
            }
        }
        add(&shared.counters.storage_errors_total, 1);
        shared.faults.dropping.note_error(error);
        match &mut self.sink {
            Sink::Journal(_) => {}
            Sink::Dropped(dropped) => dropped.tried(now),
            Sink::Idle(Resumed { position, torn }) => {
                let dropped = Dropped::begin(
                    shared.store.disk(),
                    tally_path(&shared.tally_folder, &self.session),
                    self.is_resumed.then_some(*position),
                    std::mem::take(torn),
                    error,
                    shared.clock.now_ns(),
                );
                if let (true, Some(stream)) = (dropped.is_saved(), &self.stream) {
                    // The tally has it, and the journal can go.
                    stream.forget_torn(&self.session);
                }
                self.sink = Sink::Dropped(dropped);
                self.cut_all(shared);
            }
        }
    }

    fn cut_all(&self, shared: &Shared) {
        if let Some(stream) = &self.stream {
            shared.cutter.request(stream, CutWhen::All);
        }
    }

    /// Whether its entries stay in the FIFO since retention makes room for them.
    pub(super) fn waits_for_room(&self, shared: &Shared) -> bool {
        matches!(self.sink, Sink::Idle(_)) && self.room.is_awaited(&shared.cutter, Instant::now())
    }

    /// No time is left to wait for room.
    pub(super) fn stop_waiting(&mut self) {
        self.room.stop_waiting();
    }

    /// Whether entries are being dropped.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.sink, Sink::Dropped(_))
    }

    /// Whether the store should be tried again although the FIFO is quiet.
    pub(super) fn is_retry_due(&self, now: Instant) -> bool {
        matches!(&self.sink, Sink::Dropped(dropped) if dropped.is_due(now))
    }

    /// Adds what was dropped to the counters.
    pub(super) fn count_dropped(&mut self, shared: &Shared) {
        if let Sink::Dropped(dropped) = &mut self.sink {
            let (entries, bytes) = dropped.take_uncounted();
            add(&shared.counters.dropped_entries_total, entries);
            add(&shared.counters.dropped_bytes_total, bytes);
        }
    }

    /// Shrinks a FIFO that has been idle; says whether it may still have to.
    pub(super) fn shrink_if_idle(&mut self, now: Instant, shared: &mut Shared) -> bool {
        self.pipe
            .shrink_if_idle(self.fifo.as_fd(), &mut shared.budget, now)
    }

    /// Lets another session of the container have its turn; the next generation begins with what is torn.
    pub(super) fn yield_turn(&mut self, shared: &mut Shared) {
        self.publish(shared);
        self.close_journal();
    }

    /// Ends a generation that lies in blocks and will not grow any more, so that its room gets free although the container is
    /// quiet; says whether it may become one.
    pub(super) fn close_if_cut(&mut self, now: Instant, shared: &mut Shared) -> bool {
        let Sink::Journal(writer) = &self.sink else {
            return false;
        };
        if !writer.is_large() {
            return false;
        }
        if !self.needs_generation(now) {
            return true;
        }
        self.yield_turn(shared);
        self.cut_all(shared);
        false
    }

    fn close_journal(&mut self) {
        match std::mem::replace(&mut self.sink, Sink::Idle(Resumed::default())) {
            Sink::Journal(writer) => {
                writer.show();
                let position = writer.boundary_position();
                // If the torn frame cannot be read back, its rest in the FIFO counts as damage.
                let torn = writer.close().unwrap_or_default();
                self.sink = Sink::Idle(Resumed { position, torn });
            }
            other => self.sink = other,
        }
    }

    /// Whether something is left that needs a generation before the session can end: entries that were dropped, or a torn
    /// frame, an earlier worker's included. It will never be whole, so what tells of it stands in its place from now on.
    pub(super) fn has_rest(&mut self, shared: &mut Shared) -> bool {
        self.stop_waiting();
        let stream = self.resume(shared);
        self.publish(shared);
        self.close_journal();
        match (&mut self.sink, stream) {
            (Sink::Dropped(dropped), _) => {
                dropped.finish(shared.clock.now_ns());
                dropped.has_entries()
            }
            (Sink::Idle(rest), Ok(stream)) if !rest.torn.is_empty() => {
                match stream.name_torn_rest(&self.session, rest, shared.clock.now_ns()) {
                    Ok(initial) => rest.torn = initial,
                    Err(error) => self.refuse(&error, shared),
                }
                true
            }
            _ => false,
        }
    }

    /// Ends the session, with all its entries published. `remove_fifo`: dockerd has gone and will not do it.
    ///
    /// Where the stream cannot be told now what was dropped the session comes back: only its followers have ended.
    pub(super) fn end(mut self, remove_fifo: bool, shared: &mut Shared) -> Option<Self> {
        self.close_journal();
        self.count_dropped(shared);
        if remove_fifo {
            unlink_fifo(self.fifo.as_fd(), &self.fifo_path);
        }
        match self.sink {
            Sink::Dropped(ref dropped) if dropped.has_entries() => {
                if let Some(stream) = &self.stream {
                    stream.end_followers(&self.session);
                }
                self.is_over = true;
                return Some(self);
            }
            Sink::Dropped(dropped) => dropped.remove(shared.store.disk()),
            _ => {}
        }
        self.pipe.release(&mut shared.budget);
        // Without a stream the record stays: the next worker finds that the session has ended, and what it has left.
        if let Some(stream) = self.stream {
            stream.end_session(&self.session);
            shared.cutter.request(&stream, CutWhen::All);
        }
        None
    }

    /// Whether only what was dropped is left to be told.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}

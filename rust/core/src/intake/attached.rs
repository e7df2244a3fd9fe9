//! One session as the reactor has it: its FIFO, and where its bytes go.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, tee};

use super::cutter::CutterThread;
use super::dropped::Dropped;
use super::pipe::{PipeBudget, PipeSize};
use crate::block::BLOCK_TARGET_BYTES;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::journal::JournalWriter;
use crate::stats::{Counters, add};
use crate::store::{Store, remove_record};
use crate::stream::{CutWhen, Resumed, Session, Stream};

/// What all sessions of the reactor share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) clock: Clock,
    pub(super) cutter: Arc<CutterThread>,
    pub(super) counters: Arc<Counters>,
    pub(super) fault: Arc<Fault>,
    pub(super) budget: PipeBudget,
    /// Memory for reading back what was taken.
    pub(super) chunk: Vec<u8>,
}

/// Where a session's bytes go.
#[derive(Debug)]
enum Sink {
    /// Nowhere yet: the session's next generation begins at this position with these bytes of a torn frame.
    Idle { position: u64, torn: Vec<u8> },
    /// Into the stream's newest generation.
    Journal(JournalWriter),
    /// The store refuses.
    Dropped { position: u64, dropped: Dropped },
}

#[derive(Debug)]
pub(super) struct Attached {
    session: Arc<Session>,
    stream: Option<Arc<Stream>>,
    fifo: OwnedFd,
    fifo_path: PathBuf,
    pipe: PipeSize,
    sink: Sink,
    /// What an earlier worker left of the session is known.
    is_resumed: bool,
    taken_at: Instant,
}

impl Attached {
    pub(super) fn new(
        session: Arc<Session>,
        stream: Option<Arc<Stream>>,
        fifo: OwnedFd,
        fifo_path: PathBuf,
        shared: &mut Shared,
    ) -> Self {
        let now = Instant::now();
        let pipe = PipeSize::new(fifo.as_fd(), &mut shared.budget, now);
        if let Some(stream) = &stream {
            stream.begin_session(&session);
            // An earlier worker may have left journal bytes.
            shared.cutter.note(stream, now);
        }
        let sink = Sink::Idle {
            position: 0,
            torn: Vec::new(),
        };
        Self {
            session,
            stream,
            fifo,
            fifo_path,
            pipe,
            sink,
            is_resumed: false,
            taken_at: now,
        }
    }

    pub(super) fn fifo(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
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
            Sink::Idle { .. } => true,
            Sink::Dropped { dropped, .. } => dropped.is_due(now),
            Sink::Journal(writer) => {
                let is_cut = || {
                    self.stream
                        .as_ref()
                        .is_some_and(|stream| stream.is_cut(writer.generation()))
                };
                return writer.is_full(is_cut);
            }
        };
        may_begin && rustix::io::ioctl_fionread(&self.fifo).is_ok_and(|bytes| bytes > 0)
    }

    /// Begins the session's next generation, or goes on with the one that an earlier worker has left. No other session of
    /// the container may have an open one.
    pub(super) fn begin(&mut self, shared: &mut Shared) {
        self.publish(shared);
        self.close_journal();
        if let Err(error) = self.try_begin(shared) {
            self.refuse(&error, shared);
        }
    }

    fn try_begin(&mut self, shared: &mut Shared) -> Result<()> {
        let stream = self.resume(shared)?;
        let now_ns = shared.clock.now_ns();
        let (position, initial) = match &self.sink {
            Sink::Journal(_) => return Ok(()),
            Sink::Idle { position, torn } => (*position, torn.clone()),
            Sink::Dropped { position, dropped } => (*position, dropped.initial_bytes(now_ns)),
        };
        let writer = stream.begin_generation(&self.session, position, &initial, now_ns)?;
        self.sink = Sink::Journal(writer);
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
            let stream = shared.store.stream(self.container_id())?;
            stream.begin_session(&self.session);
            self.stream = Some(Arc::clone(&stream));
            stream
        };
        if !self.is_resumed {
            let found = match stream.resume_session(&self.session)? {
                Resumed::Writer(writer) => Sink::Journal(writer),
                Resumed::Torn { position, torn } => Sink::Idle { position, torn },
            };
            if let Sink::Dropped { dropped, .. } = std::mem::replace(&mut self.sink, found) {
                // The store refused until now, so what followed the torn frame is gone.
                self.close_journal();
                self.sink = Sink::Dropped {
                    position: self.position(),
                    dropped,
                };
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
    pub(super) fn take(&mut self, most: usize, shared: &mut Shared) -> io::Result<usize> {
        let taken = match &mut self.sink {
            Sink::Idle { .. } => return probe(self.fifo.as_fd()),
            Sink::Dropped { dropped, .. } => return dropped.take(self.fifo.as_fd()),
            Sink::Journal(writer) => writer.take(self.fifo.as_fd(), most),
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
                self.refuse(&Error::io("append to", &path)(raw), shared);
            }
        }
        taken
    }

    /// Notes how much a round has taken, and shows it to readers and to the cutter.
    pub(super) fn taken(&mut self, taken_bytes: usize, shared: &mut Shared) {
        self.taken_at = Instant::now();
        self.pipe.taken(
            taken_bytes,
            self.fifo.as_fd(),
            &mut shared.budget,
            self.taken_at,
        );
        add(&shared.counters.intake_bytes_total, taken_bytes as u64);
        self.publish(shared);
    }

    fn publish(&mut self, shared: &mut Shared) {
        let Sink::Journal(writer) = &mut self.sink else {
            return;
        };
        match writer.publish(&mut shared.chunk) {
            Ok(0) => {}
            Ok(entries) => {
                add(&shared.counters.intake_entries_total, entries);
                self.tell(shared);
            }
            Err(error) => {
                let error = Error::io("read", writer.generation().path())(error);
                self.refuse(&error, shared);
            }
        }
    }

    fn tell(&self, shared: &Shared) {
        let Some(stream) = &self.stream else { return };
        if stream.published() >= BLOCK_TARGET_BYTES {
            shared.cutter.request(stream, CutWhen::Full);
        } else {
            shared.cutter.note(stream, self.taken_at);
        }
    }

    /// The store does not take this session's entries: they are dropped and counted until it does again.
    fn refuse(&mut self, error: &Error, shared: &mut Shared) {
        add(&shared.counters.storage_errors_total, 1);
        shared.fault.note_error(error);
        let now = Instant::now();
        self.close_journal();
        match &mut self.sink {
            Sink::Journal(_) => {}
            Sink::Dropped { dropped, .. } => dropped.tried(now),
            Sink::Idle { position, torn } => {
                let dropped = Dropped::new(error, std::mem::take(torn), shared.clock.now_ns(), now);
                self.sink = Sink::Dropped {
                    position: *position,
                    dropped,
                };
            }
        }
    }

    /// Whether entries are being dropped.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.sink, Sink::Dropped { .. })
    }

    /// Whether the store should be tried again although the FIFO is quiet.
    pub(super) fn is_retry_due(&self, now: Instant) -> bool {
        matches!(&self.sink, Sink::Dropped { dropped, .. } if dropped.is_due(now))
    }

    /// Adds what was dropped to the counters.
    pub(super) fn count_dropped(&mut self, shared: &Shared) {
        if let Sink::Dropped { dropped, .. } = &mut self.sink {
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

    fn close_journal(&mut self) {
        let position = self.position();
        match std::mem::replace(
            &mut self.sink,
            Sink::Idle {
                position,
                torn: Vec::new(),
            },
        ) {
            // If the torn frame cannot be read back, its rest in the FIFO counts as damage.
            Sink::Journal(writer) => {
                let torn = writer.close().unwrap_or_default();
                self.sink = Sink::Idle { position, torn };
            }
            other => self.sink = other,
        }
    }

    /// Where the session's next generation begins.
    fn position(&self) -> u64 {
        match &self.sink {
            Sink::Idle { position, .. } | Sink::Dropped { position, .. } => *position,
            Sink::Journal(writer) => writer.boundary_position(),
        }
    }

    /// Something is left that needs a generation before the session can end.
    pub(super) fn has_rest(&mut self) -> bool {
        match &mut self.sink {
            Sink::Journal(_) => false,
            Sink::Idle { torn, .. } => !torn.is_empty(),
            Sink::Dropped { dropped, .. } => {
                dropped.finish();
                dropped.entry_count > 0
            }
        }
    }

    /// Ends the session, with all its entries published and a torn rest among them as damage. `remove_fifo`: dockerd has
    /// gone and will not do it.
    pub(super) fn end(mut self, remove_fifo: bool, shared: &mut Shared) {
        if self.resume(shared).is_ok() {
            self.publish(shared);
        }
        let idle = Sink::Idle {
            position: self.position(),
            torn: Vec::new(),
        };
        match std::mem::replace(&mut self.sink, idle) {
            Sink::Journal(writer) => match writer.finish(&mut shared.chunk) {
                Ok(entries) => add(&shared.counters.intake_entries_total, entries),
                Err(_) => add(&shared.counters.storage_errors_total, 1),
            },
            other => self.sink = other,
        }
        self.count_dropped(shared);
        self.pipe.release(&mut shared.budget);
        match self.stream {
            Some(stream) => {
                stream.end_session(&self.session);
                shared.cutter.request(&stream, CutWhen::All);
            }
            None => remove_record(shared.store.disk(), &self.session),
        }
        if remove_fifo {
            // Somebody else may have removed it.
            let _ = rustix::fs::unlink(&self.fifo_path);
        }
    }
}

/// What reading an empty FIFO would say, without taking a byte that comes in between: `Ok(0)` when no writer is left.
///
/// poll(2) does not tell: a FIFO that was opened after its last writer had gone is never reported as hung up.
fn probe(fifo: BorrowedFd<'_>) -> io::Result<usize> {
    let (_read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    match tee(fifo, &write, 1, SpliceFlags::NONBLOCK)? {
        0 => Ok(0),
        // Something has come; it is taken in the next round, when there is somewhere to take it to.
        _ => Err(io::ErrorKind::WouldBlock.into()),
    }
}

//! From FIFOs into journals, and from journals into blocks.
//!
//! Two threads, and nothing of one waits for the other:
//!
//! * the *reactor* waits for all FIFOs at once and splices what they hold into the journals;
//! * the *cutter* turns journals into blocks, and looks after what is due by time and what the store may hold.
//!
//! Callers talk to the reactor through a queue and an eventfd. What they ask is done between two rounds over the FIFOs, in
//! well under a millisecond unless the disk stalls.

mod attached;
mod cutter;
mod dropped;
mod earlier;
mod faults;
mod fifo;
mod pipe;
mod poller;
mod reactor;
mod retention;
mod room;
mod traffic;

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::retry_on_intr;

pub use cutter::CutterSettings;
pub use fifo::{fifo_path, open_fifo, remove_orphan};
pub use traffic::{Received, Traffic};

use crate::clock::Clock;
use crate::disk::Stalls;
use crate::error::{Error, Result};
use crate::stats::Counters;
use crate::store::{Removal, Store, StoreLimits};
use crate::stream::{Session, Stream};
use attached::Shared;
use cutter::CutterThread;
use earlier::Earlier;
use faults::Faults;
use pipe::PipeBudget;
use reactor::Reactor;

/// How often who waits for the reactor looks whether the disk stalls. The answer mostly comes in less than a millisecond.
const STALL_LOOK: Duration = Duration::from_millis(100);

/// LIMIT: so many removed journals wait to be closed at most, each of which has its space on the disk until then.
const CLOSING_LIMIT: usize = 16;

/// What the reactor is asked to do.
#[derive(Debug)]
enum Command {
    /// Take a session's FIFO from now on; `false`: another session has it.
    Attach {
        session: Arc<Session>,
        stream: Option<Arc<Stream>>,
        fifo: OwnedFd,
        fifo_path: PathBuf,
        done: SyncSender<bool>,
    },
    /// Take what a container's FIFOs hold right now; those of all containers without an id.
    Drain {
        container_id: Option<String>,
        done: SyncSender<()>,
    },
    /// Take what a FIFO holds, and end its session; `false`: nobody has it.
    Stop {
        file: String,
        done: SyncSender<Result<bool>>,
    },
    /// Look for the sessions that earlier workers had.
    Look { done: SyncSender<()> },
    /// Take what all FIFOs hold, and end the thread. Sessions stay as they are.
    Shutdown,
}

/// The queue to the reactor, and its bell.
#[derive(Debug)]
struct Inbox {
    /// `None`: nobody receives any more.
    commands: Mutex<Option<VecDeque<Command>>>,
    bell: OwnedFd,
}

impl Inbox {
    fn new() -> std::io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            commands: Mutex::new(Some(VecDeque::new())),
            bell,
        })
    }

    fn commands(&self) -> MutexGuard<'_, Option<VecDeque<Command>>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, command: Command) {
        if let Some(commands) = &mut *self.commands() {
            commands.push_back(command);
        }
        // A counter that is full is readable already.
        let _ = retry_on_intr(|| rustix::io::write(&self.bell, &1_u64.to_le_bytes()));
    }

    fn receive(&self) -> VecDeque<Command> {
        // Not readable: nobody has rung since the last time. One that could not be read rings on.
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        let mut commands = self.commands();
        commands.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Answers go with what is not received.
    fn close(&self) {
        *self.commands() = None;
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// What the intake goes by.
#[derive(Debug)]
pub struct IntakeSettings {
    /// Put before every path that dockerd names.
    pub fifo_root: PathBuf,
    /// What all FIFOs together may hold above the kernel's default.
    pub pipe_budget_bytes: u64,
    /// How many containers' names have counters of their own.
    pub named_containers: usize,
    /// Where it is counted in memory what is dropped.
    pub tally_folder: PathBuf,
    /// What the cutter goes by.
    pub cutter: CutterSettings,
}

/// The running threads.
#[derive(Debug)]
pub struct Intake {
    inbox: Arc<Inbox>,
    cutter: Arc<CutterThread>,
    faults: Arc<Faults>,
    traffic: Arc<Traffic>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Intake {
    /// Starts the threads.
    ///
    /// # Errors
    /// No thread or file descriptor is left.
    pub fn start(
        store: Arc<Store>,
        clock: Clock,
        counters: Arc<Counters>,
        stalls: &Arc<Stalls>,
        settings: IntakeSettings,
    ) -> Result<Self> {
        let failed = |source| Error::io("start", Path::new("the intake"))(source);
        let inbox = Arc::new(Inbox::new().map_err(failed)?);
        let cutter = Arc::new(CutterThread::new(
            Arc::clone(&store),
            clock.clone(),
            Arc::clone(&counters),
            settings.cutter,
        ));
        let faults = Arc::new(Faults::default());
        let traffic = Arc::new(Traffic::new(settings.named_containers));
        let shared = Shared {
            store,
            clock,
            cutter: Arc::clone(&cutter),
            counters,
            traffic: Arc::clone(&traffic),
            faults: Arc::clone(&faults),
            budget: PipeBudget::new(settings.pipe_budget_bytes),
            tally_folder: settings.tally_folder,
            chunk: Vec::new(),
        };
        let earlier = Earlier::new(settings.fifo_root, shared.tally_folder.clone());
        let reactor = Reactor::new(Arc::clone(&inbox), earlier, shared).map_err(failed)?;
        let run_cutter = Arc::clone(&cutter);
        let (closing, closed) = sync_channel(CLOSING_LIMIT);
        let threads = vec![
            spawn("logboom-intake", stalls, move || reactor.run()).map_err(failed)?,
            spawn("logboom-cutter", stalls, move || run_cutter.run(closing)).map_err(failed)?,
            spawn("logboom-closer", stalls, move || {
                closed.iter().for_each(drop);
            })
            .map_err(failed)?,
        ];
        Ok(Self {
            inbox,
            cutter,
            faults,
            traffic,
            threads: Mutex::new(threads),
        })
    }

    /// Why entries are being dropped, or not compressed, or come late.
    pub fn fault(&self) -> Option<String> {
        let faults = &self.faults;
        faults
            .dropping
            .get()
            .or_else(|| self.cutter.fault())
            .or_else(|| faults.unsynced.get())
            .or_else(|| faults.unwatched.get())
    }

    /// Why sessions of earlier workers are not found yet, or cannot be, or this worker's cannot be found by the next one.
    pub fn session_fault(&self) -> Option<String> {
        let faults = &self.faults;
        faults.unfound.get().or_else(|| faults.unrecorded.get())
    }

    /// How writing down a session went; the last one counts.
    pub fn note_record(&self, written: &Result<()>) {
        self.faults.unrecorded.note(written);
    }

    /// What came from whom.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Sets the limits over all streams.
    pub fn set_limits(&self, limits: StoreLimits) {
        self.cutter.set_limits(limits);
    }

    /// Heeds other default options: in the streams that are in use at once, and in all others afterwards if `all` is set.
    pub fn heed_options(&self, all: bool) {
        self.cutter.heed_options(all);
    }

    /// Removes a stream, unless something runs in it. What its sessions had printed when this was called is in it, and goes, too.
    ///
    /// # Errors
    /// The store was closed, the disk refused, or the id cannot name a folder.
    pub fn remove(&self, container_id: &str) -> Result<Removal> {
        self.cutter.remove(container_id)
    }

    /// Sends a command and waits until it is done; `None` when the reactor has ended.
    fn ask<T>(&self, command: impl FnOnce(SyncSender<T>) -> Command) -> Option<T> {
        let (done, answer) = sync_channel(1);
        self.inbox.send(command(done));
        answer.recv().ok()
    }

    /// Looks for the sessions that earlier workers had, and takes their FIFOs. Those that may be found later are looked for again.
    ///
    /// # Errors
    /// The store was closed.
    pub fn look_for_earlier(&self) -> Result<()> {
        self.ask(|done| Command::Look { done }).ok_or(Error::Closed)
    }

    /// Takes a session's FIFO from now on; `false` when another session has it.
    ///
    /// # Errors
    /// The store was closed.
    pub fn attach(
        &self,
        session: Arc<Session>,
        stream: Option<Arc<Stream>>,
        fifo: OwnedFd,
        fifo_path: PathBuf,
    ) -> Result<bool> {
        self.ask(|done| Command::Attach {
            session,
            stream,
            fifo,
            fifo_path,
            done,
        })
        .ok_or(Error::Closed)
    }

    /// Takes what the FIFOs of all containers hold right now.
    ///
    /// # Errors
    /// The store was closed.
    pub fn drain(&self) -> Result<()> {
        self.ask(|done| Command::Drain {
            container_id: None,
            done,
        })
        .ok_or(Error::Closed)
    }

    /// Takes what a container's FIFOs hold right now, unless the disk stalls: that stays there until the disk answers, and nobody
    /// waits for it.
    ///
    /// # Errors
    /// The store was closed.
    pub fn drain_unless(&self, is_stalled: impl Fn() -> bool, container_id: &str) -> Result<()> {
        let (done, answer) = sync_channel(1);
        self.inbox.send(Command::Drain {
            container_id: Some(container_id.to_owned()),
            done,
        });
        loop {
            match answer.recv_timeout(STALL_LOOK) {
                Ok(()) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(Error::Closed),
                Err(RecvTimeoutError::Timeout) if is_stalled() => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Takes what a FIFO holds and ends its session; `false` when nobody has it.
    ///
    /// # Errors
    /// The store was closed, or an earlier worker had the session and its FIFO cannot be opened.
    pub fn stop(&self, file: &str) -> Result<bool> {
        self.ask(|done| Command::Stop {
            file: file.to_owned(),
            done,
        })
        .ok_or(Error::Closed)?
    }

    /// Takes what all FIFOs hold, cuts and syncs all, and ends the threads. A second call does nothing.
    pub fn shut_down(&self) {
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let mut threads = threads.into_iter();
        self.inbox.send(Command::Shutdown);
        // ORDER: the reactor first, so that the cutter's last round sees all that came.
        if let Some(reactor) = threads.next() {
            // A thread that panicked has nothing to say here.
            let _ = reactor.join();
        }
        self.cutter.shut_down();
        for thread in threads {
            let _ = thread.join();
        }
    }
}

fn spawn(
    name: &str,
    stalls: &Arc<Stalls>,
    run: impl FnOnce() + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let stalls = Arc::clone(stalls);
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            stalls.watch_this_thread();
            run();
        })
}

//! A disk that does not answer.
//!
//! A frozen file system, or a server that is gone, gives no error: it only holds who calls it. So the threads that nobody may
//! hold for long publish since when each of them waits, and whoever wants to know looks at that.
//!
//! Stalls of several threads that overlap are one.

use std::cell::OnceCell;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Disk, DiskFile, Listed, OpenMode};
use crate::stats::Durations;

/// A call that takes longer is a stall. A disk that is only busy answers sooner.
const STALL_AFTER: Duration = Duration::from_secs(2);

/// What a thread that does not wait publishes.
const IDLE: u64 = 0;

thread_local! {
    static WATCHED: OnceCell<Watched> = const { OnceCell::new() };
}

/// Since when a thread waits for the disk, in nanoseconds since `Stalls` was made.
type Wait = Arc<AtomicU64>;

/// A thread whose calls are watched.
#[derive(Debug)]
struct Watched {
    stalls: Arc<Stalls>,
    wait: Wait,
}

/// The stalls that there have been.
#[derive(Clone, Debug, Default)]
struct Past {
    count: u64,
    /// All but the last.
    earlier: Duration,
    /// When the last but one was over.
    earlier_until: Duration,
    /// When the last one began.
    since: Duration,
    /// When it was over.
    until: Duration,
}

impl Past {
    /// One thread has waited; it comes when it is over, so that nothing known ends later.
    fn add(&mut self, since: Duration, until: Duration) {
        if since >= self.until {
            self.count += 1;
            self.earlier = self.total();
            self.earlier_until = self.until;
            self.since = since;
        }
        // One that has waited for longer may come last.
        self.since = self.since.min(since).max(self.earlier_until);
        self.until = until;
    }

    fn total(&self) -> Duration {
        self.earlier + self.until.saturating_sub(self.since)
    }
}

/// How the disk has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// How many stalls there have been, one that lasts included.
    pub count: u64,
    /// How long all of them have been.
    pub total: Duration,
    /// How long the disk has not answered until now.
    pub lasting: Option<Duration>,
}

/// Knows which calls take too long.
#[derive(Debug)]
pub struct Stalls {
    made: Instant,
    waits: Mutex<Vec<Wait>>,
    past: Mutex<Past>,
}

impl Default for Stalls {
    fn default() -> Self {
        Self {
            made: Instant::now(),
            waits: Mutex::default(),
            past: Mutex::default(),
        }
    }
}

impl Stalls {
    /// From now on the calls of this thread on a `WatchedDisk` are watched.
    pub(crate) fn watch_this_thread(self: &Arc<Self>) {
        WATCHED.with(|watched| {
            let watched = watched.get_or_init(|| Watched {
                stalls: Arc::clone(self),
                wait: Wait::default(),
            });
            self.waits
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Arc::clone(&watched.wait));
        });
    }

    /// How the disk answers.
    pub fn look(&self) -> Stalled {
        // ORDER: before the waits, and held, so that one which ends meanwhile is still seen as a wait.
        let held = self.past();
        let mut past = held.clone();
        let now = self.made.elapsed();
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let since = waits
            .iter()
            .map(|wait| wait.load(Ordering::Relaxed))
            .filter(|&since| since != IDLE)
            .min()
            .map(Duration::from_nanos)
            .filter(|&since| now.saturating_sub(since) > STALL_AFTER);
        if let Some(since) = since {
            past.add(since, now);
        }
        Stalled {
            count: past.count,
            total: past.total(),
            lasting: since.map(|since| now.saturating_sub(since)),
        }
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.made.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Watched {
    fn call<T>(&self, call: impl FnOnce() -> T) -> T {
        let since_ns = self.stalls.now_ns().max(IDLE + 1);
        self.wait.store(since_ns, Ordering::Relaxed);
        let answer = call();
        let (since, now) = (Duration::from_nanos(since_ns), self.stalls.made.elapsed());
        let is_stall = now.saturating_sub(since) > STALL_AFTER;
        let mut past = is_stall.then(|| self.stalls.past());
        if let Some(past) = &mut past {
            past.add(since, now);
        }
        // ORDER: with the past held, so that nobody sees the stall twice, or not at all.
        self.wait.store(IDLE, Ordering::Relaxed);
        drop(past);
        answer
    }
}

fn watch<T>(call: impl FnOnce() -> T) -> T {
    WATCHED.with(|watched| match watched.get() {
        Some(watched) => watched.call(call),
        None => call(),
    })
}

/// A disk whose calls are watched when a watched thread makes them, and whose syncs are timed whoever makes them.
#[derive(Debug)]
pub struct WatchedDisk {
    disk: Arc<dyn Disk>,
    syncs: Arc<Durations>,
}

impl WatchedDisk {
    /// Watches a disk; `syncs` learns how long each sync of a file or folder took.
    pub fn new(disk: Arc<dyn Disk>, syncs: Arc<Durations>) -> Self {
        Self { disk, syncs }
    }
}

#[derive(Debug)]
struct WatchedFile {
    file: Box<dyn DiskFile>,
    syncs: Arc<Durations>,
}

fn time<T>(syncs: &Durations, sync: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let answer = watch(sync);
    syncs.note(begun.elapsed());
    answer
}

impl Disk for WatchedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let file = watch(|| self.disk.open(path, mode))?;
        Ok(Box::new(WatchedFile {
            file,
            syncs: Arc::clone(&self.syncs),
        }))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        watch(|| self.disk.create_folder(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        watch(|| self.disk.list(path))
    }

    fn changed_ns(&self, path: &Path) -> io::Result<i64> {
        watch(|| self.disk.changed_ns(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        watch(|| self.disk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        watch(|| self.disk.remove_file(path))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        watch(|| self.disk.remove_folder(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        time(&self.syncs, || self.disk.sync_folder(path))
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        watch(|| self.disk.free_bytes(path))
    }
}

impl DiskFile for WatchedFile {
    fn bytes(&self) -> io::Result<u64> {
        watch(|| self.file.bytes())
    }

    fn has_name(&self) -> io::Result<bool> {
        watch(|| self.file.has_name())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        watch(|| self.file.read_exact_at(buffer, offset))
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        watch(|| self.file.write_all_at(bytes, offset))
    }

    fn splice_from(&self, pipe: BorrowedFd<'_>, offset: u64, most: usize) -> io::Result<usize> {
        watch(|| self.file.splice_from(pipe, offset, most))
    }

    fn reserve(&self, offset: u64, bytes: u64) -> io::Result<()> {
        watch(|| self.file.reserve(offset, bytes))
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        watch(|| self.file.truncate(bytes))
    }

    fn lock(&self) -> io::Result<bool> {
        watch(|| self.file.lock())
    }

    fn begin_writing(&self, offset: u64) {
        watch(|| self.file.begin_writing(offset));
    }

    fn sync(&self) -> io::Result<()> {
        time(&self.syncs, || self.file.sync())
    }
}

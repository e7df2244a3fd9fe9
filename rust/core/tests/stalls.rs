//! A disk that does not answer, without any error.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use logboom_core::disk::{Disk, DiskFile, Listed, OpenMode, SystemDisk};
use logboom_core::store::Store;
use logboom_core::sync_log::SyncWhen;
use support::{Host, Line, line, list, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);

/// Whether the disk is frozen, and who waits for it.
#[derive(Debug, Default)]
struct Frost {
    is_frozen: Mutex<bool>,
    thawed: Condvar,
    waiting: AtomicU32,
    slow_ms: AtomicU64,
}

impl Frost {
    fn wait(&self) {
        thread::sleep(Duration::from_millis(self.slow_ms.load(Ordering::Relaxed)));
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let frozen = self.is_frozen.lock().unwrap();
        drop(self.thawed.wait_while(frozen, |frozen| *frozen).unwrap());
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    fn set(&self, is_frozen: bool) {
        *self.is_frozen.lock().unwrap() = is_frozen;
        self.thawed.notify_all();
    }
}

/// A file system that can be frozen or slow: reading goes on, whatever changes something waits.
#[derive(Clone, Debug, Default)]
struct FrozenDisk(Arc<Frost>);

#[derive(Debug)]
struct FrozenFile(Arc<Frost>, Box<dyn DiskFile>);

impl Disk for FrozenDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        if mode == OpenMode::Create {
            self.0.wait();
        }
        let file = SystemDisk.open(path, mode)?;
        Ok(Box::new(FrozenFile(Arc::clone(&self.0), file)))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.0.wait();
        SystemDisk.create_folder(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        SystemDisk.list(path)
    }

    fn changed_ns(&self, path: &Path) -> io::Result<i64> {
        SystemDisk.changed_ns(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.wait();
        SystemDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.wait();
        SystemDisk.remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.0.wait();
        SystemDisk.remove_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.0.wait();
        SystemDisk.sync_folder(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        SystemDisk.free_bytes(path)
    }
}

impl DiskFile for FrozenFile {
    fn bytes(&self) -> io::Result<u64> {
        self.1.bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.1.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.wait();
        self.1.write_all_at(bytes, offset)
    }

    fn splice_from(&self, pipe: BorrowedFd<'_>, offset: u64, most: usize) -> io::Result<usize> {
        self.0.wait();
        self.1.splice_from(pipe, offset, most)
    }

    fn reserve(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.0.wait();
        self.1.reserve(offset, bytes)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.wait();
        self.1.truncate(bytes)
    }

    fn lock(&self) -> io::Result<bool> {
        self.1.lock()
    }

    fn sync(&self) -> io::Result<()> {
        self.0.wait();
        self.1.sync()
    }
}

/// Thaws the disk whatever becomes of the test, or its core could not end.
struct Thaw(FrozenDisk);

impl Drop for Thaw {
    fn drop(&mut self) {
        self.0.0.set(false);
    }
}

fn lines(text: &str) -> Vec<Line> {
    (0..100)
        .map(|number| line(number, format!("{text} {number}")))
        .collect()
}

fn stalls(host: &Host) -> (u64, u64) {
    (
        host.counted("disk_stalls_total"),
        host.counted("disk_stall_seconds_total"),
    )
}

#[test]
fn a_disk_that_does_not_answer_is_a_fault_as_long_as_it_lasts_and_is_counted() {
    let disk = FrozenDisk::default();
    let mut host = Host::new();
    host.core = None;
    host.start_on(Arc::new(disk.clone()));
    let thaw = Thaw(disk.clone());
    let mut container = host.run("web");
    let (before, meanwhile) = (lines("before"), lines("meanwhile"));
    container.print(&before);
    assert!(host.read_all("web") == before);
    assert_eq!((stalls(&host), host.core().stall_seconds()), ((0, 0), None));

    // The cutter is held by the sync of what was printed before, the reactor by what is printed now: that is one stall.
    disk.0.set(true);
    container.print(&meanwhile);
    wait_until("a stall", || host.core().stall_seconds().is_some());
    wait_until("that it is longer", || {
        host.core()
            .stall_seconds()
            .is_some_and(|seconds| seconds > 3)
    });
    let fault = host.core().fault().unwrap();
    assert!(
        fault.starts_with("the disk has not answered for "),
        "{fault}"
    );
    let (count, seconds) = stalls(&host);
    assert!(count == 1 && seconds > 3, "{count} in {seconds} s");
    // What was taken before can be read meanwhile.
    assert!(host.read_all("web") == before);

    drop(thaw);
    wait_until("the end", || host.core().stall_seconds().is_none());
    assert_eq!(host.core().fault(), None);
    assert!(host.read_all("web") == [before, meanwhile].concat());
    let (count, seconds) = stalls(&host);
    assert!(count == 1 && seconds > 3, "{count} in {seconds} s");
}

#[test]
fn a_stream_is_found_while_the_disk_stalls_under_the_removal_of_another() {
    let mut host = Host::new();
    let mut container = host.run("web");
    container.print(&[line(1, "a")]);
    host.stop(&mut container);
    host.wait_until(
        |folder| list(folder).iter().all(|name| !name.ends_with(".journal")),
        "web",
    );
    host.core = None;
    let disk = FrozenDisk::default();
    let store = Arc::new(Store::new(
        host.data(),
        Arc::new(disk.clone()),
        [7; 16],
        SyncWhen::default(),
    ));
    let stream = store.stream("web").unwrap();
    stream.open().unwrap();
    disk.0.set(true);
    let removing = Arc::clone(&store);
    let removal = thread::spawn(move || removing.remove(&stream));
    let waiting = || disk.0.waiting.load(Ordering::Relaxed);
    wait_until("the removal waits", || waiting() > 0);
    let (found, finding) = channel();
    let finder = Arc::clone(&store);
    thread::spawn(move || found.send(finder.stream("other").is_ok()));
    let is_found = finding.recv_timeout(DEADLINE);
    disk.0.set(false);
    assert!(removal.join().unwrap().unwrap());
    assert_eq!(is_found, Ok(true));
    assert!(!host.stream_folder("web").exists());
}

/// dockerd kills a plugin ten seconds after it has told it to end, and the worker's Python has eight of them.
#[test]
fn many_streams_on_a_slow_disk_end_in_time_and_the_next_worker_goes_on_with_what_is_not_cut() {
    let disk = FrozenDisk::default();
    let mut host = Host::new();
    host.core = None;
    host.start_on(Arc::new(disk.clone()));
    let names: Vec<String> = (0..100).map(|number| format!("web{number}")).collect();
    let mut containers: Vec<_> = names.iter().map(|name| host.run(name)).collect();
    for (container, name) in containers.iter_mut().zip(&names) {
        container.print(&lines(name));
    }
    for name in &names {
        assert!(host.read_all(name) == lines(name));
    }

    disk.0.slow_ms.store(12, Ordering::Relaxed);
    let began = Instant::now();
    host.core = None;
    let seconds = began.elapsed().as_secs();
    assert!((4..8).contains(&seconds), "{seconds} s");
    let is_cut = |name: &String| {
        list(&host.stream_folder(name))
            .iter()
            .any(|name| name.ends_with(".zst"))
    };
    let cut = names.iter().filter(|name| is_cut(name)).count();
    assert!(0 < cut && cut < names.len(), "{cut} are cut");

    host.start();
    for (container, name) in containers.iter_mut().zip(&names) {
        container.print(&lines("later"));
        let all = [lines(name), lines("later")].concat();
        assert!(host.read_all(name) == all, "{name}");
    }
}

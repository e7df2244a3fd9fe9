//! No file descriptor is left, at each call that wants one and opens no file of the store: eventfd, epoll, FIFOs. Nothing stands in
//! for the kernel here: the limit is the process's own (`RLIMIT_NOFILE`), and the store's files are in memory, where they need none.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may panic, and says what it has counted"
)]

mod simulated;
mod support;

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use logboom_core::Core;
use logboom_core::stream::{GivenOptions, Query};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use simulated::SimulatedDisk;
use support::{Container, Host, Line, lines, wait_until};

const FULL: &str = "Too many open files";

/// The limit is the whole process's, so one test at a time has it.
static LIMIT: Mutex<()> = Mutex::new(());

/// Does something while so many descriptors are left.
fn with_left<T>(left: usize, act: impl FnOnce() -> T) -> T {
    let before = getrlimit(Resource::Nofile);
    // The lowest numbers are given first.
    let taken: Vec<OwnedFd> = (0..=left)
        .map(|_| rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 0).unwrap())
        .collect();
    let lowest_refused = u64::try_from(taken[left].as_raw_fd()).unwrap();
    drop(taken);
    let limit = Rlimit {
        current: Some(lowest_refused),
        ..before
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
    setrlimit(Resource::Nofile, before).unwrap();
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

struct Worker {
    host: Host,
    disk: SimulatedDisk,
}

impl Worker {
    fn new() -> Self {
        let mut host = Host::new();
        host.core = None;
        let disk = SimulatedDisk::with_folder(host.folder.path());
        let mut worker = Self { host, disk };
        worker.start();
        worker
    }

    fn start(&mut self) {
        self.host.start_on(Arc::new(self.disk.clone()));
    }

    fn print(&self, container: &mut Container, lines: &[Line]) {
        container.print(lines);
        self.host.core().drain().unwrap();
    }
}

/// What a reader is shown, with the newline taken off.
fn read(worker: &Worker) -> Vec<Line> {
    worker.host.read_all("web")
}

#[test]
fn a_worker_without_a_descriptor_says_so_and_the_next_one_has_all_entries() {
    let _alone = LIMIT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut refusals = Vec::new();
    for left in 0.. {
        let mut worker = Worker::new();
        let mut web = worker.host.run("web");
        worker.print(&mut web, &lines(0..3));
        worker.host.core = None;
        web.print(&lines(3..5));
        let settings = worker.host.settings();
        let disk = Arc::new(worker.disk.clone());
        let opened = with_left(left, || Core::open_on(settings, disk));
        let refusal = match &opened {
            Ok(core) => core.fault(),
            Err(error) => Some(error.to_string()),
        };
        drop(opened);
        worker.start();
        assert_eq!(worker.host.core().fault(), None);
        worker.print(&mut web, &lines(5..6));
        assert_eq!(read(&worker), lines(0..6), "{left} were left");
        assert_eq!(worker.host.counted("dropped_entries_total"), 0);
        worker.host.stop(&mut web);
        let Some(refusal) = refusal else { break };
        assert!(refusal.contains(FULL), "{refusal}");
        refusals.push(refusal);
    }
    println!("{refusals:#?}");
    // The bell, epoll, and the FIFO of the session that an earlier worker had.
    assert_eq!(refusals.len(), 3);
}

/// It was lost to that worker, and its container waited as soon as its FIFO was full.
#[test]
fn a_session_whose_fifo_no_descriptor_is_left_for_is_found_as_soon_as_one_is() {
    let _alone = LIMIT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut worker = Worker::new();
    let [mut web, db] = ["web", "db"].map(|id| worker.host.run(id));
    worker.print(&mut web, &lines(0..3));
    worker.host.core = None;
    web.print(&lines(3..5));
    let settings = worker.host.settings();
    let disk = Arc::new(worker.disk.clone());
    // Enough for the bell and epoll alone.
    worker.host.core = Some(with_left(2, || {
        let core = Core::open_on(settings, disk).unwrap();
        assert!(core.fault().unwrap().contains(FULL));
        // Longer than until the next look.
        std::thread::sleep(Duration::from_millis(1_200));
        assert!(core.fault().unwrap().contains(FULL));
        core
    }));
    wait_until("all are found", || worker.host.core().fault().is_none());
    worker.print(&mut web, &lines(5..6));
    assert_eq!(read(&worker), lines(0..6));
    assert_eq!(worker.host.counted("dropped_entries_total"), 0);
    for mut container in [web, db] {
        assert!(worker.host.stop(&mut container));
    }
}

#[test]
fn a_session_or_reader_without_a_descriptor_is_refused_and_those_that_run_lose_nothing() {
    let _alone = LIMIT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut worker = Worker::new();
    let mut web = worker.host.run("web");
    let db = worker.host.make_fifo("db");
    worker.print(&mut web, &lines(0..3));
    with_left(0, || {
        let core = worker.host.core();
        let refused = core.start_session(&db.file, "db", "{}", GivenOptions::default());
        let refused = refused.unwrap_err().to_string();
        // It is no mistake of who asks.
        assert!(refused.starts_with("cannot open "), "{refused}");
        assert!(refused.contains(FULL), "{refused}");
        let refused = core.read("web", &Query::default()).unwrap_err().to_string();
        assert!(refused.contains(FULL), "{refused}");
        worker.print(&mut web, &lines(3..6));
    });
    let core = worker.host.core();
    core.start_session(&db.file, "db", "{}", GivenOptions::default())
        .unwrap();
    worker.print(&mut web, &lines(6..9));
    assert_eq!(read(&worker), lines(0..9));
    assert_eq!(
        (worker.host.counted("dropped_entries_total"), core.fault()),
        (0, None)
    );
    worker.host.stop(&mut web);
    assert_eq!(read(&worker), lines(0..9));
}

//! Each call of the kernel fails that the intake makes and that is no call of the disk: epoll, eventfd, poll, pipes, the opening of FIFOs.
//! Nothing stands in for them: the kernel itself answers so, by seccomp(2) (`kernel/mod.rs`).
//!
//! Some runs by default; `LOGBOOM_TEST_CALLS=all cargo test --release --test system_calls -- --nocapture` makes all of them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may panic, and says what it has counted"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test looks at files from outside"
)]

mod failing;
mod kernel;
mod simulated;
mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use failing::{Run, choose};
use kernel::{CALLER, Call, Kernel, Refusal};
use logboom_core::stream::{GivenOptions, Progress, Query};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use simulated::Dice;
use support::{Container, Host, Line, check_each, frame, line, lines, list, wait_until};

const INTAKE: &str = "logboom-intake";
const CUTTER: &str = "logboom-cutter";

/// About so many files each of them opens when a container that has a log prints again.
const OPENED: usize = 8;

/// Without `LOGBOOM_TEST_CALLS=all`, so many runs are made.
const RUNS: usize = 60;

/// Runs wait more than they work.
const THREADS: usize = 8;

/// How long a thread is watched that must not go round and round.
const WATCHED: Duration = Duration::from_millis(500);

/// More rounds in that time are too many: it makes one in a millisecond at most.
const MOST_ROUNDS: usize = 600;

/// Does something above a kernel that can refuse, or says that this one does not.
fn beneath<T: Send>(act: impl FnOnce(&Kernel) -> T + Send) -> Option<T> {
    match Kernel::beneath(act) {
        Ok(done) => Some(done),
        Err(error) => {
            println!("skipped: no seccomp(2) with a listener here: {error}");
            None
        }
    }
}

/// How many rounds the intake makes in a while.
fn rounds(kernel: &Kernel) -> usize {
    let waits = || {
        let made = kernel.made();
        let is_wait =
            |(thread, call): &&(String, Call)| thread == INTAKE && *call == Call::EpollWait;
        made.iter().filter(is_wait).count()
    };
    let before = waits();
    std::thread::sleep(WATCHED);
    waits() - before
}

/// All entries of a container, and that each has the sequence number that follows the one before it.
fn read_numbered(host: &Host, id: &str) -> Vec<Line> {
    let all = host.read_all(id);
    for first in 0..all.len() {
        let query = Query {
            from_sequence: Some(first as u64),
            ..Query::default()
        };
        assert_eq!(host.read(id, &query), all[first..], "from {first}");
    }
    all
}

fn refusal(call: Call, behind: usize, count: usize, errno: Errno) -> Refusal {
    Refusal {
        thread: INTAKE,
        call,
        behind,
        count,
        errno,
    }
}

/// The errors that a call is made to fail with: those that may pass.
fn errors(call: Call) -> &'static [Errno] {
    match call {
        Call::EpollCreate | Call::EventFd => &[Errno::MFILE, Errno::NFILE, Errno::NOMEM],
        Call::EpollControl => &[Errno::NOSPC, Errno::NOMEM],
        Call::EpollWait => &[Errno::INTR, Errno::NOMEM, Errno::INVAL],
        Call::Open => &[Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::IO],
        Call::Stat => &[Errno::NOMEM],
        Call::Pipe => &[Errno::MFILE, Errno::NFILE],
        Call::Tee => &[Errno::INTR, Errno::AGAIN, Errno::NOMEM],
        Call::PipeSize => &[Errno::PERM, Errno::BUSY, Errno::NOMEM],
        Call::Poll => &[Errno::INTR, Errno::NOMEM],
        // Of eventfds, which do not wait. That one is full is not said of one that is not.
        Call::Read => &[Errno::INTR, Errno::AGAIN],
        Call::Write => &[Errno::INTR],
    }
}

impl Run {
    /// A container that cannot start says so, and is started again.
    fn run(&mut self, id: &'static str) -> Container {
        let container = self.host.make_fifo(id);
        let begin = || {
            let given = GivenOptions::default();
            self.host
                .core()
                .start_session(&container.file, id, "{}", given)
        };
        begin().or_else(|_| begin()).unwrap();
        container
    }

    /// Nobody asks for them: the intake wakes by itself.
    fn wait_for_entries(&self, count: u64) {
        wait_until("all entries are taken", || {
            self.host.counted("intake_entries_total") >= count
        });
    }

    /// Two workers, sessions that go on, end, and have no writer any more.
    fn play(&mut self) {
        let mut web = self.run("web");
        let mut db = self.run("db");
        self.print("web", &mut web, 3);
        self.print("db", &mut db, 3);
        self.wait_for_entries(6);
        let query = Query {
            follow: true,
            ..Query::default()
        };
        let mut follower = self.read("web", &query);
        let mut frames = Vec::new();
        while follower.next_frames(1 << 20, &mut frames) != Progress::Wait {}
        self.print("web", &mut web, 1);
        let mut wait_for = [PollFd::new(&follower, PollFlags::IN)];
        poll(&mut wait_for, None).unwrap();
        drop(follower);
        assert!(self.host.stop(&mut web));
        self.start();
        let mut web = self.run("web");
        self.print("web", &mut web, 2);
        self.print("db", &mut db, 2);
        self.wait_for_entries(4);
        // dockerd has died: the session ends when the intake sees that.
        web.abandon();
        let records = self.host.folder.path().join("run/docker/logboom");
        wait_until("the session has ended", || {
            let left = logboom_core::store::read_records(&self.disk, &records).unwrap();
            left.sessions.len() == 1
        });
        assert!(self.host.stop(&mut db));
    }
}

/// Nothing is lost, and nothing stays wrong. Returns the calls of the run.
fn check(kernel: &Kernel, refusal: Option<Refusal>) -> Vec<(String, Call)> {
    let mut run = Run::new();
    kernel.forget();
    if let Some(refusal) = refusal {
        kernel.refuse(refusal);
    }
    run.start();
    run.play();
    let made = kernel.made();
    kernel.relent();
    for (id, printed) in &run.printed {
        assert_eq!(read_numbered(&run.host, id), *printed);
    }
    assert_eq!(run.host.counted("dropped_entries_total"), 0);
    wait_until("nothing is wrong", || run.host.core().fault().is_none());
    made
}

/// The calls of the intake, and of who asks it, with how many there were; those of the test itself are not refused.
fn counts(made: Vec<(String, Call)>) -> BTreeMap<(&'static str, Call), usize> {
    let asked = [
        Call::EpollCreate,
        Call::EpollControl,
        Call::EventFd,
        Call::Write,
    ];
    let mut counts = BTreeMap::new();
    for (thread, call) in made {
        if thread == INTAKE {
            *counts.entry((INTAKE, call)).or_default() += 1;
        } else if thread == CALLER && asked.contains(&call) {
            *counts.entry((CALLER, call)).or_default() += 1;
        }
    }
    counts
}

/// All refusals that a run can meet, or some of them.
fn refusals(counts: &BTreeMap<(&'static str, Call), usize>) -> Vec<Refusal> {
    let mut all = Vec::new();
    for (&(thread, call), &count) in counts {
        for behind in 0..count {
            all.extend(errors(call).iter().map(|&errno| Refusal {
                thread,
                call,
                behind,
                count: 1,
                errno,
            }));
        }
    }
    choose(all, RUNS, Dice(5))
}

#[test]
fn every_system_call_of_the_intake_fails_once_and_nothing_is_lost() {
    let Some(made) = beneath(|kernel| check(kernel, None)) else {
        return;
    };
    let counts = counts(made);
    let refusals = refusals(&counts);
    let met = AtomicUsize::new(0);
    check_each(&refusals, THREADS, |refusal| {
        let refused = Kernel::beneath(|kernel| {
            check(kernel, Some(*refusal));
            kernel.refused()
        });
        met.fetch_add(refused.unwrap(), Ordering::Relaxed);
    });
    println!(
        "{} runs, {met:?} calls refused, of {counts:?}",
        refusals.len()
    );
}

/// The limit on what all users watch is used up.
#[test]
fn a_fifo_that_cannot_be_watched_is_looked_at_by_time_until_it_can_be() {
    beneath(|kernel| {
        let mut host = Host::new();
        let mut db = host.run("db");
        kernel.refuse(refusal(Call::EpollControl, 0, usize::MAX, Errno::NOSPC));
        let mut web = host.run("web");
        let fault = host.core().fault().unwrap();
        assert!(fault.starts_with("cannot watch "), "{fault}");
        assert!(fault.contains("No space left on device"), "{fault}");
        // Nobody asks for them. More than the FIFO holds comes through, too.
        let long = line(0, vec![b'x'; 9_000]);
        web.print(&vec![long.clone(); 50]);
        db.print(&lines(1..4));
        wait_until("all are taken", || {
            host.counted("intake_entries_total") == 53
        });
        let rounds = rounds(kernel);
        assert!(rounds < MOST_ROUNDS, "{rounds}");
        wait_until("it is tried again", || kernel.refused() > 2);
        assert!(host.core().fault().is_some());
        kernel.relent();
        wait_until("it is watched", || host.core().fault().is_none());
        web.print(&lines(1..2));
        wait_until("all are taken", || {
            host.counted("intake_entries_total") == 54
        });
        assert!(host.stop(&mut web));
        let mut expected = vec![long; 50];
        expected.extend(lines(1..2));
        assert_eq!(read_numbered(&host, "web"), expected);
        assert_eq!(read_numbered(&host, "db"), lines(1..4));
    });
}

#[test]
fn a_session_that_ends_unwatched_leaves_no_fault() {
    beneath(|kernel| {
        let mut host = Host::new();
        kernel.refuse(refusal(Call::EpollControl, 0, usize::MAX, Errno::NOMEM));
        let mut web = host.run("web");
        assert!(host.core().fault().is_some());
        web.print(&lines(0..3));
        assert!(host.stop(&mut web));
        assert_eq!(host.core().fault(), None);
        assert_eq!(read_numbered(&host, "web"), lines(0..3));
    });
}

#[test]
fn a_wait_that_fails_again_and_again_is_said_and_nothing_waits_for_it() {
    for errno in [Errno::INVAL, Errno::BADF, Errno::NOMEM] {
        beneath(|kernel| {
            let mut host = Host::new();
            let mut web = host.run("web");
            web.print(&lines(0..3));
            kernel.refuse(refusal(Call::EpollWait, 0, usize::MAX, errno));
            let mut db = host.run("db");
            web.print(&lines(3..6));
            db.print(&lines(0..3));
            wait_until("all are taken", || {
                host.counted("intake_entries_total") == 9
            });
            let fault = host.core().fault().unwrap();
            assert!(fault.starts_with("cannot wait for FIFOs: "), "{fault}");
            let rounds = rounds(kernel);
            assert!((1..MOST_ROUNDS).contains(&rounds), "{rounds}");
            assert!(host.stop(&mut db));
            db = host.run("db");
            db.abandon();
            kernel.relent();
            wait_until("it waits", || host.core().fault().is_none());
            assert!(host.stop(&mut web));
            assert_eq!(read_numbered(&host, "web"), lines(0..6));
            assert_eq!(read_numbered(&host, "db"), lines(0..3));
        });
    }
}

/// Its end shows only when a pipe can be made, and it is ready all the time.
#[test]
fn a_fifo_without_a_writer_waits_for_descriptors_and_takes_no_time() {
    beneath(|kernel| {
        let mut host = Host::new();
        let mut web = host.run("web");
        kernel.refuse(refusal(Call::Pipe, 0, usize::MAX, Errno::MFILE));
        web.abandon();
        wait_until("it is tried", || kernel.refused() > 0);
        let rounds = rounds(kernel);
        assert!((1..MOST_ROUNDS).contains(&rounds), "{rounds}");
        kernel.relent();
        wait_until("its session has ended", || host.counted("sessions") == 0);
    });
}

/// What an earlier worker has left: a quiet session with a torn frame, and one that prints on.
fn left_by_a_worker() -> (Host, [Container; 2]) {
    let mut host = Host::new();
    let [mut web, mut db] = ["web", "db"].map(|id| host.run(id));
    web.print(&lines(0..3));
    web.write(&torn().0);
    db.print(&lines(0..3));
    host.core().drain().unwrap();
    host.core = None;
    db.print(&lines(3..5));
    (host, [web, db])
}

fn torn() -> (Vec<u8>, Vec<u8>) {
    let mut begins = frame(&line(3, "line 3"));
    let rest = begins.split_off(9);
    (begins, rest)
}

fn session_fault(host: &Host) -> Option<String> {
    let faults = host.core().faults();
    let found = faults
        .into_iter()
        .find(|(name, _)| *name == "session-records");
    found.map(|(_, fault)| fault)
}

/// All opening by the intake fails behind so many, until it is allowed again. Returns whether a session was not found at once.
fn look_without(kernel: &Kernel, behind: usize, errno: Errno) -> bool {
    let (mut host, [mut web, mut db]) = left_by_a_worker();
    kernel.refuse(refusal(Call::Open, behind, usize::MAX, errno));
    host.start();
    let Some(fault) = session_fault(&host) else {
        return false;
    };
    let why = std::io::Error::from(errno).to_string();
    assert!(fault.ends_with(&why), "{fault}");
    // A session that can be written down says nothing of those.
    let mut job = host.run("job");
    wait_until("it is tried again", || kernel.refused() > 2);
    assert!(session_fault(&host).is_some());
    kernel.relent();
    wait_until("all are found", || host.core().fault().is_none());
    web.write(&torn().1);
    web.print(&lines(4..6));
    db.print(&lines(5..6));
    for (id, container) in [("web", &mut web), ("db", &mut db), ("job", &mut job)] {
        assert!(host.stop(container), "{id}");
    }
    for _ in 0..2 {
        for id in ["web", "db"] {
            assert_eq!(read_numbered(&host, id), lines(0..6), "{id}");
        }
        host.restart();
        assert_eq!(host.core().fault(), None);
    }
    assert_eq!(host.counted("dropped_entries_total"), 0);
    true
}

/// They were lost to that worker, and their containers waited as soon as their FIFOs were full.
#[test]
fn sessions_that_cannot_be_found_at_once_are_looked_for_until_they_are() {
    let errors = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::IO];
    let looks = || (0..8).zip(errors.into_iter().cycle());
    let found: Vec<Option<bool>> = std::thread::scope(|scope| {
        let look = |(behind, errno)| {
            scope.spawn(move || beneath(|kernel| look_without(kernel, behind, errno)))
        };
        let looking: Vec<_> = looks().map(look).collect();
        looking
            .into_iter()
            .map(|look| look.join().unwrap())
            .collect()
    });
    // The folder, two records, and two FIFOs, each with a tally that there may be; what is opened then is the store's.
    let expected = [true, true, true, true, true, true, true, false].map(Some);
    assert!(found == expected || found.contains(&None), "{found:?}");
}

#[test]
fn a_session_that_is_not_found_yet_ends_when_its_fifo_can_be_opened() {
    beneath(|kernel| {
        let (mut host, [mut web, mut db]) = left_by_a_worker();
        web.write(&torn().1);
        // Behind the folder and two records.
        kernel.refuse(refusal(Call::Open, 3, usize::MAX, Errno::MFILE));
        host.start();
        assert!(session_fault(&host).is_some());
        for container in [&web, &db] {
            let refused = host.core().stop_session(&container.file).unwrap_err();
            assert!(
                refused.to_string().contains("Too many open files"),
                "{refused}"
            );
        }
        kernel.relent();
        assert!(host.stop(&mut web));
        assert!(host.stop(&mut db));
        wait_until("none is looked for", || host.core().fault().is_none());
        assert_eq!(read_numbered(&host, "web"), lines(0..4));
        assert_eq!(read_numbered(&host, "db"), lines(0..5));
    });
}

/// The count was lost where no descriptor was left to read it.
#[test]
fn what_an_earlier_worker_has_dropped_is_told_when_it_can_be_read() {
    beneath(|kernel| {
        let mut host = Host::new();
        host.core = None;
        let format = host.data().join("format");
        let written = std::fs::read(&format).unwrap();
        std::fs::write(&format, "no store").unwrap();
        host.start();
        let mut web = host.run("web");
        web.print(&lines(0..3));
        wait_until("they are dropped", || {
            host.counted("dropped_entries_total") == 3
        });
        host.core = None;
        std::fs::write(&format, written).unwrap();
        // Behind the folder, the record and the FIFO.
        kernel.refuse(refusal(Call::Open, 3, usize::MAX, Errno::MFILE));
        host.start();
        assert!(session_fault(&host).is_some());
        kernel.relent();
        wait_until("it is found", || host.core().fault().is_none());
        web.print(&lines(3..6));
        assert!(host.stop(&mut web));
        let read = host.read_all("web");
        let (told, printed) = read.split_first().unwrap();
        let told = String::from_utf8_lossy(&told.text);
        assert!(told.starts_with("logboom: 3 entries ("), "{told}");
        assert_eq!(printed, lines(3..6));
    });
}

/// Two sessions of a container, the second under a worker that once cannot open a file. Returns whether that was met.
fn print_without(kernel: &Kernel, refusal: Refusal) -> bool {
    let mut host = Host::new();
    let records = host.folder.path().join("run/docker/logboom");
    let mut web = host.run("web");
    web.print(&lines(0..3));
    host.stop(&mut web);
    host.wait_until(|_| list(&records).is_empty(), "web");
    host.core = None;
    kernel.refuse(refusal);
    host.start();
    let mut web = host.run("web");
    web.print(&lines(3..6));
    wait_until("all are taken", || {
        let taken = host.counted("intake_entries_total");
        taken + host.counted("dropped_entries_total") >= 3
    });
    host.stop(&mut web);
    host.wait_until(|_| list(&records).is_empty(), "web");
    let is_met = kernel.refused() > 0;
    kernel.relent();
    let names = list(&host.stream_folder("web"));
    assert!(
        names.iter().all(|name| !name.ends_with(".unreadable")),
        "{names:?}"
    );
    let facts = std::fs::read_to_string(host.stream_folder("web").join("container.json")).unwrap();
    assert_eq!(facts.matches("\"started_ns\":").count(), 2, "{facts}");
    is_met
}

/// What is known of a container was taken for damaged where no descriptor was left to read it.
#[test]
fn a_shortage_sets_nothing_aside() {
    let all = || {
        [INTAKE, CUTTER].into_iter().flat_map(|thread| {
            (0..OPENED).map(move |behind| Refusal {
                thread,
                call: Call::Open,
                behind,
                count: 1,
                errno: Errno::MFILE,
            })
        })
    };
    let met: Vec<Option<bool>> = std::thread::scope(|scope| {
        let print = |refusal| scope.spawn(move || beneath(|kernel| print_without(kernel, refusal)));
        let printing: Vec<_> = all().map(print).collect();
        printing
            .into_iter()
            .map(|run| run.join().unwrap())
            .collect()
    });
    let missed = met.iter().filter(|met| **met == Some(false)).count();
    assert!(missed < met.len() / 2, "{met:?}");
}

//! Every call of the disk fails once, with each error that it can have.
//!
//! A hundred runs by default; `LOGBOOM_TEST_CALLS=all cargo test --release --test failing_calls -- --nocapture` makes all of them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may panic, and says what it has counted"
)]

mod simulated;
mod support;
mod workload;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use logboom_core::Core;
use logboom_core::disk::Disk;
use logboom_core::sync_log::SyncWhen;
use simulated::{Call, Cut, Dice, Failure, Power, SimulatedDisk};
use support::{Container, Host, Line, frame, line, wait_until};
use workload::{is_printed, read_printed};

const IDS: [&str; 2] = ["web", "db"];

/// Without `LOGBOOM_TEST_CALLS=all`, so many runs are made.
const RUNS: usize = 120;

/// Runs wait more than they work.
const THREADS: usize = 12;

/// A call that fails delays a run by a few seconds; more is a hang.
const LONGEST: Duration = Duration::from_secs(40);

/// One run of the workload.
struct Run {
    host: Host,
    disk: SimulatedDisk,
    printed: BTreeMap<&'static str, Vec<Line>>,
    time_ns: i64,
}

impl Run {
    fn new(sync: SyncWhen, failure: Option<Failure>) -> Self {
        let mut host = Host::new();
        host.core = None;
        host.sync = sync;
        let disk = SimulatedDisk::with_folder(host.folder.path());
        if let Some(failure) = failure {
            disk.fail(failure);
        }
        let mut run = Self {
            host,
            disk,
            printed: BTreeMap::new(),
            time_ns: 0,
        };
        run.start();
        run
    }

    /// A worker that cannot begin says so; the supervisor starts another.
    fn start(&mut self) {
        self.host.core = None;
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let settings = self.host.settings();
        let core = Core::open_on(settings.clone(), Arc::clone(&disk))
            .or_else(|_| Core::open_on(settings, disk));
        self.host.core = Some(core.unwrap());
    }

    fn print(&mut self, id: &'static str, container: &mut Container, count: usize) {
        for _ in 0..count {
            self.time_ns += 1;
            let printed = line(self.time_ns, format!("line {} of {id}", self.time_ns));
            container.write(&frame(&printed));
            self.printed.entry(id).or_default().push(printed);
        }
        self.host.core().drain().unwrap();
    }

    /// What a reader is shown. One that fails says so, and the next one does not.
    fn shown(&self, id: &str) -> Vec<Line> {
        let read = self
            .host
            .core()
            .read(id, &logboom_core::stream::Query::default());
        let mut replay = read
            .or_else(|_| {
                self.host
                    .core()
                    .read(id, &logboom_core::stream::Query::default())
            })
            .unwrap();
        support::read_to_end(&mut replay)
    }

    /// Sessions, blocks, a segment that is sealed, a sync, and a second worker.
    fn play(&mut self) -> [Container; 2] {
        let small = logboom_core::stream::Limits {
            segment_bytes: 300,
            ..Host::limits()
        };
        let mut web = self.host.run_with("web", small);
        let mut db = self.host.run("db");
        self.print("web", &mut web, 5);
        self.print("db", &mut db, 3);
        self.shown("web");
        self.host.stop(&mut web);
        let mut web = self.host.run_with("web", small);
        self.print("web", &mut web, 5);
        self.host.stop(&mut web);
        let mut web = self.host.run_with("web", small);
        self.print("web", &mut web, 3);
        self.print("db", &mut db, 2);
        let before = self.disk.syncs(".sync");
        let begun = Instant::now();
        wait_until("a second is over", || {
            self.disk.syncs(".sync") > before || begun.elapsed() > Duration::from_millis(1_300)
        });
        [web, db]
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{:?}", self.disk.failed());
        }
    }
}

/// Whether `part` is what is left of `whole` when lines are taken out.
fn is_part(part: &[Line], whole: &[Line]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|line| whole.any(|other| other == line))
}

/// How many entries are said to be missing.
fn told(lines: &[Line]) -> usize {
    let texts = lines
        .iter()
        .map(|line| String::from_utf8_lossy(&line.text).into_owned());
    texts
        .filter(|text| text.contains(") were dropped from "))
        .map(|text| text.split(' ').nth(1).unwrap().parse::<usize>().unwrap())
        .sum()
}

/// The service goes on, or says that it cannot; what is missing is counted exactly.
fn check_service(failure: Option<Failure>) -> SimulatedDisk {
    let mut run = Run::new(SyncWhen::EverySecond, failure);
    let [mut web, mut db] = run.play();
    run.host.stop(&mut web);
    run.host.stop(&mut db);
    let dropped = run.host.counted("dropped_entries_total");
    let had_failed = run.disk.failed().is_some();
    // A worker that could not write down a session, or not end it, leaves it to the next one.
    run.start();
    for id in IDS {
        let mut container = run.host.run(id);
        run.print(id, &mut container, 2);
        run.host.stop(&mut container);
    }
    let (mut missing, mut told_of) = (0, 0);
    for id in IDS {
        let mut all = run.shown(id);
        if run.disk.failed().is_some() {
            // It may have been this reader that it hit.
            all = run.shown(id);
        }
        let printed = &run.printed[id];
        told_of += told(&all);
        let lines: Vec<Line> = all.into_iter().filter(is_printed).collect();
        assert!(is_part(&lines, printed), "{id}: doubled or out of order");
        if had_failed {
            let new = &printed[printed.len() - 2..];
            assert!(lines.ends_with(new), "{id}: not the new ones");
        }
        missing += printed.len() - lines.len();
    }
    let dropped = usize::try_from(dropped + run.host.counted("dropped_entries_total")).unwrap();
    assert_eq!(
        (missing, missing),
        (dropped, told_of),
        "missing, counted, told"
    );
    if had_failed {
        assert_eq!(run.host.core().fault(), None);
    }
    run.disk.clone()
}

/// Under `always` the power may fail behind the failure, and nothing is lost that was shown.
fn check_always(failure: Failure) {
    let mut run = Run::new(SyncWhen::Always, Some(failure));
    let containers = run.play();
    let shown: Vec<HashSet<i64>> = IDS
        .iter()
        .map(|id| {
            run.shown(id)
                .iter()
                .filter(|line| is_printed(line))
                .map(|line| line.time_ns)
                .collect()
        })
        .collect();
    let (changes, _) = run.disk.recorded();
    let mut power = Power::new(SimulatedDisk::with_folder(run.host.folder.path()).tree());
    for change in &changes {
        power.advance(change);
    }
    run.host.core = None;
    drop(containers);
    for cut in [Cut::Dropped, Cut::Subset] {
        let mut tree = power.cut(cut, &mut Dice(failure.at as u64));
        for memory in ["run", "dev"] {
            tree.forget(&run.host.folder.path().join(memory));
        }
        run.host.start_on(Arc::new(SimulatedDisk::new(tree, 2)));
        for (id, shown) in IDS.iter().zip(&shown) {
            let found = read_printed(&run.host, id);
            let found: HashSet<i64> = found.iter().map(|line| line.time_ns).collect();
            let lost: BTreeSet<_> = shown.difference(&found).collect();
            assert!(lost.is_empty(), "{id}: {cut:?} takes {lost:?}");
        }
        run.host.core = None;
    }
}

/// All failures that a run can have, and some of them.
fn failures(calls: &[(Call, std::path::PathBuf)]) -> Vec<Failure> {
    let all = calls.iter().enumerate().flat_map(|(at, (call, _))| {
        (0..call.errors().len()).map(move |error| Failure { at, error })
    });
    let mut all: Vec<Failure> = all.collect();
    if std::env::var("LOGBOOM_TEST_CALLS").is_ok_and(|calls| calls == "all") {
        return all;
    }
    let mut dice = Dice(3);
    let mut some = Vec::new();
    for _ in 0..RUNS.min(all.len()) {
        some.push(all.swap_remove(dice.roll(all.len())));
    }
    some
}

fn fail_each(name: &str, check: impl Fn(Failure) + Sync) {
    let calls = check_service(None).calls();
    let failures = failures(&calls);
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(failure) = failures.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let begun = Instant::now();
                    let checked =
                        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(*failure)));
                    if checked.is_err() {
                        println!("{failure:?}");
                    }
                    if checked.is_err() || begun.elapsed() > LONGEST {
                        wrong.lock().unwrap().push((*failure, begun.elapsed()));
                    }
                }
            });
        }
    });
    println!("{name}: {} runs over {} calls", failures.len(), calls.len());
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of them: {wrong:?}", wrong.len());
}

#[test]
fn every_call_fails_once_and_the_service_goes_on_and_counts_what_is_missing() {
    fail_each("service", |failure| drop(check_service(Some(failure))));
}

#[test]
fn every_call_fails_once_before_a_power_cut_and_nothing_that_was_shown_is_lost() {
    fail_each("always", check_always);
}

/// The store can be read without one, but nothing would tell the next worker of a power cut.
#[test]
fn a_sync_log_that_was_refused_at_first_is_begun_before_the_first_journal() {
    let is_made = |(call, path): &(Call, std::path::PathBuf), suffix: &str| {
        *call == Call::Create && path.extension().is_some_and(|found| found == suffix)
    };
    let calls = Run::new(SyncWhen::EverySecond, None).disk.calls();
    let at = calls.iter().position(|call| is_made(call, "sync")).unwrap();
    for error in 0..Call::Create.errors().len() {
        let mut run = Run::new(SyncWhen::EverySecond, Some(Failure { at, error }));
        assert!(run.disk.failed().is_some());
        assert_eq!(run.host.core().fault(), None);
        let mut db = run.host.run("db");
        run.print("db", &mut db, 1);
        let calls = run.disk.calls();
        let journal = calls.iter().position(|call| is_made(call, "journal"));
        let before = calls[..journal.unwrap()].iter();
        let tries = before.filter(|call| is_made(call, "sync")).count();
        assert_eq!(tries, 2);
        run.host.stop(&mut db);
    }
}

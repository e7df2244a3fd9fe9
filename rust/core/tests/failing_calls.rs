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

mod failing;
mod simulated;
mod support;
mod workload;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use failing::{Run, choose};
use logboom_core::stream::{Limits, Query};
use logboom_core::sync_log::SyncWhen;
use simulated::{Call, Cut, Dice, Failure, Power, SimulatedDisk};
use support::{Container, Host, Line, check_each, read_to_end, wait_until};
use workload::{is_printed, read_printed};

const IDS: [&str; 2] = ["web", "db"];

/// Without `LOGBOOM_TEST_CALLS=all`, so many runs are made.
const RUNS: usize = 120;

/// Runs wait more than they work.
const THREADS: usize = 12;

/// The first worker of a run.
fn start(sync: SyncWhen, failure: Option<Failure>) -> Run {
    let mut run = Run::new();
    run.host.sync = sync;
    if let Some(failure) = failure {
        run.disk.fail(failure);
    }
    run.start();
    run
}

impl Run {
    fn print_taken(&mut self, id: &'static str, container: &mut Container, count: usize) {
        self.print(id, container, count);
        self.host.core().drain().unwrap();
    }

    /// What a reader is shown.
    fn shown(&self, id: &str) -> Vec<Line> {
        read_to_end(&mut self.read(id, &Query::default()))
    }

    /// Sessions, blocks, a segment that is sealed, a sync, and a second worker.
    fn play(&mut self) -> [Container; 2] {
        let small = Limits {
            segment_bytes: 300,
            ..Host::limits()
        };
        let mut web = self.host.run_with("web", small);
        let mut db = self.host.run("db");
        self.print_taken("web", &mut web, 5);
        self.print_taken("db", &mut db, 3);
        self.shown("web");
        self.host.stop(&mut web);
        let mut web = self.host.run_with("web", small);
        self.print_taken("web", &mut web, 5);
        self.host.stop(&mut web);
        let mut web = self.host.run_with("web", small);
        self.print_taken("web", &mut web, 3);
        self.print_taken("db", &mut db, 2);
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
    let mut run = start(SyncWhen::EverySecond, failure);
    let [mut web, mut db] = run.play();
    run.host.stop(&mut web);
    run.host.stop(&mut db);
    let dropped = run.host.counted("dropped_entries_total");
    let had_failed = run.disk.failed().is_some();
    // A worker that could not write down a session, or not end it, leaves it to the next one.
    run.start();
    for id in IDS {
        let mut container = run.host.run(id);
        run.print_taken(id, &mut container, 2);
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
    let mut run = start(SyncWhen::Always, Some(failure));
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
    choose(all.collect(), RUNS, Dice(3))
}

fn fail_each(name: &str, check: impl Fn(Failure) + Sync) {
    let calls = check_service(None).calls();
    let failures = failures(&calls);
    println!("{name}: {} runs over {} calls", failures.len(), calls.len());
    check_each(&failures, THREADS, |failure| check(*failure));
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
    let calls = start(SyncWhen::EverySecond, None).disk.calls();
    let at = calls.iter().position(|call| is_made(call, "sync")).unwrap();
    for error in 0..Call::Create.errors().len() {
        let mut run = start(SyncWhen::EverySecond, Some(Failure { at, error }));
        assert!(run.disk.failed().is_some());
        assert_eq!(run.host.core().fault(), None);
        let mut db = run.host.run("db");
        run.print_taken("db", &mut db, 1);
        let calls = run.disk.calls();
        let journal = calls.iter().position(|call| is_made(call, "journal"));
        let before = calls[..journal.unwrap()].iter();
        let tries = before.filter(|call| is_made(call, "sync")).count();
        assert_eq!(tries, 2);
        run.host.stop(&mut db);
    }
}

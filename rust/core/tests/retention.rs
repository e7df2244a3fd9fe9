//! Limits over all streams of the store, with real files and threads.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may panic, and looks at files from outside"
)]

mod mortal;
mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use logboom_core::clock::Clock;
use logboom_core::disk::{Disk, SystemDisk};
use logboom_core::replay::Replay;
use logboom_core::store::{Removal, Store, StoreLimits};
use logboom_core::stream::{Limits, Progress, Query};
use logboom_core::sync_log::{FILE_BYTES, SyncWhen};
use logboom_core::{Core, Error, Settings};
use mortal::MortalDisk;
use support::{Host, Line, decode_frames, line, list, wait_readable};

const SECOND_NS: i64 = 1_000_000_000;

/// 2026, about when entries are printed.
const NOW_NS: i64 = 1_780_000_000 * SECOND_NS;

const NO_LIMITS: StoreLimits = StoreLimits {
    max_bytes: None,
    min_free_bytes: None,
    max_streams: None,
    keep_ended_s: None,
};

/// Each block has a segment of its own.
fn small_segments() -> Limits {
    Limits {
        segment_bytes: 1,
        ..Host::limits()
    }
}

/// A core whose clock the test sets.
fn start(host: &mut Host, clock: &Arc<AtomicI64>, disk: Arc<dyn Disk>) {
    host.core = None;
    let settings = Settings {
        data: host.data(),
        fifo_root: host.folder.path().to_owned(),
        block_after: Duration::from_secs(300),
        pipe_budget_bytes: 8 << 20,
        named_containers: 100,
        sync: SyncWhen::default(),
        log_file_bytes: FILE_BYTES,
        clock: Clock::Manual(Arc::clone(clock)),
    };
    host.core = Some(Core::open_on(settings, disk).unwrap());
}

fn host() -> (Host, Arc<AtomicI64>) {
    let mut host = Host::new();
    let clock = Arc::new(AtomicI64::new(NOW_NS));
    start(&mut host, &clock, Arc::new(SystemDisk));
    (host, clock)
}

fn segments(host: &Host, id: &str) -> Vec<PathBuf> {
    let folder = host.stream_folder(id);
    list(&folder)
        .into_iter()
        .filter(|name| name.ends_with(".zst"))
        .map(|name| folder.join(name))
        .collect()
}

fn bytes(paths: &[PathBuf]) -> u64 {
    let sizes = paths.iter().map(|path| fs::metadata(path).unwrap().len());
    sizes.sum()
}

fn held_bytes(host: &Host) -> u64 {
    let mut ids = list(&host.data().join("containers"));
    // What is being removed counts for nothing.
    ids.retain(|id| !id.starts_with('.'));
    ids.iter().map(|id| bytes(&segments(host, id))).sum()
}

/// A line that does not compress to nothing.
fn noise(time_ns: i64, seed: u64) -> Line {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let text: String = (0..400)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'a' + u8::try_from(state % 26).unwrap())
        })
        .collect();
    line(time_ns, text)
}

/// One segment for each session, which ends; the last one may go on.
fn print_segments(host: &mut Host, id: &str, times_ns: &[i64]) {
    for (index, &time_ns) in times_ns.iter().enumerate() {
        let mut container = host.run_with(id, small_segments());
        container.print(&[noise(time_ns, u64::try_from(index).unwrap() + 1)]);
        host.stop(&mut container);
        let count = index + 1;
        host.wait_until(
            |_| segments(host, id).len() >= count && is_cut(&host.stream_folder(id)),
            id,
        );
    }
}

fn is_cut(folder: &Path) -> bool {
    list(folder).iter().all(|name| !name.ends_with(".journal"))
}

fn limit(host: &Host, limits: StoreLimits) {
    host.core().set_store_limits(limits);
}

fn wait_for_streams(host: &Host, count: u64) {
    host.wait_until(|_| host.counted("store_streams") == count, "");
}

/// A stream so old that any limit of age takes it. Retention looks at ages last, so when it has gone, all else is done.
const OLD: &str = "zz-old";

const YEAR_S: u64 = 365 * 24 * 3600;

fn print_old(host: &mut Host, clock: &AtomicI64) {
    let now_ns = clock.swap(1, Ordering::Relaxed);
    print_segments(host, OLD, &[1]);
    clock.store(now_ns, Ordering::Relaxed);
}

/// Sets limits, and waits until all is done that they demand.
fn retain(host: &mut Host, clock: &AtomicI64, limits: StoreLimits) {
    print_old(host, clock);
    let limits = StoreLimits {
        keep_ended_s: limits.keep_ended_s.or(Some(YEAR_S)),
        ..limits
    };
    limit(host, limits);
    host.wait_until(|folder| !folder.exists(), OLD);
}

fn most(bytes: u64) -> StoreLimits {
    StoreLimits {
        max_bytes: Some(bytes),
        ..NO_LIMITS
    }
}

fn at_most(count: u64) -> StoreLimits {
    StoreLimits {
        max_streams: Some(count),
        ..NO_LIMITS
    }
}

fn deleted_segments(host: &Host) -> u64 {
    host.counted("retention_deleted_segments_total")
}

/// Where the numbers of a stream's oldest segment begin.
fn first_number(host: &Host, id: &str) -> u64 {
    let name = segments(host, id)[0].file_stem().unwrap().to_owned();
    name.to_str().unwrap().parse().unwrap()
}

#[test]
fn a_budget_takes_from_the_loud_container_and_leaves_the_quiet_ones_alone() {
    let (mut host, _) = host();
    for quiet in 0..10 {
        print_segments(
            &mut host,
            &format!("quiet{quiet}"),
            &[NOW_NS - quiet * SECOND_NS],
        );
    }
    let times: Vec<i64> = (1..=20).map(|index| NOW_NS + index * SECOND_NS).collect();
    print_segments(&mut host, "loud", &times);
    let loud = segments(&host, "loud");
    let held = held_bytes(&host);
    host.wait_until(|_| host.counted("store_bytes") == held, "");
    assert_eq!(host.counted("store_streams"), 11);

    let before = deleted_segments(&host);

    let allowed = held - bytes(&loud[..5]);
    limit(&host, most(allowed));
    host.wait_until(|_| host.counted("store_bytes") <= allowed, "loud");
    let left = || segments(&host, "loud");
    // A hundredth less is kept than is allowed, so it may be one more.
    let gone = || u64::try_from(loud.len() - left().len()).unwrap();
    host.wait_until(|_| deleted_segments(&host) - before == gone(), "loud");
    assert!((5..=6).contains(&gone()), "{} are gone", gone());
    let left = left();
    assert_eq!(left, loud[loud.len() - left.len()..], "the oldest ones go");
    for quiet in 0..10 {
        assert_eq!(segments(&host, &format!("quiet{quiet}")).len(), 1);
    }
}

#[test]
fn a_budget_is_heeded_to_the_byte() {
    let (mut host, clock) = host();
    print_segments(&mut host, "web", &[NOW_NS, NOW_NS + 1, NOW_NS + 2]);
    print_old(&mut host, &clock);
    let held = held_bytes(&host);
    let limits = StoreLimits {
        keep_ended_s: Some(YEAR_S),
        ..most(held)
    };
    limit(&host, limits);
    host.wait_until(|folder| !folder.exists(), OLD);
    assert_eq!(segments(&host, "web").len(), 3);
    limit(&host, most(held_bytes(&host) - 1));
    host.wait_until(|_| segments(&host, "web").len() == 2, "web");
}

#[test]
fn an_ended_stream_goes_when_its_newest_entry_is_too_old_and_not_before() {
    let (mut host, clock) = host();
    let keep_s = 30 * 24 * 3600;
    print_segments(&mut host, "a", &[NOW_NS, NOW_NS + 10 * SECOND_NS]);
    print_segments(&mut host, "b", &[NOW_NS + 11 * SECOND_NS]);
    let mut running = host.run("runs");
    running.print(&[line(NOW_NS, "still there")]);
    host.read_all("runs");
    let limits = StoreLimits {
        keep_ended_s: Some(keep_s),
        ..NO_LIMITS
    };
    clock.store(
        NOW_NS + (10 + i64::try_from(keep_s).unwrap()) * SECOND_NS,
        Ordering::Relaxed,
    );
    retain(&mut host, &clock, limits);
    assert_eq!(segments(&host, "a").len(), 2);

    // An hour later ages are looked at again, by themselves.
    clock.fetch_add(3_600 * SECOND_NS, Ordering::Relaxed);
    let mut other = host.run("other");
    host.stop(&mut other);
    host.wait_until(|folder| !folder.exists(), "b");
    assert!(!host.stream_folder("a").exists());
    assert!(host.read_all("a").is_empty());
    assert_eq!(host.read_all("runs").len(), 1);
}

#[test]
fn what_was_written_just_now_is_not_old_whatever_its_entries_say() {
    // A stream whose container had printed with a wrong clock went as soon as it had ended.
    let (mut host, clock) = host();
    let keep_s = 30 * 24 * 3600;
    let limits = StoreLimits {
        keep_ended_s: Some(keep_s),
        ..NO_LIMITS
    };
    print_segments(&mut host, "web", &[SECOND_NS]);
    retain(&mut host, &clock, limits);
    wait_for_streams(&host, 1);
    assert_eq!(segments(&host, "web").len(), 1);
    assert_eq!(host.read_all("web").len(), 1);

    let keep_ns = i64::try_from(keep_s).unwrap() * SECOND_NS;
    clock.fetch_add(keep_ns + 3_600 * SECOND_NS, Ordering::Relaxed);
    let mut other = host.run("other");
    host.stop(&mut other);
    host.wait_until(|folder| !folder.exists(), "web");
}

#[test]
fn the_age_of_a_container_that_ended_is_heeded_by_the_clock() {
    let (mut host, clock) = host();
    let limits = Limits {
        max_age_s: Some(7_200),
        ..small_segments()
    };
    for seconds in [0, 3_600] {
        let mut container = host.run_with("web", limits);
        container.print(&[noise(NOW_NS + seconds * SECOND_NS, 1)]);
        host.stop(&mut container);
        host.wait_until(is_cut, "web");
    }
    start(&mut host, &clock, Arc::new(SystemDisk));
    wait_for_streams(&host, 1);
    let ring = |host: &mut Host, seconds: i64| {
        clock.store(NOW_NS + seconds * SECOND_NS, Ordering::Relaxed);
        let mut other = host.run("other");
        host.stop(&mut other);
    };
    ring(&mut host, 7_201);
    host.wait_until(|_| segments(&host, "web").len() == 1, "web");
    ring(&mut host, 7_200 + 3_601);
    host.wait_until(|folder| !folder.exists(), "web");
    wait_for_streams(&host, 0);
}

#[test]
fn above_their_number_the_oldest_ended_streams_go_and_never_a_running_one() {
    let (mut host, clock) = host();
    let mut running = host.run("runs");
    running.print(&[line(1, "the oldest of all")]);
    host.read_all("runs");
    for (id, seconds) in [("c", 3), ("a", 1), ("b", 2)] {
        print_segments(&mut host, id, &[NOW_NS + seconds * SECOND_NS]);
    }
    // The old one is the fifth.
    retain(&mut host, &clock, at_most(5));
    wait_for_streams(&host, 4);
    limit(&host, at_most(3));
    host.wait_until(|folder| !folder.exists(), "a");
    wait_for_streams(&host, 3);
    limit(&host, at_most(0));
    wait_for_streams(&host, 1);
    assert_eq!(host.read_all("runs").len(), 1);
    host.stop(&mut running);
    limit(&host, at_most(0));
    wait_for_streams(&host, 0);
    assert!(list(&host.data().join("containers")).is_empty());
}

#[test]
fn the_newest_segment_of_a_running_container_stays_whatever_is_allowed() {
    let (mut host, clock) = host();
    print_segments(&mut host, "web", &[NOW_NS, NOW_NS + 1]);
    let mut container = host.run_with("web", small_segments());
    container.print(&[noise(NOW_NS + 2, 9)]);
    assert_eq!(host.read_all("web").len(), 3);
    limit(&host, most(1));
    host.wait_until(|_| segments(&host, "web").len() == 1, "web");
    retain(&mut host, &clock, most(1));
    assert_eq!(segments(&host, "web").len(), 1);
    assert_eq!(host.read_all("web").len(), 2);
    host.stop(&mut container);
    host.wait_until(is_cut, "web");
    limit(&host, most(1));
    host.wait_until(|folder| !folder.exists(), "web");
}

#[test]
fn limits_can_be_changed_while_containers_print() {
    let (mut host, clock) = host();
    let times: Vec<i64> = (0..10).map(|index| NOW_NS + index).collect();
    print_segments(&mut host, "web", &times);
    let held = held_bytes(&host);
    limit(&host, most(held / 2));
    host.wait_until(|_| host.counted("store_bytes") <= held / 2, "web");
    limit(&host, NO_LIMITS);
    retain(&mut host, &clock, NO_LIMITS);
    let left = segments(&host, "web").len();
    assert!((4..=5).contains(&left), "{left} are left");
    print_segments(&mut host, "db", &times);
    retain(&mut host, &clock, NO_LIMITS);
    assert_eq!(segments(&host, "db").len(), 10);
}

#[test]
fn a_store_that_is_over_its_limits_when_a_worker_comes_is_trimmed() {
    let (mut host, clock) = host();
    for index in 0..5 {
        print_segments(&mut host, &format!("{index}"), &[NOW_NS, NOW_NS + 1]);
    }
    let held = held_bytes(&host);
    host.core = None;
    // The times of files stand for those of entries, and say that 3 is the oldest.
    for (index, age_s) in [(0, 50), (1, 40), (2, 30), (3, 90), (4, 10)] {
        let at = UNIX_EPOCH + Duration::from_secs(1_780_000_000 - age_s);
        for segment in segments(&host, &format!("{index}")) {
            let file = File::options().append(true).open(segment).unwrap();
            file.set_modified(at).unwrap();
        }
    }
    start(&mut host, &clock, Arc::new(SystemDisk));
    wait_for_streams(&host, 5);
    assert_eq!(host.counted("store_bytes"), held);
    limit(&host, at_most(4));
    host.wait_until(|folder| !folder.exists(), "3");
    wait_for_streams(&host, 4);
    let allowed = held_bytes(&host) - 1;
    limit(&host, most(allowed));
    host.wait_until(|_| host.counted("store_bytes") <= allowed, "0");
    assert_eq!(segments(&host, "0").len(), 1);
}

#[test]
fn numbers_of_a_removed_stream_do_not_come_again() {
    let (mut host, clock) = host();
    print_segments(&mut host, "web", &[NOW_NS, NOW_NS + 1, NOW_NS + 2]);
    limit(&host, at_most(0));
    host.wait_until(|folder| !folder.exists(), "web");
    limit(&host, NO_LIMITS);
    print_segments(&mut host, "web", &[NOW_NS]);
    assert_eq!(first_number(&host, "web"), 3);
    limit(&host, at_most(0));
    host.wait_until(|folder| !folder.exists(), "web");
    start(&mut host, &clock, Arc::new(SystemDisk));
    print_segments(&mut host, "web", &[NOW_NS]);
    assert_eq!(first_number(&host, "web"), 4);
}

#[test]
fn numbers_do_not_come_again_whenever_a_worker_is_killed_while_it_removes() {
    for changes in 0..12 {
        let (mut host, clock) = host();
        print_segments(&mut host, "web", &[NOW_NS, NOW_NS + 1]);
        let disk = MortalDisk::default();
        start(&mut host, &clock, Arc::new(disk.clone()));
        wait_for_streams(&host, 1);
        disk.die_after(changes);
        limit(&host, at_most(0));
        host.wait_until(|_| host.counted("store_streams") == 0 || disk.is_dead(), "");
        start(&mut host, &clock, Arc::new(SystemDisk));
        let left = host.read_all("web").len();
        assert!(left == 0 || left == 2, "{left} after {changes} changes");
        let mut container = host.run_with("web", small_segments());
        container.print(&[noise(NOW_NS, 7)]);
        host.stop(&mut container);
        host.wait_until(|folder| folder.exists() && is_cut(folder), "web");
        let numbers = segments(&host, "web");
        let newest = numbers.last().unwrap().file_stem().unwrap();
        assert_eq!(newest.to_str().unwrap(), format!("{:020}", 2), "{changes}");
        // What was left of the removal is removed.
        host.wait_until(|_| list(&host.data().join("containers")) == ["web"], "");
    }
}

#[test]
fn a_stream_goes_when_somebody_asks_for_it_and_none_that_is_in_use() {
    let (mut host, _) = host();
    let remove = |host: &Host, id| host.core().remove(id).unwrap();
    assert_eq!(remove(&host, "web"), Removal::Missing);
    print_segments(&mut host, "web", &[NOW_NS, NOW_NS + 1]);
    print_segments(&mut host, "db", &[NOW_NS]);
    wait_for_streams(&host, 2);
    let mut container = host.run_with("web", small_segments());
    assert_eq!(remove(&host, "web"), Removal::InUse);
    assert_eq!(segments(&host, "web").len(), 2);
    // Asked at once: what it printed last is not cut yet.
    container.print(&[noise(NOW_NS, 7)]);
    host.stop(&mut container);
    assert_eq!(remove(&host, "web"), Removal::Removed);
    assert_eq!(list(&host.data().join("containers")), ["db"]);
    wait_for_streams(&host, 1);
    assert_eq!(host.counted("store_bytes"), held_bytes(&host));
    assert_eq!(deleted_segments(&host), 0, "no limit has taken it");
    assert_eq!(remove(&host, "web"), Removal::Missing);
    print_segments(&mut host, "web", &[NOW_NS]);
    assert_eq!(first_number(&host, "web"), 3);
}

#[test]
fn a_container_that_has_printed_nothing_is_in_use_and_leaves_nothing_to_remove() {
    let (mut host, _) = host();
    let mut container = host.run("web");
    assert_eq!(host.core().remove("web").unwrap(), Removal::InUse);
    host.stop(&mut container);
    host.wait_until(
        |_| host.core().remove("web").unwrap() == Removal::Missing,
        "web",
    );
}

#[test]
fn who_asks_a_closed_store_to_remove_something_is_told() {
    let (mut host, _) = host();
    print_segments(&mut host, "web", &[NOW_NS]);
    host.core().close();
    assert!(matches!(host.core().remove("web"), Err(Error::Closed)));
    assert_eq!(segments(&host, "web").len(), 1);
}

#[test]
fn a_reader_in_the_midst_of_a_removed_stream_goes_on_and_ends() {
    let (mut host, _) = host();
    print_segments(&mut host, "web", &[NOW_NS, NOW_NS + 1, NOW_NS + 2]);
    let mut reader = host.core().read("web", &Query::default()).unwrap();
    let mut frames = Vec::new();
    assert_eq!(reader.next_frames(1, &mut frames), Progress::More);
    assert_eq!(decode_frames(&frames).len(), 1);
    limit(&host, at_most(0));
    host.wait_until(|folder| !folder.exists(), "web");
    let rest = support::read_to_end(&mut reader);
    let texts: Vec<String> = rest
        .iter()
        .map(|line| String::from_utf8_lossy(&line.text).into_owned())
        .collect();
    assert!(!texts.is_empty());
    assert!(
        texts.iter().all(|text| text.contains("were removed while")),
        "{texts:?}"
    );
    assert!(host.read_all("web").is_empty());
}

#[test]
fn a_session_that_begins_while_its_stream_is_removed_loses_nothing() {
    let (mut host, _) = host();
    let mut next_number = 0;
    for round in 0..60 {
        print_segments(&mut host, "web", &[NOW_NS]);
        limit(&host, at_most(0));
        let mut container = host.run("web");
        container.print(&[line(NOW_NS + round, "new")]);
        let lines = host.read_all("web");
        assert_eq!(lines.last().unwrap().time_ns, NOW_NS + round);
        limit(&host, NO_LIMITS);
        host.stop(&mut container);
        host.wait_until(|folder| folder.exists() && is_cut(folder), "web");
        let number = first_number(&host, "web");
        assert!(number >= next_number, "{number} in round {round}");
        assert!(host.read_all("web").iter().any(|line| line.text == b"new"));
        limit(&host, at_most(0));
        host.wait_until(|folder| !folder.exists(), "web");
        limit(&host, NO_LIMITS);
        // Two entries have been numbered since the last round.
        next_number += 2;
    }
}

#[test]
fn free_space_is_kept_as_far_as_the_store_holds_more_than_that() {
    let (mut host, clock) = host();
    let times: Vec<i64> = (0..10).map(|index| NOW_NS + index).collect();
    print_segments(&mut host, "web", &times);
    let all = segments(&host, "web");
    let held = held_bytes(&host);
    let disk = MortalDisk::default();
    start(&mut host, &clock, Arc::new(disk.clone()));
    wait_for_streams(&host, 1);
    let keep_free = |bytes| StoreLimits {
        min_free_bytes: Some(bytes),
        ..NO_LIMITS
    };
    // As much as must be free is free.
    disk.set_free_bytes(1_000);
    retain(&mut host, &clock, keep_free(1_000));
    assert_eq!(segments(&host, "web").len(), 10);
    // One byte is missing.
    disk.set_free_bytes(999);
    limit(&host, keep_free(1_000));
    host.wait_until(|_| segments(&host, "web").len() == 9, "web");
    // Others have filled the disk, and the store holds no more than what must be free.
    disk.set_free_bytes(u64::MAX);
    print_old(&mut host, &clock);
    let floor = bytes(&all[6..]) + bytes(&segments(&host, OLD));
    assert!(floor < held);
    disk.set_free_bytes(0);
    limit(&host, keep_free(floor));
    host.wait_until(|_| host.counted("store_bytes") == floor, "web");
    let limits = StoreLimits {
        keep_ended_s: Some(YEAR_S),
        ..keep_free(floor)
    };
    limit(&host, limits);
    host.wait_until(|folder| !folder.exists(), OLD);
    assert_eq!(segments(&host, "web"), all[6..]);
}

#[test]
fn on_a_full_disk_old_entries_go_before_new_ones_are_dropped() {
    let (mut host, clock) = host();
    print_segments(&mut host, "old", &[NOW_NS - 2, NOW_NS - 1]);
    let disk = MortalDisk::default();
    start(&mut host, &clock, Arc::new(disk.clone()));
    wait_for_streams(&host, 1);
    limit(
        &host,
        StoreLimits {
            min_free_bytes: Some(bytes(&segments(&host, "old")) - 1),
            ..NO_LIMITS
        },
    );
    disk.be_full_until_a_segment_goes();
    let mut container = host.run("web");
    let lines = [line(NOW_NS, "a"), line(NOW_NS, "b")];
    container.print(&lines);
    host.wait_until(|_| !disk.is_full(), "web");
    let mut follower = host.follow("web");
    assert_eq!(follow(&mut follower, 2), lines);
    assert_eq!(host.counted("dropped_entries_total"), 0);
    assert_eq!(segments(&host, "old").len(), 1);
}

/// Takes so many lines from a follower.
fn follow(follower: &mut Replay, count: usize) -> Vec<Line> {
    let mut frames = Vec::new();
    loop {
        let progress = follower.next_frames(1 << 20, &mut frames);
        let lines = decode_frames(&frames);
        if lines.len() >= count {
            return lines;
        }
        assert_ne!(progress, Progress::End);
        wait_readable(follower);
    }
}

#[test]
fn a_full_disk_that_retention_may_not_touch_makes_no_container_wait() {
    let (mut host, clock) = host();
    print_segments(&mut host, "old", &[NOW_NS - 2, NOW_NS - 1]);
    let disk = MortalDisk::default();
    start(&mut host, &clock, Arc::new(disk.clone()));
    wait_for_streams(&host, 1);
    disk.be_full_until_a_segment_goes();
    let mut container = host.run("web");
    container.print(&[line(NOW_NS, "a")]);
    host.wait_until(|_| host.core().fault().is_some(), "web");
    host.stop(&mut container);
    assert_eq!(host.counted("dropped_entries_total"), 1);
    assert_eq!(segments(&host, "old").len(), 2);
}

#[test]
fn two_thousand_tiny_streams_are_counted_and_trimmed_and_stay_closed() {
    let (mut host, clock) = host();
    print_segments(&mut host, "model", &[NOW_NS]);
    host.core = None;
    let model = host.stream_folder("model");
    let files = list(&model);
    for index in 0..2_000 {
        let folder = host.stream_folder(&format!("{index:064x}"));
        fs::create_dir(&folder).unwrap();
        for name in &files {
            fs::copy(model.join(name), folder.join(name)).unwrap();
            let file = File::options()
                .append(true)
                .open(folder.join(name))
                .unwrap();
            let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + index);
            file.set_modified(at).unwrap();
        }
    }
    start(&mut host, &clock, Arc::new(SystemDisk));
    wait_for_streams(&host, 2_001);
    assert_eq!(host.counted("store_bytes"), held_bytes(&host));
    limit(&host, at_most(1_500));
    wait_for_streams(&host, 1_500);
    let exists = |index: u64| host.stream_folder(&format!("{index:064x}")).exists();
    assert!((0..501).all(|index| !exists(index)), "the oldest ones go");
    assert!((501..2_000).all(exists));
    let held = held_bytes(&host);
    limit(&host, most(held / 2));
    host.wait_until(|_| host.counted("store_bytes") <= held / 2, "");
    assert!(!exists(501) && exists(1_999));
    assert!(host.counted("store_streams") >= 740);
}

#[test]
fn a_stream_that_retention_has_looked_at_is_forgotten_unless_somebody_uses_it() {
    let (mut host, _) = host();
    print_segments(&mut host, "web", &[NOW_NS, NOW_NS + 1]);
    host.core = None;
    let store = Store::new(
        host.data(),
        Arc::new(SystemDisk),
        [7; 16],
        SyncWhen::default(),
    );
    let stream = store.stream("web").unwrap();
    assert!(stream.drop_oldest_segment().unwrap().is_some());
    assert!(stream.drop_oldest_segment().unwrap().is_none());
    store.forget_if_idle(stream);
    assert!(store.loaded().is_empty());
    let stream = store.stream("web").unwrap();
    let held = Arc::clone(&stream);
    store.forget_if_idle(stream);
    assert_eq!(store.loaded().len(), 1, "somebody has it");
    drop(held);
    store.close();
}

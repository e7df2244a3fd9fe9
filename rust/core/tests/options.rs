//! Options of containers that give none, and what comes of a change while they run; with real files and threads.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic, and looks at files from outside"
)]

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::time::UNIX_EPOCH;

use logboom_core::store::StoreLimits;
use logboom_core::stream::{GivenOptions, Options};
use support::{Container, Host, line, list};

const NONE: GivenOptions = GivenOptions {
    max_size_bytes: None,
    max_file: None,
    max_age_s: None,
    compress: None,
};

/// Each block has a segment of its own, and all of them may stay.
const ALL: Options = Options {
    max_size_bytes: Some(1),
    max_file: u64::MAX,
    max_age_s: None,
    compress: true,
};

const ALL_GIVEN: GivenOptions = GivenOptions {
    max_size_bytes: Some(ALL.max_size_bytes),
    max_file: Some(ALL.max_file),
    max_age_s: Some(ALL.max_age_s),
    compress: Some(ALL.compress),
};

/// The newest segment alone may stay.
const NEWEST: Options = Options { max_file: 1, ..ALL };

/// All entries of these tests are older.
const YOUNG: Options = Options {
    max_age_s: Some(1),
    ..ALL
};

/// Streams that are not in use are looked at in the order of their names.
const LAST: &str = "zz";

/// A host whose defaults keep all.
fn host() -> Host {
    let host = Host::new();
    host.core().set_default_options(ALL);
    host
}

fn segment_count(folder: &Path) -> usize {
    list(folder)
        .iter()
        .filter(|name| name.ends_with(".zst"))
        .count()
}

fn is_cut(folder: &Path) -> bool {
    list(folder).iter().all(|name| !name.ends_with(".journal"))
}

/// Three segments, each of a session that has ended.
fn print_three(host: &mut Host, id: &str, given: GivenOptions) {
    for count in 1..=3 {
        let mut container = host.run_given(id, given);
        container.print(&[line(count, format!("line {count}"))]);
        host.stop(&mut container);
        host.wait_until(|folder| is_cut(folder) && segment_count(folder) >= 1, id);
    }
}

/// Three segments, and a session that runs.
fn run(host: &mut Host, id: &str, given: GivenOptions) -> Container {
    print_three(host, id, given);
    host.run_given(id, given)
}

fn wait_for_segments(host: &Host, id: &str, count: usize) {
    host.wait_until(|folder| segment_count(folder) == count, id);
}

/// Changes the defaults, and waits until each stream has been looked at for that.
fn change(host: &mut Host, options: Options) {
    host.core().set_default_options(ALL);
    print_three(host, LAST, NONE);
    host.restart();
    host.core().set_default_options(ALL);
    host.core().set_default_options(options);
    let left = usize::from(options.max_age_s.is_none());
    wait_for_segments(host, LAST, left);
}

#[test]
fn each_option_that_a_running_container_did_not_give_changes_by_itself() {
    let mut host = host();
    let _none = run(&mut host, "none", NONE);
    let with_size = GivenOptions {
        max_size_bytes: Some(None),
        ..NONE
    };
    let _size = run(&mut host, "size", with_size);
    let with_file = GivenOptions {
        max_file: Some(u64::MAX),
        ..NONE
    };
    let _file = run(&mut host, "file", with_file);
    let with_age = GivenOptions {
        max_age_s: Some(None),
        ..NONE
    };
    let _age = run(&mut host, "age", with_age);

    let counts = |host: &Host| {
        ["none", "size", "file", "age"].map(|id| segment_count(&host.stream_folder(id)))
    };
    // A stream without a limit of size has all in one segment.
    assert_eq!(counts(&host), [3, 1, 3, 3]);
    host.core().set_default_options(NEWEST);
    host.wait_until(|_| counts(&host) == [1, 1, 3, 1], "none");
    change(&mut host, NEWEST);
    assert_eq!(counts(&host), [1, 1, 3, 1]);
    host.core().set_default_options(YOUNG);
    host.wait_until(|_| counts(&host) == [0, 0, 0, 1], "none");
    change(&mut host, YOUNG);
    assert_eq!(counts(&host), [0, 0, 0, 1]);
}

#[test]
fn the_next_block_is_compressed_or_not_as_the_default_is_then() {
    let mut host = host();
    let mut container = host.run_given("web", NONE);
    container.print(&[line(1, "a".repeat(1000))]);
    host.core().set_default_options(Options {
        compress: false,
        ..ALL
    });
    host.stop(&mut container);
    host.wait_until(|folder| is_cut(folder) && segment_count(folder) == 1, "web");
    let folder = host.stream_folder("web");
    let name = list(&folder).remove(0);
    let stored = fs::read(folder.join(name)).unwrap();
    assert!(stored.windows(1000).any(|window| window == [b'a'; 1000]));
}

#[test]
fn a_container_that_ended_follows_the_defaults_too() {
    let mut host = host();
    print_three(&mut host, "used", NONE);
    host.core().set_default_options(NEWEST);
    wait_for_segments(&host, "used", 1);
    host.core().set_default_options(ALL);
    print_three(&mut host, "unused", NONE);
    print_three(&mut host, "given", ALL_GIVEN);
    change(&mut host, NEWEST);
    let folders = ["unused", "given"].map(|id| host.stream_folder(id));
    assert_eq!(folders.map(|folder| segment_count(&folder)), [1, 3]);
}

#[test]
fn a_worker_that_comes_looks_only_at_streams_in_use_when_it_is_told_the_defaults() {
    let mut host = host();
    print_three(&mut host, "ended", NONE);
    let _running = run(&mut host, "running", NONE);
    print_three(&mut host, LAST, NONE);
    host.core = None;
    for name in list(&host.stream_folder(LAST)) {
        let path = host.stream_folder(LAST).join(name);
        let file = File::options().append(true).open(path).unwrap();
        file.set_modified(UNIX_EPOCH).unwrap();
    }
    host.start();
    host.core().set_default_options(NEWEST);
    wait_for_segments(&host, "running", 1);
    host.core().set_store_limits(StoreLimits {
        keep_ended_s: Some(3_600),
        ..StoreLimits::default()
    });
    // Its age is looked at after that of the others.
    host.wait_until(|folder| !folder.exists(), LAST);
    assert_eq!(segment_count(&host.stream_folder("ended")), 3);
}

#[test]
fn a_session_that_a_worker_finds_again_follows_the_defaults_that_hold_then() {
    let mut host = host();
    let _none = run(&mut host, "none", NONE);
    let _given = run(&mut host, "given", ALL_GIVEN);
    host.restart();
    host.core().set_default_options(NEWEST);
    wait_for_segments(&host, "none", 1);
    change(&mut host, YOUNG);
    let folders = ["none", "given"].map(|id| host.stream_folder(id));
    assert_eq!(folders.map(|folder| segment_count(&folder)), [0, 3]);
}

/// As a version wrote it that knew neither which options were given nor checksums.
fn forget_given(path: &Path) {
    let content = fs::read_to_string(path).unwrap();
    let (summed, _) = content.rsplit_once(",\"crc32c\":").unwrap();
    let mut earlier = format!("{summed}}}");
    assert!(earlier.contains("\"given\":"));
    while let Some((before, given)) = earlier.split_once("\"given\":") {
        let (_, behind) = given.split_once("},").unwrap();
        earlier = format!("{before}{behind}");
    }
    fs::write(path, earlier).unwrap();
}

#[test]
fn a_session_of_an_earlier_version_keeps_the_limits_that_were_written_down() {
    let mut host = host();
    let _running = run(&mut host, "running", NONE);
    print_three(&mut host, "ended", NONE);
    host.core = None;
    let records = host.folder.path().join("run/docker/logboom");
    for record in list(&records) {
        forget_given(&records.join(record));
    }
    for id in ["running", "ended"] {
        forget_given(&host.stream_folder(id).join("container.json"));
    }
    host.start();
    change(&mut host, NEWEST);
    for id in ["running", "ended"] {
        assert_eq!(segment_count(&host.stream_folder(id)), 3);
    }
    // A session of this version follows them.
    let mut container = host.run_given("running", NONE);
    container.print(&[line(4, "line 4")]);
    host.stop(&mut container);
    wait_for_segments(&host, "running", 1);
}

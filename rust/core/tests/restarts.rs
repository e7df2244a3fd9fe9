//! What must hold whatever a worker was doing when it ended, and whatever comes in which order afterwards.
//!
//! A *kill* before the first cut is played by a disk that refuses all cuts: what the worker leaves when it ends is what a
//! killed one leaves.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test looks at files from outside"
)]

mod mortal;
mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use logboom_core::disk::{Disk, SystemDisk};
use logboom_core::journal::{GenerationHeader, HEADER_PAGE_BYTES, write_recovered};
use logboom_core::stream::{
    Boot, CutWhen, GivenOptions, Limits, Progress, Query, Reader, Session, SessionFacts, Stream,
    Tools,
};
use logboom_core::sync_log::SyncWhen;
use mortal::MortalDisk;
use support::{Container, Host, Line, frame, line, list};
use tempfile::TempDir;

const ID: &str = "web";

/// One letter as a line.
fn text(text: &str) -> Line {
    line(1, text)
}

/// A frame of `text` in two halves.
fn halves(text: &str) -> (Vec<u8>, Vec<u8>) {
    let mut beginning = frame(&line(1, text));
    let rest = beginning.split_off(beginning.len() / 2);
    (beginning, rest)
}

/// What the lines say; entries that tell of damage as `damage`.
fn texts(lines: &[Line]) -> Vec<String> {
    lines
        .iter()
        .map(|line| String::from_utf8_lossy(&line.text).into_owned())
        .map(|text| match text {
            text if text.contains(" bytes from dockerd are no log entry") => "damage".to_owned(),
            text => text,
        })
        .collect()
}

fn read(host: &Host) -> Vec<String> {
    texts(&host.read_all(ID))
}

/// Writes to a session and waits until it is taken.
fn write(host: &Host, container: &mut Container, bytes: &[u8]) {
    container.write(bytes);
    host.core().drain().unwrap();
}

fn print(host: &Host, container: &mut Container, text: &str) {
    write(host, container, &frame(&line(1, text)));
}

fn host_on(disk: &MortalDisk) -> Host {
    let mut host = Host::new();
    host.core = None;
    host.start_on(Arc::new(disk.clone()));
    host
}

/// A worker that cuts nothing.
fn host_without_cuts() -> Host {
    let disk = MortalDisk::default();
    disk.refuse_cuts();
    host_on(&disk)
}

/// A file cannot be removed from now on; returns where it is meanwhile.
fn keep(file: &Path) -> PathBuf {
    let aside = file.with_extension("aside");
    fs::rename(file, &aside).unwrap();
    fs::create_dir(file).unwrap();
    aside
}

fn release(file: &Path) {
    fs::remove_dir(file).unwrap();
    fs::rename(file.with_extension("aside"), file).unwrap();
}

fn generation(host: &Host, number: u64) -> PathBuf {
    host.stream_folder(ID).join(format!("{number:020}.journal"))
}

fn is_cut(folder: &Path) -> bool {
    let names = list(folder);
    !names.is_empty() && names.iter().all(|name| !name.ends_with(".journal"))
}

fn segments(host: &Host) -> Vec<String> {
    let names = list(&host.stream_folder(ID)).into_iter();
    names.filter(|name| name.ends_with(".zst")).collect()
}

#[test]
fn two_sessions_that_a_new_worker_finds_go_on_one_behind_the_other() {
    let mut host = Host::new();
    let (mut first, mut second) = (host.run(ID), host.run(ID));
    print(&host, &mut first, "a");
    print(&host, &mut second, "b");
    host.restart();
    print(&host, &mut first, "c");
    print(&host, &mut second, "d");
    assert_eq!(read(&host), ["a", "b", "c", "d"]);
    host.restart();
    assert_eq!(read(&host), ["a", "b", "c", "d"]);
    host.stop(&mut first);
    host.stop(&mut second);
    host.wait_until(is_cut, ID);
    assert_eq!(read(&host), ["a", "b", "c", "d"]);
}

#[test]
fn a_torn_frame_that_became_whole_is_not_taken_up_again() {
    let mut host = Host::new();
    let (mut first, mut second) = (host.run(ID), host.run(ID));
    let (beginning, rest) = halves("a torn line");
    write(&host, &mut first, &beginning);
    print(&host, &mut second, "b");
    // The worker comes no further than this file when it removes what lies in blocks.
    let oldest = generation(&host, 0);
    keep(&oldest);
    write(&host, &mut first, &rest);
    host.wait_until(|_| host.core().fault().is_some(), ID);
    print(&host, &mut second, "c");
    host.core = None;
    release(&oldest);
    host.start();
    print(&host, &mut first, "d");
    assert_eq!(read(&host), ["b", "a torn line", "c", "d"]);
}

#[test]
fn where_damage_ends_may_be_told_by_bytes_behind_the_last_whole_frame() {
    let mut host = Host::new();
    let mut container = host.run(ID);
    // What begins as dockerd's frames do, and is none: to know that it does not decode takes the bytes of the torn frame.
    let (beginning, rest) = halves("torn, and long enough");
    let good = frame(&text("good"));
    let wrong = b"\x0a\x06stdout\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    let length = u32::try_from(wrong.len() + good.len() + beginning.len()).unwrap();
    let damage = [b"\xff", &length.to_be_bytes()[..], &wrong[..]].concat();
    write(&host, &mut container, &[damage, good, beginning].concat());
    assert_eq!(read(&host), ["damage", "good"]);
    host.restart();
    assert_eq!(read(&host), ["damage", "good"]);
    write(&host, &mut container, &rest);
    let expected = ["damage", "good", "torn, and long enough"];
    assert_eq!(read(&host), expected);
    host.stop(&mut container);
    host.wait_until(is_cut, ID);
    assert_eq!(read(&host), expected);
}

#[test]
fn a_torn_end_is_one_entry_when_its_generation_outlives_its_block() {
    let mut host = Host::new();
    let mut container = host.run(ID);
    print(&host, &mut container, "a");
    write(&host, &mut container, &halves("torn").0);
    let journal = generation(&host, 0);
    keep(&journal);
    host.stop(&mut container);
    host.core = None;
    release(&journal);
    host.start();
    assert_eq!(read(&host), ["a", "damage"]);
    host.restart();
    assert_eq!(read(&host), ["a", "damage"]);
}

#[test]
fn the_bytes_of_a_torn_end_are_kept_whenever_a_worker_is_killed() {
    for changes in 0..10 {
        let disk = MortalDisk::default();
        let mut host = host_on(&disk);
        let mut container = host.run(ID);
        let (beginning, _) = halves("torn");
        write(&host, &mut container, &beginning);
        disk.die_after(changes);
        host.stop(&mut container);
        host.restart();
        assert_eq!(read(&host), ["damage"], "{changes} changes");
        host.wait_until(is_cut, ID);
        let folder = host.stream_folder(ID);
        let kept = list(&folder)
            .into_iter()
            .find(|name| name.ends_with(".damaged"));
        assert_eq!(
            fs::read(folder.join(kept.unwrap())).unwrap(),
            beginning,
            "{changes} changes"
        );
    }
}

#[test]
fn a_torn_end_is_one_entry_when_another_session_has_followed() {
    let mut host = host_without_cuts();
    let (mut first, mut second) = (host.run(ID), host.run(ID));
    print(&host, &mut first, "a");
    write(&host, &mut first, &halves("torn").0);
    host.stop(&mut first);
    print(&host, &mut second, "b");
    assert_eq!(read(&host), ["a", "damage", "b"]);
    host.restart();
    assert_eq!(read(&host), ["a", "damage", "b"]);
    host.restart();
    assert_eq!(read(&host), ["a", "damage", "b"]);
}

#[test]
fn a_torn_frame_of_an_earlier_worker_is_an_entry_when_its_session_ends() {
    let mut host = Host::new();
    let (mut first, mut second) = (host.run(ID), host.run(ID));
    print(&host, &mut first, "a");
    write(&host, &mut first, &halves("torn").0);
    print(&host, &mut second, "b");
    host.restart();
    host.stop(&mut first);
    assert_eq!(read(&host), ["a", "b", "damage"]);
    host.restart();
    assert_eq!(read(&host), ["a", "b", "damage"]);
}

#[test]
fn a_torn_frame_waits_for_its_rest_whichever_session_is_found_first() {
    let mut host = Host::new();
    let (mut first, mut second) = (host.run(ID), host.run(ID));
    let (beginning, rest) = halves("a torn line");
    write(&host, &mut second, &beginning);
    host.core = None;
    // dockerd has died, and its FIFO is gone.
    first.abandon();
    fs::remove_file(host.folder.path().join(first.file.trim_start_matches('/'))).unwrap();
    host.start();
    write(&host, &mut second, &rest);
    assert_eq!(read(&host), ["a torn line"]);
}

#[test]
fn a_torn_frame_in_an_older_generation_waits_for_its_rest_whichever_session_is_found_first() {
    let mut host = Host::new();
    let (mut first, mut second) = (host.run(ID), host.run(ID));
    let (beginning, rest) = halves("a torn line");
    print(&host, &mut second, "a");
    write(&host, &mut second, &beginning);
    print(&host, &mut first, "b");
    host.core = None;
    first.print(&[text("c")]);
    host.start();
    write(&host, &mut second, &rest);
    assert_eq!(read(&host), ["a", "b", "c", "a torn line"]);
}

#[test]
fn sequence_numbers_go_on_when_age_has_taken_the_last_segment() {
    let mut host = Host::new();
    let limits = Limits {
        max_age_s: Some(1),
        ..Host::limits()
    };
    let mut container = host.run_with(ID, limits);
    print(&host, &mut container, "of 1970");
    host.stop(&mut container);
    host.core = None;
    assert_eq!(segments(&host), [""; 0]);
    host.start();
    let mut container = host.run(ID);
    print(&host, &mut container, "a");
    host.stop(&mut container);
    host.wait_until(is_cut, ID);
    assert_eq!(segments(&host), [format!("{:020}.zst", 1)]);
}

/// The removal of another stream raises where new streams begin. A journal with lower numbers was passed over from then on, as if it
/// lay in blocks.
#[test]
fn a_journal_without_a_block_is_read_although_new_streams_begin_behind_it() {
    let mut host = host_without_cuts();
    let mut container = host.run(ID);
    print(&host, &mut container, "a");
    host.core = None;
    fs::write(host.data().join("first-sequence"), "1000\n").unwrap();
    host.start();
    assert_eq!(read(&host), ["a"]);
    print(&host, &mut container, "b");
    assert_eq!(read(&host), ["a", "b"]);
    host.stop(&mut container);
    host.wait_until(is_cut, ID);
    assert_eq!(read(&host), ["a", "b"]);
}

#[test]
fn what_age_has_taken_does_not_come_back() {
    let mut host = Host::new();
    let limits = Limits {
        max_age_s: Some(1),
        ..Host::limits()
    };
    let mut container = host.run_with(ID, limits);
    print(&host, &mut container, "of 1970");
    // A session that ends makes the worker cut all that there is.
    let mut other = host.run_with(ID, limits);
    host.stop(&mut other);
    host.wait_until(|_| read(&host).is_empty(), ID);
    host.restart();
    assert_eq!(read(&host), [""; 0]);
}

#[test]
fn a_tail_begins_behind_a_segment_that_retention_is_removing() {
    let mut host = Host::new();
    let limits = Limits {
        segment_bytes: 1,
        ..Host::limits()
    };
    for name in ["a", "b", "c"] {
        let mut container = host.run_with(ID, limits);
        print(&host, &mut container, name);
        host.stop(&mut container);
        host.wait_until(is_cut, ID);
    }
    // The file goes before the stream forgets it.
    fs::remove_file(host.stream_folder(ID).join(&segments(&host)[0])).unwrap();
    let query = Query {
        tail: Some(3),
        ..Query::default()
    };
    assert_eq!(texts(&host.read(ID, &query)), ["b", "c"]);
}

#[test]
fn the_facts_of_a_session_are_kept_when_the_worker_is_killed_before_the_first_cut() {
    let mut host = host_without_cuts();
    let mut container = host.run(ID);
    print(&host, &mut container, "a");
    host.restart();
    print(&host, &mut container, "b");
    host.stop(&mut container);
    host.wait_until(is_cut, ID);
    let facts = fs::read(host.stream_folder(ID).join("container.json")).unwrap();
    assert!(String::from_utf8_lossy(&facts).contains(&container.file));
}

/// Over a megabyte, so that a block of it is cut at once.
fn print_much(host: &Host, container: &mut Container, text: &str) {
    let one = frame(&line(1, format!("{text}{}", "x".repeat(10_000))));
    for _ in 0..150 {
        write(host, container, &one);
    }
}

/// Blocks went on into the file that had no name any more, and were gone with it, without a word.
#[test]
fn what_is_printed_after_somebody_has_removed_the_files_is_kept() {
    let remove_segments: fn(&Path) = |folder| {
        for name in list(folder).iter().filter(|name| name.ends_with(".zst")) {
            fs::remove_file(folder.join(name)).unwrap();
        }
    };
    let remove_all: fn(&Path) = |folder| {
        // A file may come while the others go.
        while folder.exists() {
            let _ = fs::remove_dir_all(folder);
        }
    };
    for remove in [remove_segments, remove_all] {
        let mut host = Host::new();
        let mut container = host.run(ID);
        print_much(&host, &mut container, "before");
        host.wait_until(|_| segments(&host).len() == 1, ID);
        remove(&host.stream_folder(ID));
        print_much(&host, &mut container, "after");
        host.stop(&mut container);
        host.wait_until(is_cut, ID);
        host.restart();
        let read = read(&host);
        let after = read.iter().filter(|text| text.starts_with("after"));
        assert_eq!(after.count(), 150);
        let facts = fs::read_to_string(host.stream_folder(ID).join("container.json")).unwrap();
        assert!(facts.contains(&container.file));
    }
}

#[test]
fn the_facts_of_a_session_are_kept_when_another_is_what_the_next_worker_sees_first() {
    let mut host = host_without_cuts();
    let (mut first, mut second) = (host.run(ID), host.run(ID));
    print(&host, &mut first, "a");
    print(&host, &mut second, "b");
    host.restart();
    print(&host, &mut second, "c");
    host.wait_until(|_| !generation(&host, 1).exists(), ID);
    host.stop(&mut first);
    host.stop(&mut second);
    host.wait_until(is_cut, ID);
    let facts = fs::read_to_string(host.stream_folder(ID).join("container.json")).unwrap();
    for container in [first, second] {
        assert!(facts.contains(&container.file), "{facts}");
    }
}

/// Lets nothing have happened to a FIFO for so long.
fn age(fifo: &Path, seconds: u64) {
    let then = SystemTime::now() - Duration::from_secs(seconds);
    let file = fs::File::options().read(true).write(true).open(fifo);
    file.unwrap().set_modified(then).unwrap();
}

#[test]
fn a_fifo_that_belongs_to_nobody_is_removed_when_it_is_old_and_has_no_writer() {
    const OLD_S: u64 = 3600;
    let mut host = Host::new();
    let mut begun = host.run("begun");
    let [mut orphan, held, mut young] = ["orphan", "held", "young"].map(|id| host.make_fifo(id));
    let paths = [&orphan, &young, &held, &begun].map(|container| {
        host.folder
            .path()
            .join(container.file.trim_start_matches('/'))
    });
    orphan.abandon();
    young.abandon();
    host.core = None;
    for path in &paths {
        age(path, OLD_S + 10);
    }
    age(&paths[1], OLD_S - 600);
    host.start();
    assert_eq!(paths.map(|path| path.exists()), [false, true, true, true]);
    // What is held may still become a session, and one that is known goes on.
    host.core()
        .start_session(&held.file, "held", "{}", GivenOptions::default())
        .unwrap();
    print(&host, &mut begun, "goes on");
    assert_eq!(texts(&host.read_all("begun")), ["goes on"]);
}

#[test]
fn a_record_that_cannot_be_used_keeps_no_session_from_being_found() {
    let mut host = Host::new();
    let mut container = host.run(ID);
    let records = host.folder.path().join("run/docker/logboom");
    let record = fs::read_to_string(records.join(&list(&records)[0])).unwrap();
    host.core = None;
    // An earlier version wrote no checksum.
    let (summed, _) = record.rsplit_once(',').unwrap();
    let (begun, _) = record.split_once("\"started_ns\":").unwrap();
    let older = format!("{summed}}}")
        .replace(begun, &begun.replace("/run/docker", "/run/../docker"))
        .replace("\"started_ns\":", "\"started_ns\":-");
    fs::write(records.join(format!("{:016x}.json", 1)), older).unwrap();
    host.start();
    print(&host, &mut container, "a");
    assert_eq!(read(&host), ["a"]);
}

#[test]
fn a_damaged_header_costs_its_block_and_nothing_is_cut_off() {
    for block in 0..3 {
        let mut host = Host::new();
        for text in ["a", "b", "c"] {
            let mut container = host.run(ID);
            print(&host, &mut container, text);
            host.stop(&mut container);
            host.wait_until(is_cut, ID);
        }
        host.core = None;
        let folder = host.stream_folder(ID);
        let path = folder.join(&segments(&host)[0]);
        let mut damaged = fs::read(&path).unwrap();
        let headers: Vec<usize> = (0..damaged.len())
            .filter(|&at| damaged[at..].starts_with(b"LOGBLOCK"))
            .collect();
        assert_eq!(headers.len(), 3);
        damaged[headers[block] + 20] ^= 1;
        fs::write(&path, &damaged).unwrap();
        host.start();
        let mut container = host.run(ID);
        print(&host, &mut container, "d");
        host.stop(&mut container);
        host.wait_until(is_cut, ID);
        for _ in 0..2 {
            let mut left = read(&host);
            left.retain(|text| !text.starts_with("logboom: "));
            let expected: Vec<&str> = ["a", "b", "c", "d"]
                .into_iter()
                .enumerate()
                .filter(|&(index, _)| index != block)
                .map(|(_, text)| text)
                .collect();
            assert_eq!(left, expected, "block {block}");
            let is_left =
                |name: &String| fs::read(folder.join(name)).unwrap().starts_with(&damaged);
            assert!(list(&folder).iter().any(is_left), "block {block}");
            host.restart();
        }
    }
}

#[test]
fn many_short_damages_are_read_and_few_are_kept() {
    let mut host = Host::new();
    let mut container = host.run(ID);
    let count = 60_000;
    container.write(
        &[&[0xff], frame(&line(1, "")).as_slice()]
            .concat()
            .repeat(count),
    );
    host.stop(&mut container);
    host.wait_until(is_cut, ID);
    let expected = ["damage", ""].repeat(count);
    assert!(read(&host) == expected);
    host.restart();
    assert!(read(&host) == expected);
    let names = list(&host.stream_folder(ID));
    let kept = names.iter().filter(|name| name.ends_with(".damaged"));
    assert!(kept.count() <= 64);
}

/// A second sync of the same file would succeed and prove nothing: the disk may have forgotten what it could not write.
#[test]
fn blocks_that_could_not_be_synced_are_written_to_another_file_before_their_journal_goes() {
    let disk = MortalDisk::default();
    let mut host = host_on(&disk);
    disk.fail_syncs(true);
    let mut container = host.run(ID);
    print(&host, &mut container, "a");
    host.stop(&mut container);
    let is_segment = |fault: String| fault.contains(".zst");
    host.wait_until(|_| host.core().fault().is_some_and(is_segment), ID);
    assert!(generation(&host, 0).exists());
    let segment = host.stream_folder(ID).join(&segments(&host)[0]);
    let refused = segment.metadata().unwrap().ino();
    disk.fail_syncs(false);
    let mut container = host.run(ID);
    print(&host, &mut container, "b");
    host.stop(&mut container);
    host.wait_until(is_cut, ID);
    assert_ne!(segment.metadata().unwrap().ino(), refused);
    assert_eq!(segments(&host).len(), 1);
    assert_eq!(read(&host), ["a", "b"]);
    host.restart();
    assert_eq!(read(&host), ["a", "b"]);
}

#[test]
fn what_was_taken_before_the_disk_was_full_is_read() {
    let disk = MortalDisk::default();
    let mut host = host_on(&disk);
    let mut container = host.run(ID);
    let path = host
        .folder
        .path()
        .join(container.file.trim_start_matches('/'));
    let fifo = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    rustix::pipe::fcntl_setpipe_size(&fifo, 256 << 10).unwrap();
    let lines: Vec<Line> = (0..1_000)
        .map(|time_ns| line(time_ns, [b'x'; 80]))
        .collect();
    write(&host, &mut container, &frame(&lines[0]));
    // No more than the space that a quiet session got with its first byte.
    disk.be_full_after(0);
    let rest: Vec<u8> = lines[1..].iter().flat_map(frame).collect();
    write(&host, &mut container, &rest);
    let taken = (64 << 10) / frame(&lines[999]).len();
    let found = host.read_all(ID);
    assert!(found.len() >= taken, "{} of {taken}", found.len());
    assert!(found[..taken] == lines[..taken]);
}

/// A stream, and a session on it.
fn stream(folder: &Path, disk: Arc<dyn Disk>) -> (Arc<Stream>, Arc<Session>) {
    let stream = Stream::new(
        ID,
        folder.join(ID),
        disk,
        Boot::default(),
        Arc::default(),
        0,
        SyncWhen::default(),
    );
    let facts = SessionFacts {
        session: format!("{:016x}", 1),
        file: "/fifo".to_owned(),
        container_id: ID.to_owned(),
        started_ns: 0,
        limits: Host::limits(),
        given: None,
        facts: serde_json::value::RawValue::from_string("{}".to_owned()).unwrap(),
    };
    let session = Arc::new(Session::new(1, facts, folder.join("record")));
    stream.begin_session(&session);
    (Arc::new(stream), session)
}

#[test]
fn damage_longer_than_a_chunk_is_not_read_again_for_each_byte() {
    let folder = tempfile::tempdir().unwrap();
    let disk = MortalDisk::default();
    let (stream, session) = stream(folder.path(), Arc::new(disk.clone()));
    let mut writer = stream
        .begin_generation(&session, 0, &vec![0xff; 264 << 10], 0)
        .unwrap();
    writer.find(&mut Vec::new()).unwrap();
    writer.show();
    let reads = disk.reads();
    assert!(reads < 10, "{reads} reads");
}

#[test]
fn a_tail_counts_every_entry_once_while_a_block_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (stream, session) = stream(folder.path(), Arc::new(MortalDisk::default()));
    let run = frame(&text("a")).repeat(20);
    let mut tools = Tools::default();
    let mut print = |index: u64| {
        let position = index * run.len() as u64;
        let mut writer = stream
            .begin_generation(&session, position, &run, 0)
            .unwrap();
        writer.find(&mut Vec::new()).unwrap();
        writer.show();
        writer.close().unwrap();
        stream.cut(CutWhen::Full, 0, &mut tools).unwrap();
    };
    print(0);
    let is_done = AtomicBool::new(false);
    let read = || {
        let query = Query {
            tail: Some(20),
            ..Query::default()
        };
        while !is_done.load(Ordering::Relaxed) {
            let mut reader = Reader::open(&stream, &query).unwrap();
            let mut count = 0;
            while reader.step(&mut |_| count += 1) != Progress::End {}
            assert_eq!(count, 20);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(read);
        scope.spawn(read);
        (1..5_000).for_each(&mut print);
        is_done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_record_of_a_stream_that_was_removed_takes_nothing_from_its_successor() {
    // After two power cuts the sync log of the first may be there in part, and generations are counted anew in the successor.
    let folder = TempDir::new().unwrap();
    let generation = |session, first_sequence| GenerationHeader {
        session,
        first_sequence,
        ..GenerationHeader::default()
    };
    let write = |header: &GenerationHeader, bytes: &[u8]| {
        write_recovered(&SystemDisk, folder.path(), header, bytes).unwrap();
        let names = list(folder.path());
        let content = fs::read(folder.path().join(&names[0])).unwrap();
        content[HEADER_PAGE_BYTES..].to_vec()
    };
    assert_eq!(write(&generation(1, 3), b"removed"), b"removed");
    assert_eq!(write(&generation(2, 7), b"successor"), b"successor");
    assert_eq!(write(&generation(1, 3), b"removed"), b"successor");
    assert_eq!(write(&generation(2, 7), b"succ"), b"successor");
}

/// No worker comes there by counting.
#[test]
fn a_file_with_the_last_of_all_numbers_is_in_the_way_of_no_reader() {
    let mut host = Host::new();
    let mut web = host.run(ID);
    web.print(&[text("a"), text("b")]);
    host.stop(&mut web);
    host.core = None;
    let last = format!("{:020}", u64::MAX);
    let in_the_way = [
        host.stream_folder(ID).join(format!("{last}.journal")),
        host.data().join("sync").join(format!("{last}.sync")),
    ];
    fs::create_dir_all(host.data().join("sync")).unwrap();
    for path in &in_the_way {
        fs::write(path, "").unwrap();
    }
    host.start();
    assert_eq!(texts(&host.read_all(ID)), ["a", "b"]);
    host.restart();
    let mut web = host.run(ID);
    web.print(&[text("c")]);
    host.stop(&mut web);
    assert_eq!(texts(&host.read_all(ID)).first().unwrap(), "a");
    host.restart();
    assert_eq!(texts(&host.read_all(ID)), ["a", "b", "c"]);
}

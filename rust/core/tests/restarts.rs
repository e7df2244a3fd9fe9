//! What must hold whatever a worker was doing when it ended, and whatever comes in which order afterwards.
//!
//! A *kill* is played by a worker that can cut nothing, since a folder stands where it wants to write: what it leaves when it
//! ends is what a killed one leaves.
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

mod support;

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use logboom_core::disk::{Disk, DiskFile, Listed, OpenMode, SystemDisk};
use logboom_core::stream::{
    Boot, CutWhen, Limits, Progress, Query, Reader, Session, SessionFacts, Stream, Tools,
};
use support::{Container, Host, Line, frame, line, list};

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

/// The facts of the stream cannot be written, so nothing is cut.
fn block_cuts(host: &Host) -> PathBuf {
    let obstacle = host.stream_folder(ID).join("container.tmp");
    fs::create_dir_all(&obstacle).unwrap();
    obstacle
}

/// The worker is killed, and another begins.
fn kill(host: &mut Host, obstacle: &Path) {
    host.core = None;
    fs::remove_dir(obstacle).unwrap();
    host.start();
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
fn a_torn_end_is_one_entry_when_another_session_has_followed() {
    let mut host = Host::new();
    let obstacle = block_cuts(&host);
    let (mut first, mut second) = (host.run(ID), host.run(ID));
    print(&host, &mut first, "a");
    write(&host, &mut first, &halves("torn").0);
    host.stop(&mut first);
    print(&host, &mut second, "b");
    assert_eq!(read(&host), ["a", "damage", "b"]);
    kill(&mut host, &obstacle);
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
    let mut host = Host::new();
    let obstacle = block_cuts(&host);
    let mut container = host.run(ID);
    print(&host, &mut container, "a");
    kill(&mut host, &obstacle);
    print(&host, &mut container, "b");
    host.stop(&mut container);
    host.wait_until(is_cut, ID);
    let facts = fs::read(host.stream_folder(ID).join("container.json")).unwrap();
    assert!(String::from_utf8_lossy(&facts).contains(&container.file));
}

/// A stream, and a session on it.
fn stream(folder: &Path, disk: Arc<dyn Disk>) -> (Arc<Stream>, Arc<Session>) {
    let stream = Stream::new(ID, folder.join(ID), disk, Boot::default(), 0);
    let facts = SessionFacts {
        session: format!("{:016x}", 1),
        file: "/fifo".to_owned(),
        container_id: ID.to_owned(),
        started_ns: 0,
        limits: Host::limits(),
        facts: serde_json::value::RawValue::from_string("{}".to_owned()).unwrap(),
    };
    let session = Arc::new(Session::new(1, facts, folder.join("record")));
    stream.begin_session(&session);
    (Arc::new(stream), session)
}

#[test]
fn damage_longer_than_a_chunk_is_not_read_again_for_each_byte() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(CountingDisk::default());
    let (stream, session) = stream(folder.path(), Arc::clone(&disk) as Arc<dyn Disk>);
    let mut writer = stream
        .begin_generation(&session, 0, &vec![0xff; 264 << 10], 0)
        .unwrap();
    writer.publish(&mut Vec::new()).unwrap();
    let reads = disk.reads.load(Ordering::Relaxed);
    assert!(reads < 10, "{reads} reads");
}

#[test]
fn a_tail_counts_every_entry_once_while_a_block_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (stream, session) = stream(folder.path(), Arc::new(CountingDisk::default()));
    let run = frame(&text("a")).repeat(20);
    let mut tools = Tools::default();
    let mut print = |index: u64| {
        let position = index * run.len() as u64;
        let mut writer = stream
            .begin_generation(&session, position, &run, 0)
            .unwrap();
        writer.publish(&mut Vec::new()).unwrap();
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
            while reader.step(&mut |_, _| count += 1) != Progress::End {}
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

/// Counts what is read, and syncs nothing.
#[derive(Debug, Default)]
struct CountingDisk {
    reads: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct CountingFile {
    file: Box<dyn DiskFile>,
    reads: Arc<AtomicUsize>,
}

impl Disk for CountingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(CountingFile {
            file: SystemDisk.open(path, mode)?,
            reads: Arc::clone(&self.reads),
        }))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        SystemDisk.create_folder(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        SystemDisk.list(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove_folder(path)
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for CountingFile {
    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.file.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn splice_from(&self, pipe: BorrowedFd<'_>, offset: u64, most: usize) -> io::Result<usize> {
        self.file.splice_from(pipe, offset, most)
    }

    fn reserve(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.file.reserve(offset, bytes)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.truncate(bytes)
    }

    fn lock(&self) -> io::Result<bool> {
        self.file.lock()
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

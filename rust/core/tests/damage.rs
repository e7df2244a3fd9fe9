//! Every byte of a small store is changed and every file is cut at every length, one at a time. Whatever is hit: opening neither
//! panics nor hangs, each entry that is given is one of those that were written, in order and once, or one that names the damage; and
//! `verify` finds it, and leaves a store that is well.
//!
//! The store is what a killed worker leaves. `LOGBOOM_TEST_DAMAGE=all` takes every byte and length, else a stride takes some.
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

mod memory;
mod mortal;
mod support;
mod synced;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use logboom_core::disk::Disk;
use logboom_core::store::{Place, Store, read_records, repair, verify};
use logboom_core::stream::{CutWhen, Limits, Progress, Query, Reader, Stream, Tools};
use logboom_core::sync_log::SyncWhen;
use memory::MemoryDisk;
use mortal::MortalDisk;
use support::{Host, check_each, frame, line, lines, list};
use synced::read_log;

/// Streams of the small store: one of sealed segments, one with all that a stream can have, one that lies in its journal.
const SEALED: &str = "sealed";
const MIXED: &str = "mixed";
const FRESH: &str = "fresh";
const IDS: [&str; 3] = [SEALED, MIXED, FRESH];

const DATA: &str = "/data";
const RECORDS: &str = "/run/docker/logboom";
const HEADER_PAGE_BYTES: usize = 4096;
const GENERATION_FIELDS: usize = 76;
const SYNC_FIELDS: usize = 52;

/// A file of the sync log grows ahead of its records, but no further than this.
const LOG_FILE_BYTES: u64 = 1 << 10;

type Files = BTreeMap<PathBuf, Vec<u8>>;
type Entries = Vec<(i64, Vec<u8>)>;

struct Small {
    files: Files,
    boot_id: [u8; 16],
    /// What each stream gives before anything is damaged.
    entries: BTreeMap<&'static str, Entries>,
}

#[derive(Clone, Copy, Debug)]
enum Harm {
    /// These bits of a byte are inverted.
    Flip(usize, u8),
    /// The file ends here.
    Cut(usize),
}

fn load(folder: &Path, at: &Path, files: &mut Files) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = at.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            load(&entry.path(), &path, files);
        } else if entry.file_type().unwrap().is_file() {
            files.insert(path, fs::read(entry.path()).unwrap());
        }
    }
}

/// Makes the store, and kills its worker.
fn small() -> Small {
    let disk = MortalDisk::default();
    let mut host = Host::new();
    host.core = None;
    host.log_file_bytes = LOG_FILE_BYTES;
    fs::create_dir_all(host.data()).unwrap();
    fs::write(host.data().join("first-sequence"), "7\n").unwrap();
    fs::write(host.data().join("power-cuts"), "1\n").unwrap();
    host.start_on(Arc::new(disk.clone()));
    // A segment for each block, so that all but the last are sealed.
    let limits = Limits {
        segment_bytes: 1,
        ..Host::limits()
    };
    for part in 0..3 {
        let mut container = host.run_with(SEALED, limits);
        container.print(&lines(10 * part..10 * part + 3));
        host.stop(&mut container);
        host.wait_until(is_cut, SEALED);
    }
    let mut others = Vec::new();
    for part in 0..2 {
        let mut container = host.run(MIXED);
        container.print(&lines(10 * part..10 * part + 4));
        host.stop(&mut container);
        host.wait_until(is_cut, MIXED);
    }
    for id in [MIXED, FRESH] {
        let mut container = host.run(id);
        container.print(&lines(100..104));
        container.write(&frame(&line(104, "torn"))[..9]);
        host.core().drain().unwrap();
        others.push(container);
    }
    // The sync log gets a copy within a second or two.
    let synced = |_: &Path| {
        let sync = host.data().join("sync");
        let logs = list(&sync)
            .into_iter()
            .map(|name| fs::read(sync.join(name)).unwrap());
        let logged: Vec<_> = logs.filter_map(|log| read_log(&log)).flatten().collect();
        [MIXED, FRESH]
            .iter()
            .all(|id| logged.iter().any(|(of, _)| of == id))
    };
    host.wait_until(synced, MIXED);
    disk.die_after(0);
    let mut files = Files::new();
    load(&host.data(), Path::new(DATA), &mut files);
    load(
        &host.folder.path().join("run/docker/logboom"),
        Path::new(RECORDS),
        &mut files,
    );
    host.core = None;
    let log = files
        .iter()
        .find(|(path, _)| kind(path) == "sync")
        .unwrap()
        .1;
    let mut small = Small {
        boot_id: log[8..24].try_into().unwrap(),
        files,
        entries: BTreeMap::new(),
    };
    let read = open(&Arc::new(small.disk()), small.boot_id);
    for (id, entries) in read {
        let entries = entries.unwrap();
        assert!(
            entries.iter().all(|(_, text)| text.starts_with(b"line ")),
            "{id}"
        );
        small.entries.insert(id, entries);
    }
    assert_eq!(small.entries[SEALED].len(), 9);
    assert_eq!(small.entries[MIXED].len(), 12);
    assert_eq!(small.entries[FRESH].len(), 4);
    small
}

fn is_cut(folder: &Path) -> bool {
    let names = list(folder);
    names.iter().any(|name| name.ends_with(".zst"))
        && names.iter().all(|name| !name.ends_with(".journal"))
}

/// What a file is, by its name.
fn kind(path: &Path) -> &'static str {
    let name = path.file_name().unwrap().to_str().unwrap();
    match name.rsplit_once('.').map_or(name, |(_, suffix)| suffix) {
        "zst" => "segment",
        "journal" => "journal",
        "sync" => "sync",
        "json" if path.starts_with(RECORDS) => "record",
        "json" => "facts",
        "format" => "format",
        "first-sequence" => "first",
        "power-cuts" => "cuts",
        "lock" => "lock",
        "ballast" => "ballast",
        _ => panic!("{} is no file of a store", path.display()),
    }
}

fn id_of(path: &Path) -> Option<&'static str> {
    IDS.into_iter()
        .find(|id| path.iter().any(|part| part == *id))
}

impl Small {
    fn disk(&self) -> MemoryDisk {
        let disk = MemoryDisk::default();
        for (path, content) in &self.files {
            disk.put(path, content);
        }
        disk
    }

    fn harmed(&self, path: &Path, harm: Harm) -> MemoryDisk {
        let disk = self.disk();
        let mut content = self.files[path].clone();
        match harm {
            Harm::Flip(at, bits) => content[at] ^= bits,
            Harm::Cut(length) => content.truncate(length),
        }
        disk.put(path, &content);
        disk
    }

    /// Where the blocks of a segment lie, by the magic of their headers, with how many entries each has.
    fn blocks(&self, path: &Path) -> Vec<(Range<usize>, usize)> {
        let content = &self.files[path];
        let word = |at: usize| u32::from_le_bytes(content[at..at + 4].try_into().unwrap()) as usize;
        (0..content.len())
            .filter(|&at| content[at..].starts_with(b"LOGBLOCK"))
            .map(|at| {
                let start = at - 8;
                let length = 136 + word(start + 20) + word(start + 24);
                (start..start + length, word(start + 32))
            })
            .collect()
    }
}

fn place() -> Place<'static> {
    Place {
        data: Path::new(DATA),
        records: Path::new(RECORDS),
    }
}

fn read(stream: &Arc<Stream>) -> Entries {
    let mut reader = Reader::open(stream, &Query::default()).unwrap();
    let mut entries = Entries::new();
    while reader.step(&mut |given| entries.push((given.entry.time_ns, given.entry.line.to_vec())))
        == Progress::More
    {}
    entries
}

/// What each stream gives: to the first worker, when it has cut all, and to the next one. `Err`: what keeps the store closed.
fn open(disk: &Arc<MemoryDisk>, boot_id: [u8; 16]) -> Vec<(&'static str, Result<Entries, String>)> {
    let sync = SyncWhen::default();
    let open = || {
        Store::new(
            DATA.into(),
            Arc::clone(disk) as Arc<dyn Disk>,
            boot_id,
            sync,
        )
    };
    let store = open();
    if let Err(fault) = store.open() {
        return IDS.map(|id| (id, Err(fault.to_string()))).into();
    }
    if let Some(newer) = store.newer() {
        return IDS.map(|id| (id, Err(newer.clone()))).into();
    }
    let mut all = Vec::new();
    for id in IDS {
        let stream = store.stream(id).unwrap();
        let first = read(&stream);
        stream
            .cut(CutWhen::All, 0, &mut Tools::default())
            .unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(show(&read(&stream)), show(&first), "{id}: when all is cut");
        all.push((id, Ok(first)));
    }
    drop(store);
    let store = open();
    for (id, first) in &all {
        let again = read(&store.stream(id).unwrap());
        assert_eq!(
            show(&again),
            show(first.as_ref().unwrap()),
            "{id}: the next worker"
        );
    }
    all
}

fn show(entries: &Entries) -> Vec<String> {
    let show = |(time, text): &(i64, Vec<u8>)| format!("{time} {}", String::from_utf8_lossy(text));
    entries.iter().map(show).collect()
}

fn is_own(text: &[u8]) -> bool {
    text.starts_with(b"logboom: ")
}

/// How many of the written entries are missing, and how many others there are that are not Logboom's own. Those that are left
/// must be in order.
fn compare(found: &Entries, written: &Entries) -> (usize, Entries) {
    let mut strange = Entries::new();
    let mut rest = written.iter();
    let mut given = 0;
    for entry in found {
        if is_own(&entry.1) {
            continue;
        }
        if written.contains(entry) {
            assert!(
                rest.any(|next| next == entry),
                "out of order or twice: {:?}",
                show(found)
            );
            given += 1;
        } else {
            strange.push(entry.clone());
        }
    }
    (written.len() - given, strange)
}

fn names_damage(found: &Entries) -> bool {
    found.iter().any(|(_, text)| {
        let text = String::from_utf8_lossy(text);
        is_own(text.as_bytes())
            && ["cannot be read", "are lost", "are no log entry"]
                .iter()
                .any(|what| text.contains(what))
    })
}

/// The harm is one that nothing can tell: a segment may end behind any block, and what is behind the last one is its index.
fn is_silent(small: &Small, path: &Path, harm: Harm) -> bool {
    let (true, Harm::Cut(length)) = (kind(path) == "segment", harm) else {
        return false;
    };
    let blocks = small.blocks(path);
    blocks.iter().any(|(block, _)| block.end == length)
        || blocks.iter().all(|(block, _)| block.end < length)
}

/// Opens a store of which one file is harmed, and checks what its streams give.
fn check_reading(small: &Small, path: &Path, harm: Harm) {
    let disk = Arc::new(small.harmed(path, harm));
    let records = read_records(&*disk, Path::new(RECORDS)).unwrap();
    let read = open(&disk, small.boot_id);
    // No session is taken for another, or for one of another container.
    let is_record = |other: &&PathBuf| kind(other) == "record" && *other != path;
    let others: Vec<PathBuf> = small.files.keys().filter(is_record).cloned().collect();
    let mut found: Vec<PathBuf> = records
        .sessions
        .into_iter()
        .map(|session| session.record_path)
        .collect();
    found.sort();
    if kind(path) == "record" {
        assert_eq!(found, others);
        assert_eq!(records.damaged, [path]);
    } else {
        assert_eq!((found, records.damaged), (others, Vec::new()));
    }
    for (id, found) in read {
        let written = &small.entries[id];
        let found = match found {
            Ok(found) => found,
            Err(fault) => {
                assert!(["format", "first", "cuts"].contains(&kind(path)), "{fault}");
                continue;
            }
        };
        let (missing, strange) = compare(&found, written);
        if id_of(path) != Some(id) || !["segment", "journal"].contains(&kind(path)) {
            assert_eq!((missing, strange.len()), (0, 0), "{id}: {:?}", show(&found));
            assert!(!names_damage(&found), "{id}: {:?}", show(&found));
        } else if kind(path) == "segment" {
            let most: usize = small
                .blocks(path)
                .iter()
                .filter(|(block, _)| match harm {
                    Harm::Flip(at, _) => block.contains(&at),
                    Harm::Cut(length) => block.end > length,
                })
                .map(|(_, count)| count)
                .sum();
            assert!(missing <= most && strange.is_empty(), "{:?}", show(&found));
            if missing > 0 && !is_silent(small, path, harm) {
                assert!(names_damage(&found), "{:?}", show(&found));
            }
        } else {
            check_journal(small, path, harm, &found, missing, &strange);
        }
    }
}

/// The bytes of a journal have no checksum: one that is changed can change the entry that it is in, and a length hides what follows it
/// until as much has come. Never more.
fn check_journal(
    small: &Small,
    path: &Path,
    harm: Harm,
    found: &Entries,
    missing: usize,
    strange: &Entries,
) {
    match harm {
        Harm::Flip(at, _) if at < GENERATION_FIELDS => {
            assert!(missing == 4 && names_damage(found), "{:?}", show(found));
        }
        Harm::Flip(at, _) if at < HEADER_PAGE_BYTES => {
            assert_eq!((missing, strange.len()), (0, 0), "{:?}", show(found));
        }
        Harm::Flip(at, _) => {
            let length = frame(&line(100, "line 100")).len();
            let hit = (at - HEADER_PAGE_BYTES) / length;
            let before = small.entries[id_of(path).unwrap()].len() - 4 + hit.min(4);
            assert_eq!(
                found[..before],
                small.entries[id_of(path).unwrap()][..before]
            );
            assert!(strange.len() <= 1, "{:?}", show(found));
            let is_length = (at - HEADER_PAGE_BYTES) % length < 4;
            assert!(missing <= 1 || is_length, "{:?}", show(found));
        }
        Harm::Cut(_) => assert!(strange.is_empty(), "{:?}", show(found)),
    }
}

/// Looks for the harm, sets it aside, and looks again.
fn check_verify(small: &Small, path: &Path, harm: Harm) -> bool {
    let disk = small.harmed(path, harm);
    let checked = match verify(&disk, place()) {
        Ok(checked) => checked,
        Err(error) => {
            assert_eq!(kind(path), "format", "{error}");
            return true;
        }
    };
    for finding in &checked.findings {
        assert_eq!(finding.path, path, "{finding:?}");
    }
    let is_told = match (kind(path), harm) {
        // All of these lies under a checksum.
        ("segment" | "facts" | "record", Harm::Flip(..)) | ("facts" | "record", Harm::Cut(_)) => {
            true
        }
        ("segment", Harm::Cut(_)) => !is_silent(small, path, harm),
        ("journal", Harm::Flip(at, _)) => {
            at < GENERATION_FIELDS || (at >= HEADER_PAGE_BYTES && is_logged(small, path, at))
        }
        ("journal", Harm::Cut(length)) => is_logged(small, path, length),
        ("sync", Harm::Flip(at, _)) => at < SYNC_FIELDS,
        _ => false,
    };
    assert!(
        !is_told || !checked.findings.is_empty(),
        "nothing is found: {:?} of {}",
        small.blocks(path),
        small.files[path].len()
    );
    if checked.findings.is_empty() {
        return false;
    }
    let (again, set_aside) = repair(&disk, place(), small.boot_id, 1_000_000_000).unwrap();
    assert_eq!(again.findings, checked.findings);
    assert_eq!(set_aside.len(), 1);
    let kept = disk.get(&set_aside[0].to).unwrap();
    assert_eq!(
        kept,
        small.harmed(path, harm).get(path).unwrap(),
        "what is set aside is as it was"
    );
    let left = verify(&disk, place()).unwrap();
    assert_eq!(left.findings, [], "after {checked:?}");
    for (id, found) in open(&Arc::new(disk), small.boot_id) {
        let found = found.unwrap();
        let (missing, strange) = compare(&found, &small.entries[id]);
        assert!(strange.len() <= 1);
        assert!(
            missing == 0 || id_of(path) == Some(id),
            "{id}: {:?}",
            show(&found)
        );
        let is_repaired = matches!(kind(path), "segment") || missing == 4;
        if missing > 0 && is_repaired {
            assert!(names_damage(&found), "{id}: {:?}", show(&found));
        }
    }
    true
}

/// Whether the sync log has a byte of a generation: all but the torn frame at its end.
fn is_logged(small: &Small, path: &Path, at: usize) -> bool {
    at < small.files[path].len() - 9
}

/// Calls for each harm of each file, on all cores; returns how many there were of each kind.
fn for_each_harm(
    small: &Small,
    stride: usize,
    check: impl Fn(&Path, Harm) + Sync,
) -> BTreeMap<(&'static str, &'static str), usize> {
    let mut all = Vec::new();
    let mut counts = BTreeMap::new();
    for (path, content) in &small.files {
        let mut add = |name, harm| {
            *counts.entry((kind(path), name)).or_default() += 1;
            all.push((path, harm));
        };
        // The first bytes of each file always: they decide what the rest means.
        let sampled = |at: &usize| at % stride == 0 || *at < 32;
        for at in (0..content.len()).filter(sampled) {
            // Bytes of a page that mean nothing are alike.
            let is_padding = kind(path) == "journal"
                && (GENERATION_FIELDS..HEADER_PAGE_BYTES).contains(&at)
                && at % 64 != 0;
            if !is_padding || stride == 1 {
                add("flipped", Harm::Flip(at, 1 << (at % 8)));
                add("flipped", Harm::Flip(at, 0xff));
            }
            add("cut", Harm::Cut(at));
        }
    }
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    check_each(&all, threads, |(path, harm)| check(path, *harm));
    counts
}

fn stride() -> usize {
    match std::env::var("LOGBOOM_TEST_DAMAGE").as_deref() {
        Ok("all") => 1,
        _ => 31,
    }
}

#[test]
fn whatever_is_hit_what_is_read_was_written_and_what_is_lost_is_said() {
    let small = small();
    let counts = for_each_harm(&small, stride(), |path, harm| {
        check_reading(&small, path, harm);
    });
    println!("read: {counts:?}");
}

#[test]
fn whatever_is_hit_is_found_and_set_aside_and_what_remains_is_well() {
    let small = small();
    assert_eq!(verify(&small.disk(), place()).unwrap().findings, []);
    let found = AtomicUsize::new(0);
    let counts = for_each_harm(&small, stride(), |path, harm| {
        found.fetch_add(
            usize::from(check_verify(&small, path, harm)),
            Ordering::Relaxed,
        );
    });
    println!("verified: {counts:?}; found: {found:?}");
}

#[test]
fn after_a_power_cut_a_sync_log_that_is_hit_gives_nothing_that_was_not_written() {
    let small = small();
    let counts = for_each_harm(&small, stride(), |path, harm| {
        if kind(path) != "sync" {
            return;
        }
        for (id, found) in open(&Arc::new(small.harmed(path, harm)), [1; 16]) {
            let (_, strange) = compare(&found.unwrap(), &small.entries[id]);
            assert_eq!(strange.len(), 0, "{id}");
        }
    });
    println!("power cut: {counts:?}");
}

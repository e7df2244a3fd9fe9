//! Any bytes as the sync log of an earlier machine start: the journals that are made from it are those that a second reading of
//! `docs/format.md` makes, within the folder of the streams, and each can be read.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use logboom_core::disk::{Disk, OpenMode};
use logboom_core::stream::{Boot, Progress, Query, Reader, Stream};
use logboom_core::sync_log::{Found, SyncWhen};
use logboom_fuzz::{MemoryDisk, put};

const BOOT_ID: [u8; 16] = *b"this very start.";
const HEADER_BYTES: usize = 32;
const FIELDS_BYTES: usize = 42;
const MAX_RECORD_BYTES: usize = 8 << 20;

/// A generation: its session, where it begins, the number of its first entry, its bytes.
type Made = (u64, u64, u64, Vec<u8>);

fn word(bytes: &[u8], at: usize) -> u64 {
    let word = bytes[at..at + 8].try_into().expect("eight bytes");
    u64::from_le_bytes(word)
}

fn half(bytes: &[u8], at: usize) -> usize {
    let half = bytes[at..at + 4].try_into().expect("four bytes");
    u32::from_le_bytes(half) as usize
}

/// The page of the format, read once more.
fn expected(log: &[u8]) -> BTreeMap<(String, u64), Made> {
    let mut made = BTreeMap::<(String, u64), Made>::new();
    if log.len() < HEADER_BYTES
        || !log.starts_with(b"LOGSYNC1")
        || half(log, 24) != crc32c::crc32c(&log[..24]) as usize
        || log[8..24] == BOOT_ID
    {
        return made;
    }
    let mut at = HEADER_BYTES;
    while at + 8 <= log.len() {
        let length = half(log, at);
        let Some(body) = log.get(at + 8..at + 8 + length) else {
            break;
        };
        if length > MAX_RECORD_BYTES
            || half(log, at + 4) != crc32c::crc32c(body) as usize
            || length < FIELDS_BYTES
        {
            break;
        }
        let id_bytes = usize::from(u16::from_le_bytes([body[40], body[41]]));
        let Some((id, frames)) = body[FIELDS_BYTES..].split_at_checked(id_bytes) else {
            break;
        };
        let is_id = id.first().is_some_and(u8::is_ascii_alphanumeric)
            && id.len() <= 128
            && id
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte));
        if !is_id {
            break;
        }
        let id = String::from_utf8(id.to_vec()).expect("it is ASCII");
        let (number, session) = (word(body, 0), word(body, 8));
        let (start, first) = (word(body, 16), word(body, 24));
        match made.get_mut(&(id.clone(), number)) {
            Some((of, begin, _, bytes))
                if *of == session && begin.checked_add(bytes.len() as u64) == Some(start) =>
            {
                bytes.extend_from_slice(frames);
            }
            _ => drop(made.insert((id, number), (session, start, first, frames.to_vec()))),
        }
        at += 8 + length;
    }
    made
}

fn read_journal(disk: &MemoryDisk, path: &Path) -> Made {
    let file = disk.open(path, OpenMode::Read).expect("it was made");
    let length = file.bytes().expect("the disk does not fail");
    let mut content = vec![0; usize::try_from(length).expect("it is small")];
    file.read_exact_at(&mut content, 0)
        .expect("the disk does not fail");
    (
        word(&content, 16),
        word(&content, 24),
        word(&content, 32),
        content[4096..].to_vec(),
    )
}

fn check(log: &[u8]) {
    let disk = MemoryDisk::with_file(Path::new("/data/sync/00000000000000000007.sync"), log);
    let containers = Path::new("/data/containers");
    Found::look(&disk, Path::new("/data/sync"), BOOT_ID)
        .and_then(|found| found.begin(&disk, containers))
        .expect("the disk does not fail");
    let expected = expected(log);
    let outside = |path: &Path| !path.starts_with("/data/sync") && !path.starts_with(containers);
    assert!(!disk.paths().iter().any(|path| outside(path)));
    let made = disk
        .paths()
        .iter()
        .filter(|path| path.starts_with(containers))
        .count();
    assert_eq!(made, expected.len());
    for ((id, number), generation) in &expected {
        let path = containers.join(id).join(format!("{number:020}.journal"));
        assert_eq!(read_journal(&disk, &path), *generation);
    }
    // No stream gets near the end of the numbers.
    let streams: BTreeSet<String> = expected
        .into_iter()
        .filter(|((_, number), (_, start, first, _))| {
            *start.max(first).max(number) <= u64::MAX >> 8
        })
        .map(|((id, _), _)| id)
        .collect();
    let disk: Arc<dyn Disk> = Arc::new(disk);
    for id in streams {
        read_stream(&disk, &id, containers.join(&id));
    }
}

fn read_stream(disk: &Arc<dyn Disk>, id: &str, folder: PathBuf) {
    let boot = Boot {
        id: BOOT_ID,
        power_cuts: 1,
    };
    let disk = Arc::clone(disk);
    let defaults = Arc::default();
    let stream = Stream::new(id, folder, disk, boot, defaults, 0, SyncWhen::default());
    let stream = Arc::new(stream);
    // Another generation of the same stream may be near that end.
    if stream.open().is_ok() {
        let mut reader = Reader::open(&stream, &Query::default()).expect("it is open");
        while reader.step(&mut |_| {}) == Progress::More {}
    }
}

/// A log of any bytes whose header and records are whole.
fn mend(input: &[u8]) -> Vec<u8> {
    let mut log = input.to_vec();
    log.resize(log.len().max(HEADER_BYTES), 0);
    log[..8].copy_from_slice(b"LOGSYNC1");
    let crc = crc32c::crc32c(&log[..24]);
    put(&mut log, 24, crc);
    let mut at = HEADER_BYTES;
    while at + 8 + FIELDS_BYTES < log.len() {
        // Short records, so that an input has several.
        let most = log.len() - at - 8;
        let length = (FIELDS_BYTES + half(&log, at) % 256).min(most);
        let body = at + 8;
        // Numbers below what no stream gets near, small generations, and short ids of letters.
        log[body + 23] = 0;
        log[body + 31] = 0;
        log[body + 1..body + 8].fill(0);
        let id_bytes = usize::from(log[body + 40] % 4).min(length - FIELDS_BYTES);
        log[body + 40] = u8::try_from(id_bytes).expect("it is small");
        log[body + 41] = 0;
        put(
            &mut log,
            at,
            u32::try_from(length).expect("inputs are small"),
        );
        let crc = crc32c::crc32c(&log[body..body + length]);
        put(&mut log, at + 4, crc);
        at = body + length;
    }
    log
}

fuzz_target!(|input: &[u8]| {
    check(input);
    check(&mend(input));
});

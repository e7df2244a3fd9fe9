//! Any bytes as the sync log of an earlier machine start, in each layout of its records: the journals that are made from it are those
//! that a second reading of `docs/format.md` makes, within the folder of the streams, and each can be read.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use logboom_core::disk::{Disk, OpenMode};
use logboom_core::stream::{Boot, Progress, Query, Reader, Stream};
use logboom_core::sync_log::{FILE_BYTES, Found, SyncWhen};
use logboom_fuzz::MemoryDisk;
use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer};

const BOOT_ID: [u8; 16] = *b"this very start.";
const FIRST_HEADER_BYTES: usize = 32;
const HEADER_BYTES: usize = 64;
const PREFIX_BYTES: usize = 20;
const FIELDS_BYTES: usize = 42;
const MAX_RECORD_BYTES: usize = 8 << 20;
const WINDOW_LOG: u32 = 17;
const LIFE: [u8; 8] = *b"one life";

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

/// What of a log is whole: of each record the items, one after the other, each with its length.
fn records(log: &[u8]) -> Vec<Vec<u8>> {
    if log.len() < FIRST_HEADER_BYTES
        || !log.starts_with(b"LOGSYNC1")
        || half(log, 24) != crc32c::crc32c(&log[..24]) as usize
        || log[8..24] == BOOT_ID
    {
        return Vec::new();
    }
    match half(log, 28) {
        0 => records_of_first_layout(log),
        1 if log.len() >= HEADER_BYTES && half(log, 48) == crc32c::crc32c(&log[..48]) as usize => {
            records_of_a_life(log)
        }
        _ => Vec::new(),
    }
}

fn records_of_first_layout(log: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut at = FIRST_HEADER_BYTES;
    while at + 8 <= log.len() {
        let length = half(log, at);
        let Some(item) = log.get(at + 8..at + 8 + length) else {
            break;
        };
        if length > MAX_RECORD_BYTES || half(log, at + 4) != crc32c::crc32c(item) as usize {
            break;
        }
        records.push([&log[at..at + 4], item].concat());
        at += 8 + length;
    }
    records
}

fn records_of_a_life(log: &[u8]) -> Vec<Vec<u8>> {
    let mut context = DCtx::create();
    let window = DParameter::WindowLogMax(WINDOW_LOG);
    context.set_parameter(window).expect("it is one");
    let mut records = Vec::new();
    let mut at = HEADER_BYTES;
    while at + PREFIX_BYTES <= log.len() && log[at..at + 8] == log[40..48] {
        let (stored_bytes, packed_bytes) = (half(log, at + 8), half(log, at + 12));
        let stored_at = at + PREFIX_BYTES;
        let Some(stored) = log.get(stored_at..stored_at + stored_bytes) else {
            break;
        };
        let fields = crc32c::crc32c(&log[at..at + 16]);
        if stored_bytes == 0
            || packed_bytes.max(stored_bytes) > MAX_RECORD_BYTES
            || half(log, at + 16) != crc32c::crc32c_append(fields, stored) as usize
        {
            break;
        }
        if packed_bytes == 0 {
            records.push(stored.to_vec());
        } else if let Some(unpacked) = unpack(&mut context, stored, packed_bytes) {
            records.push(unpacked);
        } else {
            break;
        }
        at = stored_at + stored_bytes;
    }
    records
}

/// A piece at a time, which makes no difference.
fn unpack(context: &mut DCtx<'_>, stored: &[u8], packed_bytes: usize) -> Option<Vec<u8>> {
    let mut unpacked = Vec::new();
    let mut input = InBuffer::around(stored);
    let mut piece = [0; 4096];
    loop {
        let mut output = OutBuffer::around(&mut piece[..]);
        context.decompress_stream(&mut output, &mut input).ok()?;
        let was_full = output.pos() == output.capacity();
        unpacked.extend_from_slice(output.as_slice());
        if unpacked.len() > packed_bytes {
            return None;
        }
        if input.pos() == stored.len() && !was_full {
            return (unpacked.len() == packed_bytes).then_some(unpacked);
        }
    }
}

/// The page of the format, read once more.
fn expected(log: &[u8]) -> BTreeMap<(String, u64), Made> {
    let mut made = BTreeMap::new();
    for record in records(log) {
        let mut items = record.as_slice();
        while !items.is_empty() {
            let Some(behind) = take_item(items, &mut made) else {
                return made;
            };
            items = behind;
        }
    }
    made
}

/// Takes the first item, and gives what is behind it; `None`: it is not whole, and ends all.
fn take_item<'a>(items: &'a [u8], made: &mut BTreeMap<(String, u64), Made>) -> Option<&'a [u8]> {
    let (length, rest) = items.split_at_checked(4)?;
    let (item, behind) = rest.split_at_checked(half(length, 0))?;
    if item.len() < FIELDS_BYTES {
        return None;
    }
    let id_bytes = usize::from(u16::from_le_bytes([item[40], item[41]]));
    let (id, frames) = item[FIELDS_BYTES..].split_at_checked(id_bytes)?;
    let is_id = id.first().is_some_and(u8::is_ascii_alphanumeric)
        && id.len() <= 128
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte));
    if !is_id {
        return None;
    }
    let id = String::from_utf8(id.to_vec()).expect("it is ASCII");
    let (number, session) = (word(item, 0), word(item, 8));
    let (start, first) = (word(item, 16), word(item, 24));
    match made.get_mut(&(id.clone(), number)) {
        Some((of, begin, _, bytes))
            if *of == session && begin.checked_add(bytes.len() as u64) == Some(start) =>
        {
            bytes.extend_from_slice(frames);
        }
        _ => drop(made.insert((id, number), (session, start, first, frames.to_vec()))),
    }
    Some(behind)
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
        .and_then(|found| found.begin(&disk, containers, SyncWhen::default(), FILE_BYTES))
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

/// Items of any bytes, each short, so that an input has several: numbers below what no stream gets near, small generations, and short
/// ids of letters.
fn mend_items(input: &[u8]) -> Vec<Vec<u8>> {
    let mut items = Vec::new();
    let mut rest = input;
    while rest.len() > 4 + FIELDS_BYTES {
        let (length, behind) = rest.split_at(4);
        let length = (FIELDS_BYTES + half(length, 0) % 256).min(behind.len());
        let (item, behind) = behind.split_at(length);
        let mut item = item.to_vec();
        item[23] = 0;
        item[31] = 0;
        item[1..8].fill(0);
        let id_bytes = usize::from(item[40] % 4).min(length - FIELDS_BYTES);
        item[40] = u8::try_from(id_bytes).expect("it is small");
        item[41] = 0;
        items.push(item);
        rest = behind;
    }
    items
}

fn put_length(bytes: &[u8], log: &mut Vec<u8>) {
    let length = u32::try_from(bytes.len()).expect("inputs are small");
    log.extend_from_slice(&length.to_le_bytes());
}

fn header(input: &[u8]) -> Vec<u8> {
    let mut log = b"LOGSYNC1".to_vec();
    log.extend_from_slice(input.get(..16).unwrap_or(&[7; 16]));
    log.extend_from_slice(&crc32c::crc32c(&log).to_le_bytes());
    log
}

fn first_layout(input: &[u8]) -> Vec<u8> {
    let mut log = header(input);
    log.extend_from_slice(&[0; 4]);
    for item in mend_items(input) {
        put_length(&item, &mut log);
        log.extend_from_slice(&crc32c::crc32c(&item).to_le_bytes());
        log.extend_from_slice(&item);
    }
    log
}

fn begin_packed(input: &[u8]) -> Vec<u8> {
    let mut log = header(input);
    log.extend_from_slice(&[1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0]);
    log.extend_from_slice(&LIFE);
    log.extend_from_slice(&crc32c::crc32c(&log).to_le_bytes());
    log.resize(HEADER_BYTES, 0);
    log
}

fn put_record(stored: &[u8], packed_bytes: u32, log: &mut Vec<u8>) {
    let at = log.len();
    log.extend_from_slice(&LIFE);
    put_length(stored, log);
    log.extend_from_slice(&packed_bytes.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&log[at..]), stored);
    log.extend_from_slice(&crc.to_le_bytes());
    log.extend_from_slice(stored);
}

/// Records of a few items each, packed as they are to be, or as they are.
fn packed_items(input: &[u8]) -> Vec<u8> {
    let mut log = begin_packed(input);
    let mut context = CCtx::create();
    let window = CParameter::WindowLog(WINDOW_LOG);
    context.set_parameter(window).expect("it is one");
    for (at, items) in mend_items(input).chunks(3).enumerate() {
        let mut raw = Vec::new();
        for item in items {
            put_length(item, &mut raw);
            raw.extend_from_slice(item);
        }
        if at % 4 == 3 {
            put_record(&raw, 0, &mut log);
            continue;
        }
        let mut packed = Vec::with_capacity(zstd_safe::compress_bound(raw.len()) + 64);
        let mut output = OutBuffer::around(&mut packed);
        let left = context.compress_stream2(
            &mut output,
            &mut InBuffer::around(&raw),
            ZSTD_EndDirective::ZSTD_e_flush,
        );
        assert_eq!(left, Ok(0), "there is room for it");
        let raw_bytes = u32::try_from(raw.len()).expect("inputs are small");
        put_record(&packed, raw_bytes, &mut log);
    }
    log
}

/// Records that stand for any bytes, of about as many as they say.
fn packed_bytes(input: &[u8]) -> Vec<u8> {
    let mut log = begin_packed(input);
    let mut rest = input;
    while rest.len() > 4 {
        let (lengths, behind) = rest.split_at(4);
        let stored_bytes = usize::from(u16::from_le_bytes([lengths[0], lengths[1]]));
        let packed_bytes = u16::from_le_bytes([lengths[2], lengths[3]]);
        let (packed, behind) = behind.split_at(stored_bytes.min(behind.len()));
        put_record(packed, packed_bytes.into(), &mut log);
        rest = behind;
    }
    log
}

fuzz_target!(|input: &[u8]| {
    check(input);
    check(&first_layout(input));
    check(&packed_items(input));
    check(&packed_bytes(input));
});

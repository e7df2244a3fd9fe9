//! The sync log once more, read and written from `docs/format.md` alone.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

use zstd_safe::{DCtx, InBuffer, OutBuffer};

const HEADER_BYTES: usize = 64;
const PREFIX_BYTES: usize = 20;
const FIELDS_BYTES: usize = 42;

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The container ids and journal bytes of a log file, up to its end; `None`: its header is not whole.
pub fn read_log(log: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut logged = Vec::new();
    if log.len() < HEADER_BYTES
        || !log.starts_with(b"LOGSYNC1")
        || half(log, 28) != 1
        || half(log, 48) != crc32c::crc32c(&log[..48])
    {
        return None;
    }
    let life = &log[40..48];
    let mut context = DCtx::create();
    let mut at = HEADER_BYTES;
    while log.len() - at >= PREFIX_BYTES && &log[at..at + 8] == life {
        let stored_bytes = half(log, at + 8) as usize;
        let packed_bytes = half(log, at + 12) as usize;
        let Some(stored) = log[at + PREFIX_BYTES..].get(..stored_bytes) else {
            break;
        };
        let known = crc32c::crc32c(&log[at..at + 16]);
        if half(log, at + 16) != crc32c::crc32c_append(known, stored) {
            break;
        }
        if packed_bytes == 0 {
            logged.extend(read_items(stored));
        } else {
            // One more, so that nothing waits for room.
            let mut items = vec![0; packed_bytes + 1];
            let mut input = InBuffer::around(stored);
            let mut output = OutBuffer::around(&mut items[..]);
            while input.pos() < stored_bytes {
                context.decompress_stream(&mut output, &mut input).unwrap();
            }
            assert_eq!(output.pos(), packed_bytes);
            logged.extend(read_items(&items[..packed_bytes]));
        }
        at += PREFIX_BYTES + stored_bytes;
    }
    Some(logged)
}

fn read_items(mut items: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut read = Vec::new();
    while !items.is_empty() {
        let (item, rest) = items[4..].split_at(half(items, 0) as usize);
        let id_bytes = usize::from(u16::from_le_bytes([item[40], item[41]]));
        let (id, bytes) = item[FIELDS_BYTES..].split_at(id_bytes);
        read.push((String::from_utf8(id.to_vec()).unwrap(), bytes.to_vec()));
        items = rest;
    }
    read
}

/// A log file as versions wrote it whose records stood for one run of journal bytes each, as they were: of generation 0 and session 0,
/// each with its position.
pub fn first_layout(boot_id: [u8; 16], records: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let mut log = b"LOGSYNC1".to_vec();
    log.extend(boot_id);
    log.extend(crc32c::crc32c(&log).to_le_bytes());
    log.extend([0; 4]);
    for (id, position, bytes) in records {
        let mut body = Vec::new();
        for word in [0, 0, *position, *position, 0] {
            body.extend(word.to_le_bytes());
        }
        body.extend(u16::try_from(id.len()).unwrap().to_le_bytes());
        body.extend(id.as_bytes());
        body.extend(*bytes);
        log.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        log.extend(crc32c::crc32c(&body).to_le_bytes());
        log.extend(body);
    }
    log
}

/// What those versions found: the boot id, and how long the first record said it is.
pub fn read_first_layout(log: &[u8]) -> ([u8; 16], u32) {
    assert!(log.starts_with(b"LOGSYNC1"));
    assert_eq!(half(log, 24), crc32c::crc32c(&log[..24]));
    (log[8..24].try_into().unwrap(), half(log, 32))
}

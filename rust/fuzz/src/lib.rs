//! What the fuzz targets share: a disk in memory, entries that can be compared, checksums put right.
//!
//! Nearly all bytes of a block, an index and a generation are under a checksum, which a fuzzer does not guess. So each target
//! takes its input twice: as it is, and with the checksums put right, as if a writer had made these bytes.

use logboom_core::block::BLOCK_PREFIX_BYTES;

pub use kept::Kept;
pub use memory::MemoryDisk;

#[path = "../../core/tests/kept/mod.rs"]
mod kept;
#[path = "../../core/tests/memory/mod.rs"]
mod memory;

/// Puts a number into bytes, where there is room for it.
pub fn put(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_le_bytes());
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("inputs are small")
}

/// Makes a block of any bytes: magic numbers, lengths and checksums are right, and what is left is as it was.
pub fn mend_block(bytes: &mut [u8]) {
    if bytes.len() < BLOCK_PREFIX_BYTES {
        return;
    }
    let (prefix, body) = bytes.split_at_mut(BLOCK_PREFIX_BYTES);
    let wanted = u32::from_le_bytes([prefix[20], prefix[21], prefix[22], prefix[23]]) as usize;
    let (sections, text) = body.split_at(wanted % (body.len() + 1));
    put(prefix, 0, 0x184D_2A5B);
    put(prefix, 4, 128 + length(sections.len()));
    prefix[8..16].copy_from_slice(b"LOGBLOCK");
    put(prefix, 16, 1);
    put(prefix, 20, length(sections.len()));
    put(prefix, 24, length(text.len()));
    put(prefix, 96, crc32c::crc32c(sections));
    put(prefix, 100, crc32c::crc32c(text));
    let crc = crc32c::crc32c(&prefix[..BLOCK_PREFIX_BYTES - 4]);
    put(prefix, BLOCK_PREFIX_BYTES - 4, crc);
}

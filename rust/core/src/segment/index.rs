//! Where the blocks of a segment lie and what they span.

use crate::block::{BLOCK_PREFIX_BYTES, BlockHeader, SKIPPABLE_MAGIC, SKIPPABLE_PREFIX_BYTES};
use crate::wire::to_signed;

const MAGIC: [u8; 8] = *b"LOGINDEX";
const VERSION: u32 = 1;
const ROW_BYTES: usize = 56;

/// count, version, whole frame's length, CRC32C of all before it, magic
pub(crate) const TRAILER_BYTES: usize = 24;

/// LIMIT: the longest index that is read: a segment of 4 GiB in blocks of 4 KiB.
pub(crate) const MAX_INDEX_BYTES: usize = 64 << 20;

/// In place of a count that nothing tells: what damage hides at the end of a segment. So many numbers are never used for anything
/// else, since a stream leaves out more of them there.
pub(crate) const UNKNOWN_COUNT: u32 = u32::MAX;

/// One block of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockPlace {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its whole length.
    pub bytes: u64,
    /// The sequence number of its first entry.
    pub first_sequence: u64,
    /// How many entries.
    pub entry_count: u32,
    /// Bytes of its text.
    pub text_bytes: u32,
    /// The oldest time.
    pub min_time_ns: i64,
    /// The newest time.
    pub max_time_ns: i64,
}

impl BlockPlace {
    pub(crate) fn new(offset: u64, header: &BlockHeader) -> Self {
        Self {
            offset,
            bytes: header.block_bytes(),
            first_sequence: header.first_sequence,
            entry_count: header.entry_count,
            text_bytes: header.text_bytes,
            min_time_ns: header.min_time_ns,
            max_time_ns: header.max_time_ns,
        }
    }

    /// The sequence number behind its last entry.
    pub fn end_sequence(&self) -> u64 {
        self.first_sequence.saturating_add(self.entry_count.into())
    }

    /// How many entries it counts for: at least the one that stands for it where nothing tells how many it had.
    pub(crate) fn counted_entries(&self) -> u64 {
        match self.entry_count {
            UNKNOWN_COUNT => 1,
            count => count.into(),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for word in [self.offset, self.bytes, self.first_sequence] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.entry_count.to_le_bytes());
        out.extend_from_slice(&self.text_bytes.to_le_bytes());
        out.extend_from_slice(&self.min_time_ns.to_le_bytes());
        out.extend_from_slice(&self.max_time_ns.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
    }

    fn decode(row: &[u8; ROW_BYTES]) -> Option<Self> {
        let word = |index: usize| {
            row.get(8 * index..)?
                .first_chunk()
                .map(|word| u64::from_le_bytes(*word))
        };
        let counts = word(3)?;
        let place = Self {
            offset: word(0)?,
            bytes: word(1)?,
            first_sequence: word(2)?,
            entry_count: u32::try_from(counts & u64::from(u32::MAX)).ok()?,
            text_bytes: u32::try_from(counts >> 32).ok()?,
            min_time_ns: to_signed(word(4)?),
            max_time_ns: to_signed(word(5)?),
        };
        (place.bytes >= BLOCK_PREFIX_BYTES as u64).then_some(place)
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// How long the index of so many blocks is.
pub(crate) fn frame_bytes(blocks: usize) -> usize {
    SKIPPABLE_PREFIX_BYTES + blocks * ROW_BYTES + TRAILER_BYTES
}

fn prefix(blocks: usize) -> [u8; SKIPPABLE_PREFIX_BYTES] {
    let [m0, m1, m2, m3] = SKIPPABLE_MAGIC.to_le_bytes();
    let [l0, l1, l2, l3] = length(frame_bytes(blocks) - SKIPPABLE_PREFIX_BYTES).to_le_bytes();
    [m0, m1, m2, m3, l0, l1, l2, l3]
}

/// Whether a skippable frame begins as the index of so many blocks does.
pub(crate) fn is_index_start(start: [u8; SKIPPABLE_PREFIX_BYTES], blocks: usize) -> bool {
    start == prefix(blocks)
}

/// The index as a skippable frame.
pub(crate) fn encode_index(blocks: &[BlockPlace]) -> Vec<u8> {
    let frame_bytes = frame_bytes(blocks.len());
    let mut frame = Vec::with_capacity(frame_bytes);
    frame.extend_from_slice(&prefix(blocks.len()));
    for block in blocks {
        block.encode(&mut frame);
    }
    for word in [length(blocks.len()), VERSION, length(frame_bytes)] {
        frame.extend_from_slice(&word.to_le_bytes());
    }
    let crc = crc32c::crc32c(&frame);
    frame.extend_from_slice(&crc.to_le_bytes());
    frame.extend_from_slice(&MAGIC);
    frame
}

/// The length of the index, from the last bytes of a segment; `None` when no index ends there.
pub(crate) fn index_bytes(trailer: &[u8; TRAILER_BYTES]) -> Option<usize> {
    let word = |index: usize| {
        trailer
            .get(4 * index..)?
            .first_chunk()
            .map(|word| u32::from_le_bytes(*word))
    };
    let bytes = word(2)? as usize;
    let is_index = trailer.ends_with(&MAGIC) && word(1)? == VERSION && bytes <= MAX_INDEX_BYTES;
    let is_whole = bytes == SKIPPABLE_PREFIX_BYTES + word(0)? as usize * ROW_BYTES + TRAILER_BYTES;
    (is_index && is_whole).then_some(bytes)
}

/// Reads an index; `None` when it is damaged.
pub(crate) fn decode_index(frame: &[u8]) -> Option<Vec<BlockPlace>> {
    let (before_crc, rest) = frame.split_at_checked(frame.len().checked_sub(12)?)?;
    let crc = rest.first_chunk::<4>()?;
    if u32::from_le_bytes(*crc) != crc32c::crc32c(before_crc) {
        return None;
    }
    let rows = frame.get(SKIPPABLE_PREFIX_BYTES..frame.len().checked_sub(TRAILER_BYTES)?)?;
    rows.chunks(ROW_BYTES)
        .map(|row| BlockPlace::decode(row.first_chunk()?))
        .collect()
}

//! A compressed, checksummed run of entries.
//!
//! ```text
//! block = skippable frame [ header (128 bytes) | section ... ] | zstd frame with the text
//! section = type u16 | codec u16 | raw length u32 | stored length u32 | bytes
//! ```
//!
//! The text is all that `zstdcat` shows: the lines, each with a newline unless it goes on in a later entry. Everything
//! else an entry has lies in the sections, as columns:
//!
//! | type | section | for which entries |
//! |---|---|---|
//! | 1 | flags, one byte each | all |
//! | 2 | times, zigzag varint differences | all |
//! | 3 | lengths of lines, varint | those whose end the newlines do not tell (a flag says so) |
//! | 4 | extras, varint length and bytes each | those with another source, metadata or unknown fields |
//!
//! A block is made in memory and written once; nothing in it changes afterwards. A reader passes over sections of
//! types that it does not know. All numbers are little endian, as zstd's own are.

mod builder;
mod columns;
mod header;

pub use builder::{BlockBuilder, Encoder, Origin};
pub use columns::{Block, Row};
pub(crate) use header::MAGIC as BLOCK_MAGIC;
pub use header::{BLOCK_PREFIX_BYTES, BlockHeader, HEADER_BYTES};

/// Frame bytes that a block holds at most, but for its last entry.
pub const BLOCK_TARGET_BYTES: u64 = 1 << 20;

/// LIMIT: the largest text or section that a reader takes memory for. A block ends with the entry that reaches
/// `BLOCK_TARGET_BYTES`, so it never holds more than that and one entry; sections are smaller than the frames they come from.
pub const MAX_COLUMN_BYTES: u32 = 4 << 20;

/// zstd's skippable frames: the magic number (one of sixteen) and the length that follows it.
pub(crate) const SKIPPABLE_MAGIC: u32 = 0x184D_2A5B;
pub(crate) const SKIPPABLE_PREFIX_BYTES: usize = 8;

/// zstd level 1: on logs in columns, level 3 is slower and no smaller (docs/decisions/0002-columns-and-level-1.md).
pub(crate) const LEVEL: i32 = 1;

/// The section types.
mod section {
    pub(super) const FLAGS: u16 = 1;
    pub(super) const TIMES: u16 = 2;
    pub(super) const LENGTHS: u16 = 3;
    pub(super) const EXTRAS: u16 = 4;

    pub(super) const CODEC_RAW: u16 = 0;
    pub(super) const CODEC_ZSTD: u16 = 1;

    /// type, codec, raw length, stored length
    pub(super) const HEADER_BYTES: usize = 12;
}

/// The bits of an entry's flags.
mod flag {
    /// Two bits: 0 another source (in the extras), 1 stdout, 2 stderr.
    pub(super) const SOURCE_MASK: u8 = 0b11;
    pub(super) const SOURCE_STDOUT: u8 = 1;
    pub(super) const SOURCE_STDERR: u8 = 2;
    pub(super) const PARTIAL: u8 = 1 << 2;
    pub(super) const LAST: u8 = 1 << 3;
    pub(super) const METADATA: u8 = 1 << 4;
    pub(super) const UNKNOWN: u8 = 1 << 5;
    /// Logboom wrote this entry itself.
    pub(super) const OWN: u8 = 1 << 6;
    /// Its length stands in the section of lengths.
    pub(super) const LENGTH: u8 = 1 << 7;

    /// The entry goes on, so no newline follows it.
    pub(super) fn is_continued(flags: u8) -> bool {
        flags & (PARTIAL | LAST) == PARTIAL
    }

    /// Something of it is in the extras.
    pub(super) fn has_extras(flags: u8) -> bool {
        flags & SOURCE_MASK == 0 || flags & (METADATA | UNKNOWN) != 0
    }
}

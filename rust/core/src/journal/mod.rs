//! What is not yet compressed, byte for byte as it was taken from the FIFO.
//!
//! ```text
//! generation = header page (4096 bytes) | initial bytes | bytes as received
//! ```
//!
//! A stream's journal is a chain of generations, numbered in the order in which their bytes arrived. Each belongs to
//! one session and begins at a frame's boundary: what was a torn frame at the end of the session's previous generation
//! is copied to the start of the next (its *initial bytes*), which overrides it there.
//!
//! INVARIANT: the size of the file is the only record of what was taken from the FIFO. Bytes are appended by one splice
//! each, never overwritten, and nothing is mapped; so a kill at any instant leaves either the byte in the FIFO or the
//! byte in the file. A generation whose header or initial bytes are not whole never had anything spliced behind them,
//! and is removed.
//!
//! Who writes: the intake's reactor alone. Who removes: the cutter, once all bytes lie in blocks of a synced segment.

mod generation;
mod header;
mod writer;

pub use generation::{Generation, Walked, with_entry};
pub(crate) use generation::{Left, damage_text};
pub use header::{BootId, GenerationHeader, HEADER_PAGE_BYTES, RECOVERED};
pub use writer::{JournalWriter, write_recovered};

/// A busy session's generation is followed by another at this size: four blocks.
pub const GENERATION_BYTES: u64 = 4 << 20;

/// A quiet session's generation is followed by another at this size, once it lies in blocks. With a thousand quiet
/// containers the journals then take at most 100 MB.
pub const QUIET_GENERATION_BYTES: u64 = 64 << 10;

use crate::disk::{numbered_name, parse_numbered_name};

const SUFFIX: &str = ".journal";

/// How the names of files end in which bytes are kept that are no entry.
pub(crate) const DAMAGED_SUFFIX: &str = ".damaged";

/// The file name of a generation.
pub(crate) fn file_name(number: u64) -> String {
    numbered_name(number, SUFFIX)
}

/// The generation's number, when the name is that of one.
pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    parse_numbered_name(name, SUFFIX)
}

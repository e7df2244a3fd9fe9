//! One file of blocks, and the index that ends it.
//!
//! ```text
//! segment = empty zstd frame | block ... | index, once it is sealed
//! index   = skippable frame [ one row of 56 bytes for each block | trailer (24 bytes) ]
//! ```
//!
//! The empty frame at the start makes the file known as zstd to tools that look at the first bytes only. A segment is
//! only appended to; it is never empty and its size always ends at a zstd frame. After a crash the last block may be torn:
//! it is cut off, and made again from the journal. A sealed segment never changes.

mod index;
mod reader;
mod writer;

pub use index::BlockPlace;
pub(crate) use index::UNKNOWN_COUNT;
pub use reader::{Contents, Rest, SegmentReader};
pub use writer::SegmentWriter;
pub(crate) use writer::write_sealed;

use crate::disk::{numbered_name, parse_numbered_name};

const SUFFIX: &str = ".zst";

/// How the name of a segment ends that holds no block which can be read, and whose name was needed.
pub(crate) const UNREADABLE: &str = "unreadable";

/// An empty zstd frame (RFC 8878): magic number, a single segment of content size 0, one last raw block of no bytes.
pub(crate) const PREAMBLE: [u8; 9] = [0x28, 0xB5, 0x2F, 0xFD, 0x20, 0x00, 0x01, 0x00, 0x00];

/// The file name of a segment.
pub(crate) fn file_name(first_sequence: u64) -> String {
    numbered_name(first_sequence, SUFFIX)
}

/// The segment's first sequence number, when the name is that of one.
pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    parse_numbered_name(name, SUFFIX)
}

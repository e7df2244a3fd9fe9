//! What dockerd writes into a FIFO and reads from `ReadLogs`.
//!
//! ```text
//! frame    = length (u32, big endian) | LogEntry (protobuf)
//! LogEntry = 1 source: string | 2 time_nano: int64 | 3 line: bytes | 4 partial: bool | 5 partial_log_metadata | others
//! metadata = 1 last: bool | 2 id: string | 3 ordinal: int32
//! ```
//!
//! Source: moby, `daemon/logger/internal/logdriver/entry.proto` and `io.go`. A *marked frame* is one that Logboom itself
//! put between dockerd's: the top bit of its length is set and a CRC32C stands before the message, so that no damaged
//! byte of dockerd's is taken for one.
//!
//! Everything here is a pure function of bytes.

mod entry;
mod frame;
mod plain;
mod varint;
mod walk;

pub use entry::{DecodeError, Entry, Piece, encode_frame};
pub use frame::{decode, encode_readlogs_frame};
pub(crate) use varint::{put_varint, take_varint, to_signed, to_unsigned};
pub use walk::{DAMAGE_WINDOW_BYTES, Item, Step, Walk, encode_marked_frame};

/// LIMIT: the longest message of a frame. dockerd writes at most 16.5 KB (its lines are cut at 16 KiB); moby's own
/// `local` driver reads up to this. A longer length is taken for damage.
pub const MAX_ENTRY_BYTES: usize = 1_000_000;

/// The length in front of a message.
pub const FRAME_PREFIX_BYTES: usize = 4;

/// The standard output of a container.
pub const STDOUT: &[u8] = b"stdout";

/// The standard error of a container; also the source of the entries that Logboom writes itself, since dockerd shows no
/// other source.
pub const STDERR: &[u8] = b"stderr";

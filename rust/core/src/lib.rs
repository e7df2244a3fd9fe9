//! The core of Logboom: what dockerd writes into FIFOs is kept in compressed segments and given back as entries.
//!
//! The rooms, each using only those below it:
//!
//! ```text
//! intake    FIFO -> journal: the reactor, pipe sizes, sessions; the cutter of blocks
//! playback  several streams of a view as one log
//! listing   all streams of a view as a table, or as JSON
//! store     all streams of one data folder: which exist, the lock, session records
//! replay    a reader's entries as the frames that ReadLogs sends, or as lines
//! stream    one container's entries in order: cutting, reading, retention, waking followers
//! segment   one file of blocks and its index
//! sync_log  what a power cut must not take from the journals
//! journal   what is not yet compressed, byte for byte
//! block     a compressed, checksummed run of entries
//! json_file lines of another driver's logs as frames
//! wire      frames and LogEntry
//! disk      the only code that touches files
//! watchdog  notices that the event loop above hangs
//! ```
//!
//! `docs/format.md` has every byte of the store.

pub mod block;
pub mod clock;
mod core;
pub mod disk;
mod error;
mod fault;
mod fields;
pub mod intake;
pub mod journal;
pub mod json_file;
pub mod listing;
mod pattern;
pub mod playback;
pub mod replay;
pub mod segment;
pub mod stats;
pub mod store;
pub mod stream;
pub mod sync_log;
pub mod verify;
pub mod watchdog;
pub mod wire;

pub use crate::core::{Core, Settings};
pub use error::{Error, Result};
pub use pattern::Pattern;

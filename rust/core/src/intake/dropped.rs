//! When the store cannot take entries: read on, count, and say so in the stream as soon as it can be written again.
//!
//! A container must never wait for a disk that is full or broken.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::wire::{Entry, Step, Walk, encode_marked_frame};

/// The store is tried again this often.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Read at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// What a session has lost since the store refused.
#[derive(Debug)]
pub(super) struct Dropped {
    /// Whole frames and damage.
    pub(super) entry_count: u64,
    byte_count: u64,
    /// What the counters do not know yet.
    uncounted: (u64, u64),
    from_ns: i64,
    cause: String,
    tried_at: Instant,
    /// Bytes of a frame that is not whole yet; it is the first that can be stored again.
    torn: Vec<u8>,
}

impl Dropped {
    pub(super) fn new(
        cause: &dyn std::fmt::Display,
        torn: Vec<u8>,
        now_ns: i64,
        now: Instant,
    ) -> Self {
        Self {
            entry_count: 0,
            byte_count: 0,
            uncounted: (0, 0),
            from_ns: now_ns,
            cause: cause.to_string(),
            tried_at: now,
            torn,
        }
    }

    /// Reads what the FIFO holds and counts it; `Ok(0)`: no writer is left.
    ///
    /// # Errors
    /// `WouldBlock` when the FIFO is empty.
    pub(super) fn take(&mut self, fifo: BorrowedFd<'_>) -> io::Result<usize> {
        let before = self.torn.len();
        self.torn.resize(before + CHUNK_BYTES, 0);
        let read = rustix::io::read(fifo, self.torn.get_mut(before..).unwrap_or_default());
        self.torn.truncate(before + read.unwrap_or(0));
        self.count(false);
        Ok(read?)
    }

    fn count(&mut self, is_final: bool) {
        let mut walk = Walk::new(&self.torn, is_final);
        let mut entries = 0;
        while let Step::Item(_) = walk.step() {
            entries += 1;
        }
        let position = walk.position();
        self.entry_count += entries;
        self.byte_count += position as u64;
        self.uncounted = (
            self.uncounted.0 + entries,
            self.uncounted.1 + position as u64,
        );
        self.torn.drain(..position);
    }

    /// Whether it is time to try the store again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now.duration_since(self.tried_at) >= RETRY_AFTER
    }

    /// The store has refused again.
    pub(super) fn tried(&mut self, now: Instant) {
        self.tried_at = now;
    }

    /// Entries and bytes dropped since the last call.
    pub(super) fn take_uncounted(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.uncounted)
    }

    /// No more bytes will come: what is torn is lost, too.
    pub(super) fn finish(&mut self) {
        self.count(true);
    }

    /// What a generation begins with when the store takes entries again: the entry that tells of the loss, and the frame
    /// that is not whole yet.
    pub(super) fn initial_bytes(&self, now_ns: i64) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.entry_count > 0 {
            let seconds = (now_ns - self.from_ns) / 1_000_000_000;
            let text = format!(
                "logboom: {} entries ({} bytes) were dropped in the last {seconds} s: {}",
                self.entry_count, self.byte_count, self.cause
            );
            encode_marked_frame(&Entry::own(now_ns, &text), &mut bytes);
        }
        bytes.extend_from_slice(&self.torn);
        bytes
    }
}

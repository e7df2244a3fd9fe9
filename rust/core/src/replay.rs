//! A reader's entries as the frames that `ReadLogs` answers with.

use std::os::fd::{AsFd, BorrowedFd};

use crate::stream::{Progress, Reader};
use crate::wire::encode_readlogs_frame;

/// Gives frames in chunks.
#[derive(Debug)]
pub struct Replay(Reader);

impl Replay {
    /// Frames of what the reader gives.
    pub fn new(reader: Reader) -> Self {
        Self(reader)
    }

    /// Appends whole frames until there are `enough_bytes` or the reader has to wait; a chunk may be longer by one block.
    pub fn next_frames(&mut self, enough_bytes: usize, out: &mut Vec<u8>) -> Progress {
        self.0.clear_wake();
        loop {
            let progress = self
                .0
                .step(&mut |entry, _| encode_readlogs_frame(entry, out));
            if progress != Progress::More || out.len() >= enough_bytes {
                return progress;
            }
        }
    }
}

impl AsFd for Replay {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

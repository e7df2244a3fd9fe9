//! A reader's entries as the frames that `ReadLogs` answers with, or as lines of text or JSON.

mod chunks;
mod lines;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::stream::{Given, Progress, Reader};
use crate::wire::encode_readlogs_frame;
use chunks::Chunks;
pub use lines::{Format, Output, Zone};

/// About how many bytes of frames are made before they are sent. From 256 KiB on the cost of a chunk no longer shows; what a reader
/// holds in memory grows with it.
const PIECE_BYTES: usize = 512 << 10;

const NOTHING: Sent = Sent {
    progress: Progress::More,
    byte_count: 0,
    entry_count: 0,
};

/// Gives frames, into memory or into the socket of an answer.
#[derive(Debug)]
pub struct Replay {
    reader: Reader,
    chunks: Chunks,
    /// What was sent, or waits in `chunks`, since a call of `send_frames` last told it.
    untold: Sent,
}

/// What was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Where the reader stands behind it.
    pub progress: Progress,
    /// Bytes of the frames.
    pub byte_count: usize,
    /// How many there were.
    pub entry_count: u64,
}

impl Replay {
    /// Frames of what the reader gives.
    pub fn new(reader: Reader) -> Self {
        Self {
            reader,
            chunks: Chunks::default(),
            untold: NOTHING,
        }
    }

    /// Appends whole frames until there are `enough_bytes` or the reader has to wait; a chunk may be longer by one block.
    pub fn next_frames(&mut self, enough_bytes: usize, out: &mut Vec<u8>) -> Progress {
        put_frames(&mut self.reader, enough_bytes, out).progress
    }

    /// The same as lines.
    pub fn next_lines(
        &mut self,
        enough_bytes: usize,
        format: &Format,
        out: &mut Vec<u8>,
    ) -> Progress {
        put_entries(&mut self.reader, enough_bytes, out, |given, out| {
            format.put(given, out);
        })
        .progress
    }

    /// Sends frames as chunks of an HTTP/1.1 answer, one after the other: about `enough_bytes`, or as many as there are. `None`: the
    /// socket takes no more for now; nothing new is read before it has taken what waits, and the next call tells what this one sent, too.
    ///
    /// # Errors
    /// The other side has hung up.
    pub fn send_frames(
        &mut self,
        enough_bytes: usize,
        socket: BorrowedFd<'_>,
    ) -> io::Result<Option<Sent>> {
        loop {
            if self.chunks.is_empty() {
                let reader = &mut self.reader;
                let sent = self
                    .chunks
                    .put(|chunk| put_frames(reader, PIECE_BYTES, chunk));
                self.untold.byte_count += sent.byte_count;
                self.untold.entry_count += sent.entry_count;
                self.untold.progress = sent.progress;
            }
            if !self.chunks.send(socket)? {
                return Ok(None);
            }
            let sent = self.untold;
            if sent.progress != Progress::More || sent.byte_count >= enough_bytes {
                self.untold = NOTHING;
                return Ok(Some(sent));
            }
        }
    }
}

fn put_frames(reader: &mut Reader, enough_bytes: usize, out: &mut Vec<u8>) -> Sent {
    put_entries(reader, enough_bytes, out, |given, out| {
        encode_readlogs_frame(given.entry, out);
    })
}

fn put_entries(
    reader: &mut Reader,
    enough_bytes: usize,
    out: &mut Vec<u8>,
    put: impl Fn(&Given<'_>, &mut Vec<u8>),
) -> Sent {
    reader.clear_wake();
    let before = out.len();
    let mut entry_count = 0;
    loop {
        let progress = reader.step(&mut |given| {
            put(given, out);
            entry_count += 1;
        });
        let byte_count = out.len() - before;
        if progress != Progress::More || byte_count >= enough_bytes {
            return Sent {
                progress,
                byte_count,
                entry_count,
            };
        }
    }
}

impl AsFd for Replay {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

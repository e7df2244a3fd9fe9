//! Chunks of an HTTP/1.1 answer (RFC 9112, section 7.1), into its socket without a copy in between.
//!
//! ```text
//! chunk = length (8 hexadecimal digits) | CR LF | bytes | CR LF
//! ```
//!
//! Who began the answer ends it, with the chunk of length 0.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

const LINE_END: &[u8] = b"\r\n";
const LENGTH_DIGITS: usize = 8;
const HEAD_BYTES: usize = LENGTH_DIGITS + LINE_END.len();

/// LIMIT: how long a call waits for a full socket. A caller that reads gets on without a way through the event loop; one that
/// does not holds a thread no longer than this.
const PATIENCE: Duration = Duration::from_millis(5);

/// One chunk at a time, on its way.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    chunk: Vec<u8>,
    sent_bytes: usize,
}

impl Chunks {
    /// Nothing waits for the socket.
    pub(super) fn is_empty(&self) -> bool {
        self.sent_bytes == self.chunk.len()
    }

    /// Makes a chunk of what `fill` appends; there is none when it appends nothing. The one before must be sent.
    pub(super) fn put<T>(&mut self, fill: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let chunk = &mut self.chunk;
        self.sent_bytes = 0;
        chunk.clear();
        chunk.resize(HEAD_BYTES, 0);
        let filled = fill(chunk);
        let bytes = chunk.len() - HEAD_BYTES;
        if bytes == 0 {
            chunk.clear();
        } else {
            let head = format!("{bytes:0LENGTH_DIGITS$x}\r\n");
            if let Some(place) = chunk.get_mut(..head.len()) {
                place.copy_from_slice(head.as_bytes());
            }
            chunk.extend_from_slice(LINE_END);
        }
        filled
    }

    /// Sends what waits; `false`: the socket takes no more for now.
    ///
    /// # Errors
    /// The other side has hung up.
    pub(super) fn send(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        while let Some(rest) = self
            .chunk
            .get(self.sent_bytes..)
            .filter(|rest| !rest.is_empty())
        {
            match send(socket, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(bytes) => self.sent_bytes += bytes,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if wait_writable(socket)? => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(true)
    }
}

fn wait_writable(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let mut wait_for = [PollFd::from_borrowed_fd(socket, PollFlags::OUT)];
    let patience = Timespec {
        tv_sec: 0,
        tv_nsec: PATIENCE.subsec_nanos().into(),
    };
    match poll(&mut wait_for, Some(&patience)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

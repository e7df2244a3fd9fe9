//! Where a worker leaves a listening socket of its own for the next one.
//!
//! The worker listens on sockets that lie in its data folder. A disk that hangs would hold who binds there for ever, so that
//! cannot be the supervisor. Instead it holds a pair of connected sockets, and gives both ends to every worker: a
//! descriptor that is sent into one end (unix(7), `SCM_RIGHTS`) stays open in the queue of the other, and a worker that looks
//! there without taking it (`MSG_PEEK`) gets it as well. The supervisor itself neither sends nor receives.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// Tells the worker the numbers of both ends, with a comma between.
pub(crate) const VARIABLE: &str = "SUPERVISOR_KEEPER";

/// The ends have numbers from here on: 3 is the plugin's socket in the worker, whatever was open before.
const LOWEST_DESCRIPTOR: RawFd = 10;

/// Both ends, open for ever.
#[derive(Debug)]
pub(crate) struct Keeper([OwnedFd; 2]);

impl Keeper {
    pub(crate) fn new() -> io::Result<Self> {
        let (one, other) = socketpair(
            AddressFamily::UNIX,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok(Self([
            fcntl_dupfd_cloexec(one, LOWEST_DESCRIPTOR)?,
            fcntl_dupfd_cloexec(other, LOWEST_DESCRIPTOR)?,
        ]))
    }

    /// The numbers of both ends, which are the same in the worker.
    pub(crate) fn descriptors(&self) -> [RawFd; 2] {
        self.0.each_ref().map(AsRawFd::as_raw_fd)
    }
}

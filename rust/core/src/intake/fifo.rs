//! Opening what dockerd names.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat, lstat, open, unlink};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, tee};

use crate::error::{Error, Result};

/// Opens a FIFO for reading, without waiting for a writer.
///
/// dockerd holds it open for reading and writing, so it never sees a broken pipe while nobody reads here.
///
/// # Errors
/// It is not there, or no FIFO; or no file descriptor is left, which is not the caller's mistake.
pub fn open_fifo(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let refused =
        |why: &dyn std::fmt::Display| Error::invalid("File", format!("{}: {why}", path.display()));
    let fifo = open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::MFILE | Errno::NFILE => Error::io("open", path)(errno.into()),
        _ => refused(&io::Error::from(errno)),
    })?;
    let stat = fstat(&fifo).map_err(|errno| refused(&io::Error::from(errno)))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => Ok(fifo),
        _ => Err(refused(&"it is no FIFO")),
    }
}

/// Opens the FIFO of a session that an earlier worker had. Where it is gone, one without a writer stands in its place: the
/// session is over, and ends as one does whose writer has gone.
///
/// # Errors
/// It is there and no FIFO, or no file descriptor is left.
pub fn find_fifo(path: &Path) -> Result<OwnedFd> {
    if !matches!(lstat(path), Err(Errno::NOENT)) {
        return open_fifo(path);
    }
    let (fifo, _writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        .map_err(|errno| Error::io("stand in for", path)(errno.into()))?;
    Ok(fifo)
}

/// Removes a FIFO that dockerd has left behind, unless the path names another by now.
pub(super) fn unlink_fifo(fifo: BorrowedFd<'_>, path: &Path) {
    let (Ok(ours), Ok(named)) = (fstat(fifo), lstat(path)) else {
        return;
    };
    if (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino) {
        // Somebody else may have removed it.
        let _ = unlink(path);
    }
}

/// What reading an empty FIFO would say, without taking a byte that comes in between: `Ok(0)` when no writer is left.
///
/// poll(2) does not tell: a FIFO that was opened after its last writer had gone is never reported as hung up.
pub(super) fn probe(fifo: BorrowedFd<'_>) -> io::Result<usize> {
    let (_read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    match tee(fifo, &write, 1, SpliceFlags::NONBLOCK)? {
        0 => Ok(0),
        // Something has come; it is taken in the next round, when there is somewhere to take it to.
        _ => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// Removes a FIFO that belongs to nobody, as is certain when nobody writes to it: its content goes with the last who has it
/// open, so it holds nothing. The caller knows that it is old: one that dockerd has just made has no writer yet either.
pub fn remove_orphan(path: &Path) {
    let Ok(fifo) = open_fifo(path) else { return };
    if matches!(probe(fifo.as_fd()), Ok(0)) {
        unlink_fifo(fifo.as_fd(), path);
    }
}

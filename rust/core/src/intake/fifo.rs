//! Opening what dockerd names.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, lstat, open, unlink};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, tee};

use crate::error::{Error, Result};

/// Where a FIFO is that dockerd names.
///
/// # Errors
/// `InvalidArgument`: the name is no absolute path below the root.
pub fn fifo_path(fifo_root: &Path, file: &str) -> Result<PathBuf> {
    let path = Path::new(file);
    let is_plain = path
        .components()
        .all(|component| matches!(component, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !is_plain || file.contains('\0') {
        return Err(Error::invalid(
            "File",
            format!("{file:?} is no absolute path below the FIFO root"),
        ));
    }
    Ok(fifo_root.join(path.strip_prefix("/").unwrap_or(path)))
}

/// Opens a FIFO for reading, without waiting for a writer.
///
/// dockerd holds it open for reading and writing, so it never sees a broken pipe while nobody reads here.
///
/// # Errors
/// It is not there, or no FIFO; or what may pass, as that no file descriptor is left, which is not the caller's mistake.
pub fn open_fifo(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let wrong =
        |why: &dyn std::fmt::Display| Error::invalid("File", format!("{}: {why}", path.display()));
    let refused = |errno: Errno| match Error::io("open", path)(errno.into()) {
        error if error.may_pass() => error,
        _ => wrong(&io::Error::from(errno)),
    };
    let fifo = open(path, flags, Mode::empty()).map_err(refused)?;
    let stat = fstat(&fifo).map_err(refused)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => Ok(fifo),
        _ => Err(wrong(&"it is no FIFO")),
    }
}

/// Opens the FIFO of a session that an earlier worker had. Where it is gone, one without a writer stands in its place: the
/// session is over, and ends as one does whose writer has gone.
///
/// # Errors
/// It is there and no FIFO; or what may pass.
pub(super) fn find_fifo(path: &Path) -> Result<OwnedFd> {
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

//! Opening what dockerd names.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};

use crate::error::{Error, Result};

/// Opens a FIFO for reading, without waiting for a writer.
///
/// dockerd holds it open for reading and writing, so it never sees a broken pipe while nobody reads here.
///
/// # Errors
/// It is not there, or no FIFO.
pub fn open_fifo(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let refused =
        |why: &dyn std::fmt::Display| Error::invalid("File", format!("{}: {why}", path.display()));
    let fifo =
        open(path, flags, Mode::empty()).map_err(|errno| refused(&io::Error::from(errno)))?;
    let stat = fstat(&fifo).map_err(|errno| refused(&io::Error::from(errno)))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => Ok(fifo),
        _ => Err(refused(&"it is no FIFO")),
    }
}

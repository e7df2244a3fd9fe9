//! The one error type of the core.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// What can go wrong, sorted by whose fault it is and what can be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A call of the operating system failed.
    #[error("cannot {op} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Bytes in the store are not what was written.
    #[error("{} is damaged at byte {offset}: {what}", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The store was written by a newer version.
    #[error("{} has format {found}; this version reads up to {newest}", path.display())]
    UnsupportedFormat {
        /// The file that says so.
        path: PathBuf,
        /// Its format version.
        found: u32,
        /// The newest that this version knows.
        newest: u32,
    },
    /// Another process holds the store.
    #[error("{} is held by another process", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The caller gave something that cannot be used.
    #[error("{name}: {why}")]
    InvalidArgument {
        /// Which argument.
        name: &'static str,
        /// What is wrong with it and what to give instead.
        why: String,
    },
    /// The FIFO belongs to a running session.
    #[error("{file} is already attached to container {container_id}")]
    SessionExists {
        /// The FIFO as dockerd names it.
        file: String,
        /// Whose it is.
        container_id: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// A result with the core's error.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Wraps an operating system error with what was tried and where.
    pub(crate) fn io(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { op, path, source }
    }

    /// Whether it says that a file is not there.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether it says that no space is left, on the disk or for us.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ))
    }

    /// Whether no file descriptor or memory is left, or a signal came between: it tells nothing about what was to be opened or read.
    pub(crate) fn is_shortage(&self) -> bool {
        let errno = self.errno().map(Errno::from_raw_os_error);
        matches!(
            errno,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::INTR | Errno::AGAIN)
        )
    }

    /// Whether the same may succeed later although nobody mends anything; the disk may have failed once.
    pub(crate) fn may_pass(&self) -> bool {
        self.is_shortage() || self.errno() == Some(Errno::IO.raw_os_error())
    }

    /// The error number of the operating system, where it gave one.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    pub(crate) fn corrupt(path: &Path, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            offset,
            what: what.into(),
        }
    }

    pub(crate) fn invalid(name: &'static str, why: impl Into<String>) -> Self {
        Self::InvalidArgument {
            name,
            why: why.into(),
        }
    }
}

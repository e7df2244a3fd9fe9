//! Room that is kept for cutting.
//!
//! A journal goes only when its entries lie in a segment, which takes room first, so a disk that is full of journals alone would
//! never get free by itself. `DATA/ballast` is a file that holds nothing but room, and a name. When a cut meets a full disk it
//! is given up, and until it is back journals take no new space: what gets free is used for cutting first, then for the
//! ballast, and only then for new entries.
//!
//! A file system that cannot reserve space gives none, and then nothing is held back either.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::Errno;

use crate::disk::{Disk, OpenMode};
use crate::error::Error;

const FILE_NAME: &str = "ballast";

/// What the blocks of one generation take at most, which has up to 5 MiB, when nothing in it can be compressed, with what a
/// file system takes for the files themselves, and what the reactor may reserve at the moment in which it is given up.
const BALLAST_BYTES: u64 = 8 << 20;

/// No error has this number.
const NONE: i32 = 0;

/// Whether the room is there.
#[derive(Debug, Default)]
pub(super) struct Ballast {
    /// The error number of the full disk on which it is missing; 0: it is in place.
    refusal: AtomicI32,
}

impl Ballast {
    /// Whether journals may take new space.
    ///
    /// # Errors
    /// What the disk said when it was full.
    pub(super) fn check(&self) -> io::Result<()> {
        match self.refusal.load(Ordering::Relaxed) {
            NONE => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn miss(&self, full: &Error) {
        let errno = full.errno().unwrap_or(Errno::NOSPC.raw_os_error());
        self.refusal.store(errno, Ordering::Relaxed);
    }

    /// A cut has met a full disk. Gives the room up; `false`: there is none.
    pub(super) fn give_up(&self, disk: &dyn Disk, data: &Path, full: &Error) -> bool {
        // ORDER: first, so that the room is not taken by a journal.
        self.miss(full);
        disk.remove_file(&data.join(FILE_NAME)).is_ok()
    }

    /// Takes the room, as far as the disk allows.
    pub(super) fn take(&self, disk: &dyn Disk, data: &Path) {
        let path = data.join(FILE_NAME);
        let opened = match disk.open(&path, OpenMode::Create) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.open(&path, OpenMode::Write)
            }
            created => created,
        };
        let taken = opened
            .and_then(|file| file.reserve(0, BALLAST_BYTES))
            .map_err(Error::io("reserve", &path));
        match taken {
            Err(error) if error.is_full() => {
                self.miss(&error);
                // A part of it may be reserved.
                let _ = disk.remove_file(&path);
            }
            // A disk that fails otherwise takes no journals by itself.
            _ => self.refusal.store(NONE, Ordering::Relaxed),
        }
    }
}

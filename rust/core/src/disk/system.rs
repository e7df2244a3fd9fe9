//! The machine's own file system.
#![expect(clippy::disallowed_methods, reason = "the one module that opens files")]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, FlockOperation, OFlags};
use rustix::pipe::SpliceFlags;

use super::{Disk, DiskFile, FILE_MODE, FOLDER_MODE, Listed, OpenMode};

/// A link in the store is not ours, and a FIFO in it must not make us wait.
#[expect(clippy::cast_possible_wrap, reason = "flags use the low bits only")]
const NO_LINK_NO_WAIT: i32 = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits() as i32;

/// Files as the operating system gives them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

#[derive(Debug)]
struct SystemFile(File);

impl Disk for SystemDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(mode != OpenMode::Read)
            .create_new(mode == OpenMode::Create)
            .mode(FILE_MODE)
            .custom_flags(NO_LINK_NO_WAIT)
            .open(path)?;
        Ok(Box::new(SystemFile(file)))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            // A hundred thousand subfolders are listed without a look at each.
            let (bytes, modified_ns) = if entry.file_type()?.is_dir() {
                (0, 0)
            } else {
                match entry.metadata() {
                    Ok(metadata) => (metadata.len(), modified_ns(&metadata)),
                    // Removed since it was listed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
            };
            listed.push(Listed {
                name,
                bytes,
                modified_ns,
            });
        }
        Ok(listed)
    }

    fn changed_ns(&self, path: &Path) -> io::Result<i64> {
        let metadata = fs::symlink_metadata(path)?;
        if metadata.is_dir() {
            Ok(modified_ns(&metadata))
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(path)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

fn modified_ns(metadata: &fs::Metadata) -> i64 {
    metadata
        .mtime()
        .saturating_mul(1_000_000_000)
        .saturating_add(metadata.mtime_nsec())
}

impl DiskFile for SystemFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn has_name(&self) -> io::Result<bool> {
        Ok(self.0.metadata()?.nlink() > 0)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn splice_from(&self, pipe: BorrowedFd<'_>, offset: u64, most: usize) -> io::Result<usize> {
        let mut at = offset;
        Ok(rustix::pipe::splice(
            pipe,
            None,
            &self.0,
            Some(&mut at),
            most,
            SpliceFlags::NONBLOCK,
        )?)
    }

    fn reserve(&self, offset: u64, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::KEEP_SIZE, offset, bytes) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn begin_writing(&self, offset: u64) {
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        #[expect(
            unsafe_code,
            reason = "no library has it; posix_fadvise, which begins to write as well, waits for all processors"
        )]
        // SAFETY: it takes numbers, and the file is open.
        unsafe {
            // What goes wrong is told by the sync.
            libc::sync_file_range(self.0.as_raw_fd(), offset, 0, libc::SYNC_FILE_RANGE_WRITE);
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

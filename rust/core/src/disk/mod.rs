//! The only code that touches files of the store.
//!
//! Everything goes through two traits, so that a test can put a disk beneath that loses, tears or refuses. Offsets are
//! always explicit: no file has a position that two callers could share.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

mod names;
mod stall;
mod system;

pub(crate) use names::{
    MAX_CONTAINER_ID_BYTES, is_container_id, numbered_name, parse_numbered_name,
};
pub use stall::{Stalled, Stalls, WatchedDisk};
pub use system::SystemDisk;

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading only.
    Read,
    /// For reading and writing; it must be there.
    Write,
    /// For reading and writing; it must not be there yet.
    Create,
}

/// A folder entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name, which need not be UTF-8 text: such names are passed over.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// When its content was last changed.
    pub modified_ns: i64,
}

/// The file system calls that the store needs.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Opens a file; files of the store are root's alone (0600).
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;
    /// Makes a folder (0700) and its parents; it may be there.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// What a folder holds, in no order; subfolders have size and time 0.
    fn list(&self, path: &Path) -> io::Result<Vec<Listed>>;
    /// When the names in a folder were last changed, which is to say that a file was made, renamed or removed there. A link is no
    /// folder.
    fn changed_ns(&self, path: &Path) -> io::Result<i64>;
    /// Gives a file another name, in place of what bears it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name; who has it open can go on reading.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder survive a power cut.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// What is free on a folder's file system, without what is reserved for root.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// An open file.
pub trait DiskFile: Send + Sync + std::fmt::Debug {
    /// Its size.
    fn bytes(&self) -> io::Result<u64>;
    /// Whether it still has a name: what is written into a file that somebody has removed is lost when it is closed.
    fn has_name(&self) -> io::Result<bool> {
        Ok(true)
    }
    /// Fills the buffer from `offset`; `UnexpectedEof` when the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all bytes at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Moves up to `most` bytes out of a pipe to `offset`, which must be the end of the file: one system call, so that a
    /// killed process has either taken a byte and grown the file by it, or neither.
    ///
    /// `Ok(0)`: the pipe has no writer and is empty. `WouldBlock`: it is empty.
    fn splice_from(&self, pipe: BorrowedFd<'_>, offset: u64, most: usize) -> io::Result<usize>;
    /// Takes disk space for a range without changing the size. A file system that cannot is no error.
    fn reserve(&self, offset: u64, bytes: u64) -> io::Result<()>;
    /// Cuts the file to a size.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Takes the file's exclusive lock (flock) until it is closed; `false`: another process has it.
    fn lock(&self) -> io::Result<bool>;
    /// Lets the disk begin to write what lies at `offset` and behind, and does not wait for it. A hint, which a disk need not take.
    ///
    /// Of files that are all begun before the first one is synced, that sync has the file system write down at once what has become
    /// of them; else each sync does it again.
    fn begin_writing(&self, _offset: u64) {}
    /// Makes the content survive a power cut (fdatasync).
    fn sync(&self) -> io::Result<()>;
}

/// Lists a folder of the store.
///
/// A link in its place would lead out of the store: it is an error.
pub(crate) fn list_folder(disk: &dyn Disk, path: &Path) -> io::Result<Vec<Listed>> {
    match disk.open(path, OpenMode::Read) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            Err(error)
        }
        // What else is wrong the listing tells.
        _ => disk.list(path),
    }
}

/// Reads a small file whole; `None` when it is not there.
///
/// LIMIT: the caller names the size above which a file cannot be what is looked for.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let bytes = file.bytes()?;
    if bytes > most {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("larger than {most} bytes"),
        ));
    }
    let mut content = vec![0; usize::try_from(bytes).unwrap_or(0)];
    file.read_exact_at(&mut content, 0)?;
    Ok(Some(content))
}

/// Puts a file in place whole: a reader sees the old content or the new, also after a power cut when `sync` is set.
pub(crate) fn replace_file(
    disk: &dyn Disk,
    path: &Path,
    content: &[u8],
    sync: bool,
) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    match disk.remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(&temporary, OpenMode::Create)?;
    file.write_all_at(content, 0)?;
    // ORDER: the content before the name, or a power cut leaves an empty file under the right name.
    if sync {
        file.sync()?;
    }
    disk.rename(&temporary, path)?;
    match path.parent() {
        Some(folder) if sync => disk.sync_folder(folder),
        _ => Ok(()),
    }
}

/// Whether an error says that something is not there.
pub(crate) fn is_missing<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Permissions of the store's folders and files: container output can hold anything, so root's alone.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

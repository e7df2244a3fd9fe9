//! A disk in memory. Folders are there once they were made, or a file is in them.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "each test uses a part, and may panic"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use logboom_core::disk::{Disk, DiskFile, Listed, OpenMode};

type Content = Arc<Mutex<Vec<u8>>>;

/// The disk.
#[derive(Debug, Default)]
pub struct MemoryDisk {
    /// By the bytes of their paths: the fuzz targets do little else than to look them up.
    files: Mutex<HashMap<OsString, Content>>,
    folders: Mutex<BTreeSet<PathBuf>>,
}

#[derive(Debug)]
struct MemoryFile(Content);

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl MemoryDisk {
    /// A disk that holds one file.
    #[must_use]
    pub fn with_file(path: &Path, content: &[u8]) -> Self {
        let disk = Self::default();
        disk.put(path, content);
        disk
    }

    /// A file is there, whatever was before.
    pub fn put(&self, path: &Path, content: &[u8]) {
        let content = Arc::new(Mutex::new(content.to_vec()));
        self.files().insert(path.into(), content);
    }

    /// All files that there are, in order.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self.files().keys().map(PathBuf::from).collect();
        paths.sort_unstable();
        paths
    }

    /// What a file holds.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<Vec<u8>> {
        let content = self.files().get(path.as_os_str()).cloned()?;
        let bytes = content.lock().unwrap().clone();
        Some(bytes)
    }

    fn files(&self) -> MutexGuard<'_, HashMap<OsString, Content>> {
        self.files.lock().expect("nothing goes on after a panic")
    }

    fn folders(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.folders.lock().expect("nothing goes on after a panic")
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut files = self.files();
        let content = match (files.get(path.as_os_str()), mode) {
            (Some(_), OpenMode::Create) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(content), _) => Arc::clone(content),
            (None, OpenMode::Create) => Arc::clone(files.entry(path.into()).or_default()),
            (None, _) => return Err(missing()),
        };
        Ok(Box::new(MemoryFile(content)))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.folders().insert(path.to_owned());
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        let mut listed = BTreeMap::new();
        for (file, content) in self.files().iter() {
            let Ok(below) = Path::new(file).strip_prefix(path) else {
                continue;
            };
            let mut parts = below.iter();
            let Some(name) = parts.next().and_then(|name| name.to_str()) else {
                continue;
            };
            let is_file = parts.next().is_none();
            let bytes = if is_file {
                content.lock().unwrap().len() as u64
            } else {
                0
            };
            listed.insert(
                name.to_owned(),
                Listed {
                    name: name.to_owned(),
                    bytes,
                    modified_ns: 0,
                },
            );
        }
        if listed.is_empty() && !self.folders().contains(path) {
            return Err(missing());
        }
        Ok(listed.into_values().collect())
    }

    fn changed_ns(&self, _: &Path) -> io::Result<i64> {
        // Its clock stands still, so this tells nothing.
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files();
        let content = files.remove(from.as_os_str()).ok_or_else(missing)?;
        files.insert(to.into(), content);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.files()
            .remove(path.as_os_str())
            .map(drop)
            .ok_or_else(missing)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.folders().remove(path);
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl MemoryFile {
    fn content(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().expect("nothing goes on after a panic")
    }
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

impl DiskFile for MemoryFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.content().len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let from = position(offset)?;
        let content = self.content();
        let wanted = from
            .checked_add(buffer.len())
            .and_then(|to| content.get(from..to));
        buffer.copy_from_slice(wanted.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let from = position(offset)?;
        let mut content = self.content();
        let to = from + bytes.len();
        if content.len() < to {
            content.resize(to, 0);
        }
        content[from..to].copy_from_slice(bytes);
        Ok(())
    }

    fn splice_from(&self, _: BorrowedFd<'_>, _: u64, _: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn reserve(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.content().truncate(position(bytes)?);
        Ok(())
    }

    fn lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

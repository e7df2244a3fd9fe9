//! What the fuzz targets share: a disk in memory, entries that can be compared, checksums put right.
//!
//! Nearly all bytes of a block, an index and a generation are under a checksum, which a fuzzer does not guess. So each target
//! takes its input twice: as it is, and with the checksums put right, as if a writer had made these bytes.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use logboom_core::block::BLOCK_PREFIX_BYTES;
use logboom_core::disk::{Disk, DiskFile, Listed, OpenMode};
use logboom_core::wire::Entry;

/// An entry that owns its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// As in `Entry`, and so the others.
    pub source: Vec<u8>,
    pub time_ns: i64,
    pub line: Vec<u8>,
    pub partial: bool,
    pub last: bool,
    pub metadata: Option<Vec<u8>>,
    pub unknown: Vec<u8>,
}

impl Kept {
    #[must_use]
    pub fn of(entry: &Entry<'_>) -> Self {
        Self {
            source: entry.source.to_vec(),
            time_ns: entry.time_ns,
            line: entry.line.to_vec(),
            partial: entry.partial,
            last: entry.last,
            metadata: entry.metadata.as_deref().map(<[u8]>::to_vec),
            unknown: entry.unknown.to_vec(),
        }
    }
}

/// Puts a number into bytes, where there is room for it.
pub fn put(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_le_bytes());
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("inputs are small")
}

/// Makes a block of any bytes: magic numbers, lengths and checksums are right, and what is left is as it was.
pub fn mend_block(bytes: &mut [u8]) {
    if bytes.len() < BLOCK_PREFIX_BYTES {
        return;
    }
    let (prefix, body) = bytes.split_at_mut(BLOCK_PREFIX_BYTES);
    let wanted = u32::from_le_bytes([prefix[20], prefix[21], prefix[22], prefix[23]]) as usize;
    let (sections, text) = body.split_at(wanted % (body.len() + 1));
    put(prefix, 0, 0x184D_2A5B);
    put(prefix, 4, 128 + length(sections.len()));
    prefix[8..16].copy_from_slice(b"LOGBLOCK");
    put(prefix, 16, 1);
    put(prefix, 20, length(sections.len()));
    put(prefix, 24, length(text.len()));
    put(prefix, 96, crc32c::crc32c(sections));
    put(prefix, 100, crc32c::crc32c(text));
    let crc = crc32c::crc32c(&prefix[..BLOCK_PREFIX_BYTES - 4]);
    put(prefix, BLOCK_PREFIX_BYTES - 4, crc);
}

type Files = BTreeMap<PathBuf, Arc<Mutex<Vec<u8>>>>;

/// A disk in memory. Folders are there once a file is in them.
#[derive(Debug, Default)]
pub struct MemoryDisk(Mutex<Files>);

#[derive(Debug)]
struct MemoryFile(Arc<Mutex<Vec<u8>>>);

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl MemoryDisk {
    /// A disk that holds one file.
    #[must_use]
    pub fn with_file(path: &Path, content: &[u8]) -> Self {
        let disk = Self::default();
        disk.files()
            .insert(path.to_owned(), Arc::new(Mutex::new(content.to_vec())));
        disk
    }

    fn files(&self) -> std::sync::MutexGuard<'_, Files> {
        self.0.lock().expect("no fuzz target goes on after a panic")
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut files = self.files();
        let file = match (files.get(path), mode) {
            (Some(_), OpenMode::Create) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(file), _) => Arc::clone(file),
            (None, OpenMode::Create) => Arc::clone(files.entry(path.to_owned()).or_default()),
            (None, _) => return Err(missing()),
        };
        Ok(Box::new(MemoryFile(file)))
    }

    fn create_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        let files = self.files();
        let listed: Vec<Listed> = files
            .iter()
            .filter(|(file, _)| file.parent() == Some(path))
            .filter_map(|(file, content)| {
                let name = file.file_name()?.to_str()?.to_owned();
                let bytes = content.lock().ok()?.len() as u64;
                Some(Listed {
                    name,
                    bytes,
                    modified_ns: 0,
                })
            })
            .collect();
        if listed.is_empty() {
            Err(missing())
        } else {
            Ok(listed)
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files();
        let file = files.remove(from).ok_or_else(missing)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.files().remove(path).map(drop).ok_or_else(missing)
    }

    fn remove_folder(&self, _: &Path) -> io::Result<()> {
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
    fn content(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().expect("no fuzz target goes on after a panic")
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

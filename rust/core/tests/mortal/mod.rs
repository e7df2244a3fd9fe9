//! A disk that dies: from then on nothing changes any more, nothing leaves a FIFO, and the worker above does not notice. So
//! whatever it does afterwards, it leaves what it would have left had it been killed.
#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use logboom_core::disk::{Disk, DiskFile, Listed, OpenMode, SystemDisk};

/// What all files of the disk share.
#[derive(Debug)]
struct Life {
    /// Changes that are still made.
    changes: AtomicI64,
    /// Reserves that are still granted.
    reserves: AtomicI64,
    refuses_cuts: AtomicBool,
    fails_syncs: AtomicBool,
    /// No space is reserved before a segment is removed.
    is_full: AtomicBool,
    free_bytes: AtomicU64,
    /// What every change of the store ends with; 0: it is made.
    errno: AtomicI32,
    reads: AtomicUsize,
}

impl Life {
    /// Whether a change is still made.
    fn spend(&self) -> bool {
        self.changes.fetch_sub(1, Ordering::SeqCst) > 0
    }

    fn is_over(&self) -> bool {
        self.changes.load(Ordering::SeqCst) <= 0
    }

    fn refuse(&self, is_store: bool) -> io::Result<()> {
        match self.errno.load(Ordering::SeqCst) {
            errno if errno != 0 && is_store => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        }
    }
}

/// The disk. Nothing is synced: only a power cut would tell.
#[derive(Clone, Debug)]
pub(crate) struct MortalDisk(Arc<Life>);

impl Default for MortalDisk {
    fn default() -> Self {
        Self(Arc::new(Life {
            changes: AtomicI64::new(i64::MAX),
            reserves: AtomicI64::new(i64::MAX),
            refuses_cuts: AtomicBool::new(false),
            fails_syncs: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            free_bytes: AtomicU64::new(u64::MAX),
            errno: AtomicI32::new(0),
            reads: AtomicUsize::new(0),
        }))
    }
}

impl MortalDisk {
    /// So many changes are still made.
    pub(crate) fn die_after(&self, changes: i64) {
        self.0.changes.store(changes, Ordering::SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.is_over()
    }

    /// Nothing is cut, and no facts are written.
    pub(crate) fn refuse_cuts(&self) {
        self.0.refuses_cuts.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_refusing(&self) -> bool {
        self.0.refuses_cuts.load(Ordering::SeqCst)
    }

    /// Space is reserved so many times, then the disk is full.
    pub(crate) fn be_full_after(&self, reserves: i64) {
        self.0.reserves.store(reserves, Ordering::SeqCst);
    }

    /// The disk is full until a segment is removed.
    pub(crate) fn be_full_until_a_segment_goes(&self) {
        self.0.is_full.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.is_full.load(Ordering::SeqCst)
    }

    /// So much is free, whatever is removed.
    pub(crate) fn set_free_bytes(&self, bytes: u64) {
        self.0.free_bytes.store(bytes, Ordering::SeqCst);
    }

    /// Syncing a segment fails, or not any more.
    pub(crate) fn fail_syncs(&self, fails: bool) {
        self.0.fails_syncs.store(fails, Ordering::SeqCst);
    }

    /// Every change in the store fails with this error number from now on; 0: none does. Files elsewhere are on other disks.
    pub(crate) fn refuse_with(&self, errno: i32) {
        self.0.errno.store(errno, Ordering::SeqCst);
    }

    /// How often a file was read.
    pub(crate) fn reads(&self) -> usize {
        self.0.reads.load(Ordering::SeqCst)
    }
}

fn is_in_store(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "data")
}

#[derive(Debug)]
struct MortalFile {
    life: Arc<Life>,
    is_in_store: bool,
    is_cut: bool,
    /// None: the file was made after the end.
    file: Option<Box<dyn DiskFile>>,
    /// What was written after the end, and where: whoever wrote it reads it.
    dreamt: Mutex<Vec<(u64, Vec<u8>)>>,
}

impl Disk for MortalDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let is_in_store = is_in_store(path);
        if mode != OpenMode::Read {
            self.0.refuse(is_in_store)?;
        }
        let is_segment = path.extension().is_some_and(|suffix| suffix == "zst");
        // Not the name of what is kept of damage.
        let is_number =
            |stem: &str| stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let is_written_anew =
            path.extension().is_some_and(|suffix| suffix == "tmp") && stem.is_some_and(is_number);
        let is_cut = is_segment || is_written_anew || path.ends_with("container.tmp");
        if mode == OpenMode::Create && is_cut && self.is_refusing() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let file = if mode != OpenMode::Create || self.0.spend() {
            Some(SystemDisk.open(path, mode)?)
        } else {
            None
        };
        Ok(Box::new(MortalFile {
            life: Arc::clone(&self.0),
            is_in_store,
            is_cut,
            file,
            dreamt: Mutex::default(),
        }))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        if self.is_dead() {
            return Ok(());
        }
        SystemDisk.create_folder(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        SystemDisk.list(path)
    }

    fn changed_ns(&self, path: &Path) -> io::Result<i64> {
        SystemDisk.changed_ns(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.refuse(is_in_store(to))?;
        if self.0.spend() {
            SystemDisk.rename(from, to)?;
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.refuse(is_in_store(path))?;
        if self.0.spend() {
            SystemDisk.remove_file(path)?;
            if path.extension().is_some_and(|suffix| suffix == "zst") {
                self.0.is_full.store(false, Ordering::SeqCst);
            }
        }
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        if self.0.spend() {
            SystemDisk.remove_folder(path)?;
        }
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.0.free_bytes.load(Ordering::SeqCst))
    }
}

impl DiskFile for MortalFile {
    fn bytes(&self) -> io::Result<u64> {
        let real = self.file.as_ref().map_or(Ok(0), |file| file.bytes())?;
        let dreamt = self.dreamt.lock().unwrap();
        let ends = dreamt.iter().map(|(at, bytes)| at + bytes.len() as u64);
        Ok(ends.fold(real, u64::max))
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.life.reads.fetch_add(1, Ordering::SeqCst);
        let dreamt = self.dreamt.lock().unwrap();
        match &self.file {
            Some(file) if dreamt.is_empty() => return file.read_exact_at(buffer, offset),
            _ => buffer.fill(0),
        }
        for (at, bytes) in dreamt.iter() {
            for (byte, at) in bytes.iter().zip(*at..) {
                let place = at
                    .checked_sub(offset)
                    .and_then(|at| usize::try_from(at).ok());
                if let Some(found) = place.and_then(|place| buffer.get_mut(place)) {
                    *found = *byte;
                }
            }
        }
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.life.refuse(self.is_in_store)?;
        if self.is_cut && self.life.refuses_cuts.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        match &self.file {
            Some(file) if self.life.spend() => {
                // The last change comes half.
                if !self.life.is_over() {
                    return file.write_all_at(bytes, offset);
                }
                file.write_all_at(bytes.get(..bytes.len() / 2).unwrap_or_default(), offset)?;
            }
            _ => {}
        }
        self.dreamt.lock().unwrap().push((offset, bytes.to_vec()));
        Ok(())
    }

    fn splice_from(&self, pipe: BorrowedFd<'_>, offset: u64, most: usize) -> io::Result<usize> {
        self.life.refuse(self.is_in_store)?;
        // What is in a FIFO at the end stays there.
        match &self.file {
            Some(file) if !self.life.is_over() => {
                let taken = file.splice_from(pipe, offset, most)?;
                self.life.spend();
                Ok(taken)
            }
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn reserve(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.life.refuse(self.is_in_store)?;
        let is_full = self.life.is_full.load(Ordering::SeqCst);
        if is_full || self.life.reserves.fetch_sub(1, Ordering::SeqCst) <= 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        match &self.file {
            Some(file) => file.reserve(offset, bytes),
            None => Ok(()),
        }
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.life.refuse(self.is_in_store)?;
        match &self.file {
            Some(file) if self.life.spend() => file.truncate(bytes),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> io::Result<bool> {
        self.file.as_ref().map_or(Ok(true), |file| file.lock())
    }

    fn sync(&self) -> io::Result<()> {
        if self.is_cut && self.life.fails_syncs.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        Ok(())
    }
}

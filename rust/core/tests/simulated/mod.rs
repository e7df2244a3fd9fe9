//! A disk in memory that writes down every change, so that the power can be cut behind each of them.
//!
//! It is no kinder than POSIX: what was written reaches the disk when its file was synced, and a name when its folder was. Until
//! then any part may be there, in any order: names without content, sizes without bytes, later writes without earlier ones.
//! A FIFO is a real one; `splice_from` reads it.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use logboom_core::disk::{Disk, DiskFile, Listed, OpenMode};
use rustix::io::Errno;

/// The number of a start of the machine, as the core has it.
pub fn boot_id(boot: u32) -> [u8; 16] {
    let [a, b, c, d] = boot.to_be_bytes();
    let rest = [
        0x89, 0xab, 0x4c, 0xde, 0x8f, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd,
    ];
    let mut id = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    id[4..].copy_from_slice(&rest);
    id
}

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What a disk writes at once, whatever becomes of the power.
const SECTOR_BYTES: usize = 512;

/// All files were changed at about this time.
const CHANGED_NS: i64 = 1_700_000_000_000_000_000;

/// The number of the folder in which all others are.
const ROOT: usize = 0;

/// What happened to the disk, in order. Files and folders are numbers, which do not come again.
#[derive(Clone, Debug)]
pub enum Change {
    Create {
        folder: usize,
        name: String,
        number: usize,
        is_folder: bool,
    },
    Rename {
        from: (usize, String),
        to: (usize, String),
        number: usize,
    },
    Remove {
        folder: usize,
        name: String,
        number: usize,
    },
    Write {
        number: usize,
        offset: usize,
        bytes: Arc<[u8]>,
    },
    Truncate {
        number: usize,
        bytes: usize,
    },
    /// The disk may write a file from now on, as it may at any time.
    BeginWriting(usize),
    /// The content of a file has reached the disk.
    Sync(usize),
    /// It has not, and what was written until then never will, although a later sync may say so.
    FailSync(usize),
    /// The names in a folder have.
    SyncFolder(usize),
    /// The test has noted something.
    Mark(usize),
}

/// Files and folders at one moment.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    files: BTreeMap<usize, Arc<Vec<u8>>>,
    folders: BTreeMap<usize, BTreeMap<String, usize>>,
}

impl Tree {
    fn new() -> Self {
        let mut tree = Self::default();
        tree.folders.insert(ROOT, BTreeMap::new());
        tree
    }

    pub fn find(&self, path: &Path) -> io::Result<usize> {
        let mut number = ROOT;
        for part in path.components().skip(1) {
            let name = part.as_os_str().to_str().unwrap();
            let folder = self.folders.get(&number).ok_or(Errno::NOTDIR)?;
            number = *folder.get(name).ok_or(Errno::NOENT)?;
        }
        Ok(number)
    }

    fn split(&self, path: &Path) -> io::Result<(usize, String)> {
        let folder = self.find(path.parent().unwrap())?;
        let name = path.file_name().unwrap().to_str().unwrap();
        Ok((folder, name.to_owned()))
    }

    fn content(&mut self, number: usize) -> &mut Vec<u8> {
        Arc::make_mut(self.files.entry(number).or_default())
    }

    fn names(&mut self, folder: usize) -> &mut BTreeMap<String, usize> {
        self.folders.entry(folder).or_default()
    }

    /// The files in a folder.
    pub fn names_in(&self, folder: usize) -> HashSet<usize> {
        self.folders[&folder].values().copied().collect()
    }

    fn write(&mut self, number: usize, offset: usize, bytes: &[u8]) {
        let content = self.content(number);
        content.resize(content.len().max(offset + bytes.len()), 0);
        content[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Create {
                folder,
                name,
                number,
                is_folder,
            } => {
                if *is_folder {
                    self.names(*number);
                } else {
                    self.content(*number);
                }
                self.names(*folder).insert(name.clone(), *number);
            }
            Change::Rename { from, to, number } => {
                if self.names(from.0).get(&from.1) == Some(number) {
                    self.names(from.0).remove(&from.1);
                }
                self.names(to.0).insert(to.1.clone(), *number);
            }
            Change::Remove {
                folder,
                name,
                number,
            } => {
                if self.names(*folder).get(name) == Some(number) {
                    self.names(*folder).remove(name);
                }
            }
            Change::Write {
                number,
                offset,
                bytes,
            } => self.write(*number, *offset, bytes),
            Change::Truncate { number, bytes } => self.content(*number).resize(*bytes, 0),
            Change::BeginWriting(_)
            | Change::Sync(_)
            | Change::FailSync(_)
            | Change::SyncFolder(_)
            | Change::Mark(_) => {}
        }
    }

    /// Removes a folder and all in it.
    pub fn forget(&mut self, path: &Path) {
        if let Ok((folder, name)) = self.split(path) {
            self.names(folder).remove(&name);
        }
    }

    /// A tree that has one file of this one.
    pub fn only(&self, number: usize, path: &Path) -> Self {
        let disk = SimulatedDisk::with_folder(path.parent().unwrap());
        let mut tree = disk.tree();
        let (folder, name) = tree.split(path).unwrap();
        tree.names(folder).insert(name, number);
        tree.files.insert(number, Arc::clone(&self.files[&number]));
        tree
    }

    pub fn file(&self, number: usize) -> &[u8] {
        &self.files[&number]
    }
}

/// Numbers that look random and are the same in each run.
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % (sides as u64)).unwrap()
    }
}

/// What of the changes that were not synced the disk has when the power is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// No cut: the worker was killed.
    None,
    Kept,
    Dropped,
    /// Names up to some moment; of each write some sectors.
    Torn,
    /// Any names and any writes, whatever their order, and sizes without content.
    Subset,
}

pub const CUTS: [Cut; 5] = [Cut::None, Cut::Kept, Cut::Dropped, Cut::Torn, Cut::Subset];

/// What is on the disk for sure, and what may be.
#[derive(Clone, Debug)]
pub struct Power {
    durable: Tree,
    pending: Vec<Change>,
    /// Writes that a sync has failed for, among the pending ones.
    failed: HashMap<usize, usize>,
    pub live: Tree,
}

impl Power {
    pub fn new(durable: Tree) -> Self {
        Self {
            live: durable.clone(),
            durable,
            pending: Vec::new(),
            failed: HashMap::new(),
        }
    }

    pub fn advance(&mut self, change: &Change) {
        self.live.apply(change);
        let is_synced = |pending: &Change| match (change, pending) {
            (
                Change::Sync(synced),
                Change::Write { number, .. } | Change::Truncate { number, .. },
            ) => synced == number,
            (
                Change::SyncFolder(synced),
                Change::Create { folder, .. }
                | Change::Remove { folder, .. }
                | Change::Rename {
                    to: (folder, _), ..
                },
            ) => synced == folder,
            _ => false,
        };
        match change {
            Change::Sync(_) | Change::SyncFolder(_) => {
                let durable = &mut self.durable;
                let mut failed = self.failed.clone();
                self.pending.retain(|pending| {
                    if !is_synced(pending) {
                        return true;
                    }
                    if let Change::Write { number, .. } | Change::Truncate { number, .. } = pending
                    {
                        let left = failed.entry(*number).or_default();
                        if *left > 0 {
                            *left -= 1;
                            return true;
                        }
                    }
                    durable.apply(pending);
                    false
                });
            }
            Change::FailSync(failed) => {
                let writes = self.pending.iter().filter(|pending| {
                    matches!(pending, Change::Write { number, .. } | Change::Truncate { number, .. } if number == failed)
                });
                self.failed.insert(*failed, writes.count());
            }
            Change::BeginWriting(_) | Change::Mark(_) => {}
            _ => self.pending.push(change.clone()),
        }
        // Whatever has a name is at least empty.
        if let Change::Create {
            number, is_folder, ..
        } = change
        {
            if *is_folder {
                self.durable.names(*number);
            } else {
                self.durable.content(*number);
            }
        }
    }

    /// What is found afterwards.
    pub fn cut(&self, cut: Cut, dice: &mut Dice) -> Tree {
        let mut tree = self.durable.clone();
        let named = dice.roll(self.pending.len() + 1);
        for (index, change) in self.pending.iter().enumerate() {
            match (cut, change) {
                (Cut::None | Cut::Kept, _) => tree.apply(change),
                (Cut::Dropped, _) => {}
                (
                    Cut::Torn,
                    Change::Write {
                        number,
                        offset,
                        bytes,
                    },
                ) => {
                    tear(&mut tree, *number, *offset, bytes, dice);
                }
                (Cut::Torn, _) => {
                    if index < named {
                        tree.apply(change);
                    }
                }
                (
                    Cut::Subset,
                    Change::Write {
                        number,
                        offset,
                        bytes,
                    },
                ) => match dice.roll(3) {
                    0 => tree.apply(change),
                    1 => {
                        let content = tree.content(*number);
                        content.resize(content.len().max(offset + bytes.len()), 0);
                    }
                    _ => {}
                },
                (Cut::Subset, _) => {
                    if dice.roll(2) == 0 {
                        tree.apply(change);
                    }
                }
            }
        }
        tree
    }
}

/// Writes some sectors of a write; in place of the others there is what was there, zeros or noise.
fn tear(tree: &mut Tree, number: usize, offset: usize, bytes: &[u8], dice: &mut Dice) {
    let fill = [0, 0, 0xa5][dice.roll(3)];
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes
            .len()
            .min(at + SECTOR_BYTES - (offset + at) % SECTOR_BYTES);
        let is_new = tree.content(number).len() <= offset + at;
        match dice.roll(3) {
            0 => tree.write(number, offset + at, &bytes[at..end]),
            1 if is_new => tree.write(number, offset + at, &vec![fill; end - at]),
            _ => {}
        }
        at = end;
    }
}

/// What a call does, as far as its errors depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Open,
    Create,
    CreateFolder,
    List,
    Rename,
    Remove,
    SyncFolder,
    FreeBytes,
    Bytes,
    Read,
    Write,
    Splice,
    Reserve,
    Truncate,
    Lock,
    Sync,
}

impl Call {
    /// The errors that it can have, by its manual page.
    pub fn errors(self) -> &'static [Errno] {
        match self {
            Self::Open => &[Errno::MFILE, Errno::IO, Errno::ACCESS],
            Self::Create | Self::CreateFolder => &[
                Errno::NOSPC,
                Errno::MFILE,
                Errno::IO,
                Errno::ROFS,
                Errno::DQUOT,
            ],
            Self::List => &[Errno::MFILE, Errno::IO],
            Self::Rename | Self::Remove => &[Errno::IO, Errno::ROFS, Errno::NOSPC],
            Self::SyncFolder | Self::Sync => &[Errno::IO, Errno::NOSPC, Errno::DQUOT],
            // The standard library tries reads and writes again after EINTR.
            Self::FreeBytes | Self::Bytes | Self::Read => &[Errno::IO],
            Self::Write | Self::Truncate => &[Errno::NOSPC, Errno::IO, Errno::ROFS, Errno::DQUOT],
            Self::Reserve => &[Errno::NOSPC, Errno::IO, Errno::ROFS, Errno::INTR],
            Self::Splice => &[Errno::NOSPC, Errno::IO, Errno::AGAIN, Errno::INTR],
            Self::Lock => &[Errno::NOLCK, Errno::INTR],
        }
    }
}

/// A call that fails once.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// Which one, counted from 0.
    pub at: usize,
    /// Which of its errors.
    pub error: usize,
}

#[derive(Debug)]
struct World {
    tree: Tree,
    changes: Vec<Change>,
    /// Where each file was made.
    paths: BTreeMap<usize, PathBuf>,
    locked: HashSet<usize>,
    next_number: usize,
    boot_id: String,
    is_full: bool,
    calls: Vec<(Call, PathBuf)>,
    failure: Option<Failure>,
    failed: Option<(Call, PathBuf, Errno)>,
}

/// A test that has panicked says so itself.
fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The disk.
#[derive(Clone, Debug)]
pub struct SimulatedDisk(Arc<Mutex<World>>);

#[derive(Debug)]
struct SimulatedFile {
    world: Arc<Mutex<World>>,
    number: usize,
    path: PathBuf,
    has_lock: Mutex<bool>,
}

impl SimulatedDisk {
    /// A disk that holds this; `boot` tells one start of the machine from another.
    pub fn new(tree: Tree, boot: u32) -> Self {
        let next = tree.files.keys().chain(tree.folders.keys()).max();
        let next_number = next.map_or(1, |last| last + 1);
        let mut world = World {
            tree,
            changes: Vec::new(),
            paths: BTreeMap::new(),
            locked: HashSet::new(),
            next_number,
            boot_id: format!("{boot:08x}-89ab-4cde-8f01-23456789abcd\n"),
            is_full: false,
            calls: Vec::new(),
            failure: None,
            failed: None,
        };
        world.note_paths(ROOT, Path::new("/"));
        Self(Arc::new(Mutex::new(world)))
    }

    /// An empty disk with one folder.
    pub fn with_folder(path: &Path) -> Self {
        let disk = Self::new(Tree::new(), 1);
        disk.create_folder(path).unwrap();
        let mut world = disk.world();
        world.changes.clear();
        world.calls.clear();
        drop(world);
        disk
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.0)
    }

    /// The disk is full, or not any more.
    pub fn set_full(&self, is_full: bool) {
        self.world().is_full = is_full;
    }

    /// A call is to fail once.
    pub fn fail(&self, failure: Failure) {
        self.world().failure = Some(failure);
    }

    /// The call that has failed.
    pub fn failed(&self) -> Option<(Call, PathBuf, Errno)> {
        self.world().failed.clone()
    }

    pub fn calls(&self) -> Vec<(Call, PathBuf)> {
        self.world().calls.clone()
    }

    pub fn mark(&self, mark: usize) {
        self.world().changes.push(Change::Mark(mark));
    }

    pub fn tree(&self) -> Tree {
        self.world().tree.clone()
    }

    /// The names in a folder; none where there is no folder.
    pub fn names(&self, folder: &Path) -> Vec<String> {
        let tree = self.tree();
        let names = tree
            .find(folder)
            .ok()
            .and_then(|found| tree.folders.get(&found));
        names.map_or_else(Vec::new, |names| names.keys().cloned().collect())
    }

    /// What has happened, and where each file was made.
    pub fn recorded(&self) -> (Vec<Change>, BTreeMap<usize, PathBuf>) {
        let world = self.world();
        (world.changes.clone(), world.paths.clone())
    }

    /// How often a file with this suffix has been synced.
    pub fn syncs(&self, suffix: &str) -> usize {
        let world = self.world();
        let is_it = |change: &&Change| match change {
            Change::Sync(number) => world.paths[number]
                .to_str()
                .is_some_and(|path| path.ends_with(suffix)),
            _ => false,
        };
        world.changes.iter().filter(is_it).count()
    }
}

impl World {
    fn note_paths(&mut self, folder: usize, path: &Path) {
        for (name, number) in self.tree.folders[&folder].clone() {
            let path = path.join(name);
            if self.tree.folders.contains_key(&number) {
                self.note_paths(number, &path);
            } else {
                self.paths.insert(number, path);
            }
        }
    }

    fn change(&mut self, change: Change) {
        self.tree.apply(&change);
        self.changes.push(change);
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let number = self.tree.find(path)?;
        let (folder, name) = self.tree.split(path)?;
        self.change(Change::Remove {
            folder,
            name,
            number,
        });
        Ok(())
    }

    /// Counts a call; the one that is to fail fails.
    fn call(&mut self, call: Call, path: &Path) -> io::Result<()> {
        let index = self.calls.len();
        self.calls.push((call, path.to_owned()));
        if let Some(failure) = self.failure.filter(|failure| failure.at == index) {
            let errors = call.errors();
            let errno = errors[failure.error % errors.len()];
            self.failed = Some((call, path.to_owned(), errno));
            return Err(errno.into());
        }
        Ok(())
    }

    fn check_room(&self) -> io::Result<()> {
        if self.is_full {
            return Err(Errno::NOSPC.into());
        }
        Ok(())
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.world();
        let call = if mode == OpenMode::Create {
            Call::Create
        } else {
            Call::Open
        };
        world.call(call, path)?;
        let number = if path == Path::new(BOOT_ID) {
            usize::MAX
        } else if mode == OpenMode::Create {
            let (folder, name) = world.tree.split(path)?;
            if world.tree.names(folder).contains_key(&name) {
                return Err(Errno::EXIST.into());
            }
            let number = world.next_number;
            world.next_number += 1;
            world.paths.insert(number, path.to_owned());
            world.change(Change::Create {
                folder,
                name,
                number,
                is_folder: false,
            });
            number
        } else {
            let number = world.tree.find(path)?;
            if world.tree.folders.contains_key(&number) {
                return Err(Errno::ISDIR.into());
            }
            number
        };
        Ok(Box::new(SimulatedFile {
            world: Arc::clone(&self.0),
            number,
            path: path.to_owned(),
            has_lock: Mutex::new(false),
        }))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call(Call::CreateFolder, path)?;
        let mut folder = ROOT;
        for part in path.components().skip(1) {
            let name = part.as_os_str().to_str().unwrap().to_owned();
            if let Some(number) = world.tree.names(folder).get(&name) {
                folder = *number;
                continue;
            }
            let number = world.next_number;
            world.next_number += 1;
            world.change(Change::Create {
                folder,
                name,
                number,
                is_folder: true,
            });
            folder = number;
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        let mut world = self.world();
        world.call(Call::List, path)?;
        let number = world.tree.find(path)?;
        let names = world.tree.folders.get(&number).ok_or(Errno::NOTDIR)?;
        let listed = names.iter().map(|(name, number)| {
            let content = world.tree.files.get(number);
            Listed {
                name: name.clone(),
                bytes: content.map_or(0, |content| content.len() as u64),
                modified_ns: content.map_or(0, |_| CHANGED_NS),
            }
        });
        Ok(listed.collect())
    }

    fn changed_ns(&self, _: &Path) -> io::Result<i64> {
        // Its clock stands still, so this tells nothing.
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call(Call::Rename, from)?;
        let number = world.tree.find(from)?;
        let from = world.tree.split(from)?;
        let to = world.tree.split(to)?;
        world.change(Change::Rename { from, to, number });
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call(Call::Remove, path)?;
        world.remove(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call(Call::Remove, path)?;
        let number = world.tree.find(path)?;
        if !world.tree.folders[&number].is_empty() {
            return Err(Errno::NOTEMPTY.into());
        }
        world.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call(Call::SyncFolder, path)?;
        let number = world.tree.find(path)?;
        world.change(Change::SyncFolder(number));
        Ok(())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.world().call(Call::FreeBytes, path)?;
        Ok(1 << 40)
    }
}

impl SimulatedFile {
    fn call(&self, call: Call) -> io::Result<MutexGuard<'_, World>> {
        let mut world = lock(&self.world);
        world.call(call, &self.path)?;
        Ok(world)
    }
}

impl DiskFile for SimulatedFile {
    fn bytes(&self) -> io::Result<u64> {
        let world = self.call(Call::Bytes)?;
        Ok(world.tree.file(self.number).len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let world = self.call(Call::Read)?;
        let content = if self.number == usize::MAX {
            world.boot_id.as_bytes()
        } else {
            world.tree.file(self.number)
        };
        let from = usize::try_from(offset).unwrap();
        let found = content.get(from..from + buffer.len());
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        let called = self.call(Call::Write);
        let mut world = match called {
            // Some of it may have been written before the disk refused.
            Err(error) => {
                let mut world = lock(&self.world);
                world.change(Change::Write {
                    number: self.number,
                    offset,
                    bytes: bytes[..bytes.len() / 2].into(),
                });
                return Err(error);
            }
            Ok(world) => world,
        };
        world.check_room()?;
        world.change(Change::Write {
            number: self.number,
            offset,
            bytes: bytes.into(),
        });
        Ok(())
    }

    fn splice_from(&self, pipe: BorrowedFd<'_>, offset: u64, most: usize) -> io::Result<usize> {
        let mut world = self.call(Call::Splice)?;
        let mut bytes = vec![0; most];
        let read = rustix::io::read(pipe, &mut bytes)?;
        bytes.truncate(read);
        if read > 0 {
            world.change(Change::Write {
                number: self.number,
                offset: usize::try_from(offset).unwrap(),
                bytes: bytes.into(),
            });
        }
        Ok(read)
    }

    fn reserve(&self, _: u64, _: u64) -> io::Result<()> {
        self.call(Call::Reserve)?.check_room()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.call(Call::Truncate)?.change(Change::Truncate {
            number: self.number,
            bytes: usize::try_from(bytes).unwrap(),
        });
        Ok(())
    }

    fn lock(&self) -> io::Result<bool> {
        let mut world = self.call(Call::Lock)?;
        let is_free = world.locked.insert(self.number);
        *self.has_lock.lock().unwrap() = is_free;
        Ok(is_free)
    }

    fn begin_writing(&self, _: u64) {
        lock(&self.world).change(Change::BeginWriting(self.number));
    }

    fn sync(&self) -> io::Result<()> {
        let called = self.call(Call::Sync).map(drop);
        let change = match called {
            Ok(()) => Change::Sync(self.number),
            Err(_) => Change::FailSync(self.number),
        };
        lock(&self.world).change(change);
        called
    }
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        if *self.has_lock.lock().unwrap() {
            lock(&self.world).locked.remove(&self.number);
        }
    }
}

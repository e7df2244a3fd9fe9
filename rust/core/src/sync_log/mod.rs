//! The sync log: what a power cut must not take from the journals.
//!
//! Syncing every stream's journal each second would write 8 KB to the device for each of a hundred quiet containers.
//! Instead the journal bytes of all streams that are in no synced block yet are copied into one file, and that is
//! synced once.
//!
//! ```text
//! log    = header (64 bytes: magic, boot id, life, CRC32C) | record ... | what the file held before, or zeros
//! record = life u64 | stored bytes u32 | packed bytes u32 | CRC32C u32 | items, packed or not
//! item   = length u32 | fields (42 bytes) | container id | journal bytes
//! ```
//!
//! An item stands for whole frames of one generation and says where they belong, as a generation's header page does.
//! After a start of the machine journal files prove nothing (pages may be stale or zero), so they are made anew from
//! the items; what was taken since the last record is lost. Under the same start the files are worth more, and another log is
//! begun behind those that earlier workers have left.
//!
//! A log of another start also is what tells of a power cut: a store that was closed has none.
//!
//! A log file of which everything lies in synced blocks begins again, as the next one: syncing a file that grows makes the file system
//! write down what has become of all other files, and syncing one whose blocks are there does not. For the same reason a file
//! grows by more than a record. The *life* in the header is another one then, and what has another life is no record.

mod packing;
mod records;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::disk::{
    Disk, DiskFile, OpenMode, is_missing, list_folder, numbered_name, parse_numbered_name,
};
use crate::error::{Error, Result};
use crate::journal::{BootId, GenerationHeader, write_recovered};
use packing::Packer;
pub(crate) use records::LogReader;
use records::{HEADER_BYTES, Life, encode_header, encode_record, new_life, put_item};

const SUFFIX: &str = ".sync";

/// A file is followed by another at this size or age, so that old ones can go.
pub const FILE_BYTES: u64 = 8 << 20;
const FILE_AGE: Duration = Duration::from_secs(60);

/// LIMIT: files that have begun again and wait for their turn hold no more than this many times what a file does.
const SPARE_FILES: u64 = 2;

/// A file grows by as much as it has, within these bounds, and no further than to where another follows.
const LEAST_GROWTH_BYTES: u64 = 64 << 10;
const MOST_GROWTH_BYTES: u64 = 256 << 10;

/// LIMIT: with so many bytes of items a record is written, and does not wait for the sync.
const RECORD_BYTES: usize = 1 << 20;

/// The number of a log file, when the name is that of one.
pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    parse_numbered_name(name, SUFFIX)
}

/// When entries are made to survive a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncWhen {
    /// Before anybody sees them.
    Always,
    /// Once a second.
    #[default]
    EverySecond,
    /// When the machine likes to.
    Off,
}

impl FromStr for SyncWhen {
    type Err = Error;

    /// Reads `always`, `1s` or `off`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "always" => Ok(Self::Always),
            "1s" => Ok(Self::EverySecond),
            "off" => Ok(Self::Off),
            _ => Err(Error::invalid(
                "sync",
                format!("{text:?} is not one of always, 1s, off"),
            )),
        }
    }
}

/// Where the journal bytes of an item belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The stream.
    pub container_id: String,
    /// The generation, as if it began with these bytes.
    pub header: GenerationHeader,
}

/// How far a stream is logged in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The generation.
    pub generation: u64,
    /// The session's position behind the last byte.
    pub position: u64,
}

/// A file that another has followed.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    marks: HashMap<String, Mark>,
    /// Its size, when it can begin again: this worker has written it, and no call has failed.
    sound_bytes: Option<u64>,
}

/// A file with a synced header and no record.
#[derive(Debug)]
struct Begun {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    life: Life,
    /// Its size.
    bytes: u64,
}

#[derive(Debug)]
struct Current {
    begun: Begun,
    marks: HashMap<String, Mark>,
    /// Where the next record is written.
    end: u64,
    begun_at: Instant,
    is_synced: bool,
}

/// What earlier workers have left.
#[derive(Debug)]
pub struct Found {
    folder: PathBuf,
    boot_id: BootId,
    /// The machine has started anew since a log was written.
    pub is_after_power_cut: bool,
    rebuilt: BTreeMap<(String, u64), Rebuilt>,
    /// Files of this start of the machine, and what they hold.
    ours: Vec<LogFile>,
    /// Files of which nothing will be left to do.
    others: Vec<PathBuf>,
    next_number: u64,
}

/// Appends to the newest log file.
#[derive(Debug)]
pub struct SyncLog {
    folder: PathBuf,
    boot_id: BootId,
    next_number: u64,
    /// Raised whenever all has to be logged again, because what was logged may be lost.
    epoch: u64,
    /// The names of the folders that the store is in have been synced.
    is_named: bool,
    /// How large a file becomes.
    file_bytes: u64,
    /// `None`: items are stored as they are.
    packer: Option<Packer>,
    /// Items of the next record.
    items: Vec<u8>,
    current: Option<Current>,
    /// Files that come next, in the order of their numbers.
    spare: VecDeque<Begun>,
    old: Vec<LogFile>,
}

/// A generation as the items give it.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    pub(crate) header: GenerationHeader,
    pub(crate) bytes: Vec<u8>,
}

impl Rebuilt {
    /// Adds a later item of the same generation. One that does not follow begins anew: what it skips lies in blocks.
    pub(crate) fn add(&mut self, header: GenerationHeader, bytes: &[u8]) {
        let end = self.header.start.checked_add(self.bytes.len() as u64);
        if header.session == self.header.session && end == Some(header.start) {
            self.bytes.extend_from_slice(bytes);
        } else {
            *self = Self {
                header,
                bytes: bytes.to_vec(),
            };
        }
    }
}

impl Found {
    /// Looks for the log in `folder`.
    ///
    /// # Errors
    /// The disk refused.
    pub fn look(disk: &dyn Disk, folder: &Path, boot_id: BootId) -> Result<Self> {
        let listed = list_folder(disk, folder);
        let listed = if is_missing(&listed) {
            Vec::new()
        } else {
            listed.map_err(Error::io("list", folder))?
        };
        let mut numbers: Vec<u64> = listed
            .iter()
            .filter_map(|file| parse_file_name(&file.name))
            .collect();
        numbers.sort_unstable();
        let mut found = Self {
            folder: folder.to_owned(),
            boot_id,
            is_after_power_cut: false,
            rebuilt: BTreeMap::new(),
            ours: Vec::new(),
            others: Vec::new(),
            next_number: numbers.last().map_or(0, |last| last.saturating_add(1)),
        };
        for number in numbers {
            let path = folder.join(numbered_name(number, SUFFIX));
            found.add(disk, path)?;
        }
        Ok(found)
    }

    fn add(&mut self, disk: &dyn Disk, path: PathBuf) -> Result<()> {
        let Some(mut records) = LogReader::open(disk, &path)? else {
            return Ok(());
        };
        let Some(boot_id) = records.boot_id() else {
            // It was never begun.
            self.others.push(path);
            return Ok(());
        };
        let is_ours = boot_id == self.boot_id;
        let mut marks = HashMap::new();
        while let Some((place, bytes)) = records.next_item()? {
            if is_ours {
                let mark = Mark::behind(&place, bytes);
                marks.insert(place.container_id, mark);
                continue;
            }
            let key = (place.container_id, place.header.number);
            match self.rebuilt.get_mut(&key) {
                Some(generation) => generation.add(place.header, bytes),
                None => drop(self.rebuilt.insert(
                    key,
                    Rebuilt {
                        header: place.header,
                        bytes: bytes.to_vec(),
                    },
                )),
            }
        }
        if is_ours {
            self.ours.push(LogFile::left(path, marks));
        } else {
            self.is_after_power_cut = true;
            self.others.push(path);
        }
        Ok(())
    }

    /// Makes journals anew in `containers` after a power cut, and begins a log whose files become so large: `FILE_BYTES`.
    ///
    /// # Errors
    /// The disk refused.
    pub fn begin(
        self,
        disk: &dyn Disk,
        containers: &Path,
        sync: SyncWhen,
        file_bytes: u64,
    ) -> Result<SyncLog> {
        for folder in [&*self.folder, containers] {
            disk.create_folder(folder)
                .map_err(Error::io("create", folder))?;
        }
        for ((container_id, _), generation) in &self.rebuilt {
            write_recovered(
                disk,
                &containers.join(container_id),
                &generation.header,
                &generation.bytes,
            )?;
        }
        if !self.rebuilt.is_empty() {
            disk.sync_folder(containers)
                .map_err(Error::io("sync", containers))?;
        }
        // ORDER: what earlier workers have logged under this start of the machine counts until it lies in blocks; journals are only
        // logged again at the next sync.
        let mut old = self.ours;
        let others = self.others.into_iter();
        old.extend(others.map(|path| LogFile::left(path, HashMap::new())));
        let mut log = SyncLog {
            folder: self.folder,
            boot_id: self.boot_id,
            next_number: self.next_number,
            epoch: 0,
            is_named: false,
            file_bytes,
            // Under `always` the reactor would wait for it.
            packer: (sync != SyncWhen::Always).then(Packer::new),
            items: Vec::new(),
            current: None,
            spare: VecDeque::new(),
            old,
        };
        // A disk that refuses a file can be read all the same; the old ones stand for it until there is one.
        let _ = log.begin(disk);
        // ORDER: the journals and the next log are synced before the files that tell of the power cut go.
        log.tidy(disk, |_, _| false);
        Ok(log)
    }
}

impl LogFile {
    /// One that an earlier worker has left.
    fn left(path: PathBuf, marks: HashMap<String, Mark>) -> Self {
        Self {
            path,
            marks,
            sound_bytes: None,
        }
    }
}

impl Mark {
    fn behind(place: &Place, bytes: &[u8]) -> Self {
        Self {
            generation: place.header.number,
            position: place.header.start.saturating_add(bytes.len() as u64),
        }
    }
}

impl SyncLog {
    /// Whoever has logged under another epoch has to log again.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether there is a file that grows.
    pub fn has_begun(&self) -> bool {
        self.current.is_some()
    }

    /// Begins a file, unless there is one that grows.
    ///
    /// # Errors
    /// The disk refused.
    pub fn begin(&mut self, disk: &dyn Disk) -> Result<()> {
        if self.current.is_some() {
            return Ok(());
        }
        let begun = match self.spare.pop_front() {
            Some(begun) => begun,
            None => self.create(disk)?,
        };
        if let Some(packer) = &mut self.packer {
            packer.begin().map_err(Error::io("pack for", &begun.path))?;
        }
        self.current = Some(Current {
            begun,
            marks: HashMap::new(),
            end: HEADER_BYTES as u64,
            begun_at: Instant::now(),
            is_synced: true,
        });
        Ok(())
    }

    fn create(&mut self, disk: &dyn Disk) -> Result<Begun> {
        self.sync_names(disk)?;
        let path = self.next_path();
        let mut opened = disk.open(&path, OpenMode::Create);
        if is_missing(&opened) {
            // Somebody has removed the folder.
            disk.create_folder(&self.folder)
                .map_err(Error::io("create", &self.folder))?;
            self.is_named = false;
            self.sync_names(disk)?;
            opened = disk.open(&path, OpenMode::Create);
        }
        let file = opened.map_err(Error::io("create", &path))?;
        let begun = Begun::on(file, path.clone(), HEADER_BYTES as u64, &self.boot_id);
        let begun = begun.and_then(|begun| {
            let named = disk.sync_folder(&self.folder);
            named
                .map_err(Error::io("sync", &self.folder))
                .map(|()| begun)
        });
        if begun.is_err() {
            // A full disk still takes names: without this there would be one for each try, and no header in it.
            self.remove_file(disk, LogFile::left(path, HashMap::new()));
        }
        begun
    }

    /// The name of the next file. What is left of one that was refused has its number.
    fn next_path(&mut self) -> PathBuf {
        let name = numbered_name(self.next_number, SUFFIX);
        self.next_number = self.next_number.saturating_add(1);
        self.folder.join(name)
    }

    /// ORDER: before anything in these folders counts as synced, once: an earlier worker may have been killed before it did.
    fn sync_names(&mut self, disk: &dyn Disk) -> Result<()> {
        if !self.is_named {
            let above = self.folder.ancestors().skip(1).take(2);
            for folder in above.filter(|folder| !folder.as_os_str().is_empty()) {
                disk.sync_folder(folder)
                    .map_err(Error::io("sync", folder))?;
            }
            self.is_named = true;
        }
        Ok(())
    }

    /// Adds whole frames of a stream. They survive a power cut once `sync` has succeeded.
    ///
    /// # Errors
    /// The disk refused; nothing that was logged counts any more.
    pub fn append(&mut self, disk: &dyn Disk, place: &Place, bytes: &[u8]) -> Result<()> {
        let appended = self.try_append(disk, place, bytes);
        if appended.is_err() {
            self.give_up();
        }
        appended
    }

    fn try_append(&mut self, disk: &dyn Disk, place: &Place, bytes: &[u8]) -> Result<()> {
        self.begin(disk)?;
        put_item(place, bytes, &mut self.items);
        if let Some(current) = &mut self.current {
            current.is_synced = false;
            let mark = Mark::behind(place, bytes);
            current.marks.insert(place.container_id.clone(), mark);
        }
        if self.items.len() >= RECORD_BYTES {
            self.write_record()?;
        }
        Ok(())
    }

    /// Writes what was added since the last record.
    fn write_record(&mut self) -> Result<()> {
        let items = std::mem::take(&mut self.items);
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        if items.is_empty() {
            return Ok(());
        }
        let path = current.begun.path.clone();
        encode_record(current.begun.life, items, self.packer.as_mut())
            .and_then(|record| current.write(record, self.file_bytes))
            .map_err(Error::io("append to", &path))
    }

    /// Makes all that was appended survive a power cut.
    ///
    /// # Errors
    /// The disk failed; nothing that was logged counts any more.
    pub fn sync(&mut self) -> Result<()> {
        let synced = self.try_sync();
        if synced.is_err() {
            self.give_up();
        }
        synced
    }

    fn try_sync(&mut self) -> Result<()> {
        self.write_record()?;
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        if !current.is_synced {
            let begun = &current.begun;
            begun.file.sync().map_err(Error::io("sync", &begun.path))?;
            current.is_synced = true;
        }
        if current.end >= self.file_bytes || current.begun_at.elapsed() >= FILE_AGE {
            let current = self.current.take();
            self.old.extend(current.map(Current::followed));
        }
        Ok(())
    }

    /// Lets files begin again in which nothing counts any more, as far as another tells that the store is open, or removes them.
    pub fn tidy(&mut self, disk: &dyn Disk, is_in_blocks: impl Fn(&str, Mark) -> bool) {
        if self.current.is_some() {
            for done in self.take_done(is_in_blocks) {
                self.begin_again(disk, done);
            }
        }
    }

    /// Takes the files in which nothing counts any more.
    fn take_done(&mut self, is_in_blocks: impl Fn(&str, Mark) -> bool) -> Vec<LogFile> {
        for log in &mut self.old {
            log.marks
                .retain(|container_id, mark| !is_in_blocks(container_id, *mark));
        }
        let old = std::mem::take(&mut self.old);
        let (done, old) = old.into_iter().partition(|log| log.marks.is_empty());
        self.old = old;
        done
    }

    fn begin_again(&mut self, disk: &dyn Disk, mut log: LogFile) {
        let held_bytes: u64 = self.spare.iter().map(|begun| begun.bytes).sum();
        let most_bytes = SPARE_FILES * self.file_bytes;
        let has_begun = log
            .sound_bytes
            .take()
            .filter(|bytes| held_bytes + bytes <= most_bytes)
            .is_some_and(|bytes| self.try_begin_again(disk, &mut log.path, bytes).is_ok());
        if !has_begun {
            self.remove_file(disk, log);
        }
    }

    /// ORDER: the header before the name, since the name says which of two records is later; both before a record.
    fn try_begin_again(&mut self, disk: &dyn Disk, path: &mut PathBuf, bytes: u64) -> Result<()> {
        let file = disk
            .open(path, OpenMode::Write)
            .map_err(Error::io("open", path))?;
        let mut begun = Begun::on(file, path.clone(), bytes, &self.boot_id)?;
        begun.path = self.next_path();
        disk.rename(path, &begun.path)
            .map_err(Error::io("rename", path))?;
        path.clone_from(&begun.path);
        disk.sync_folder(&self.folder)
            .map_err(Error::io("sync", &self.folder))?;
        self.spare.push_back(begun);
        Ok(())
    }

    /// A file that cannot be removed now is tried again, or removed by the next opening.
    fn remove_file(&mut self, disk: &dyn Disk, log: LogFile) {
        let removed = disk.remove_file(&log.path);
        if removed.is_err() && !is_missing(&removed) {
            self.old.push(log);
        }
    }

    /// Removes the files that wait for their turn; `false`: there are none.
    pub fn give_up_spare(&mut self, disk: &dyn Disk) -> bool {
        let spare = std::mem::take(&mut self.spare);
        let had_some = !spare.is_empty();
        for begun in spare {
            self.remove_file(disk, LogFile::left(begun.path, HashMap::new()));
        }
        had_some
    }

    /// Removes all files, when everything lies in synced blocks; those of earlier workers may still count.
    pub fn remove(mut self, disk: &dyn Disk, is_in_blocks: impl Fn(&str, Mark) -> bool) {
        for done in self.take_done(is_in_blocks) {
            self.remove_file(disk, done);
        }
        self.give_up_spare(disk);
        if let (Some(current), true) = (self.current, self.old.is_empty()) {
            // What stays makes the next opening look more closely, no more.
            let _ = disk.remove_file(&current.begun.path);
        }
    }

    /// After an error nothing more may be promised of what was logged: everything is logged again, into another file.
    fn give_up(&mut self) {
        self.epoch += 1;
        self.items.clear();
        let current = self.current.take();
        self.old
            .extend(current.map(|current| LogFile::left(current.begun.path, current.marks)));
    }
}

impl Begun {
    /// Begins in a file of this size, whatever it holds.
    ///
    /// ORDER: the header is synced before anything is kept under this start of the machine, or nothing would tell of a power cut; and
    /// before a record is written, or one of an earlier life might be found behind an earlier header.
    fn on(file: Box<dyn DiskFile>, path: PathBuf, bytes: u64, boot_id: &BootId) -> Result<Self> {
        let life = new_life()?;
        file.write_all_at(&encode_header(boot_id, life), 0)
            .map_err(Error::io("write", &path))?;
        file.sync().map_err(Error::io("sync", &path))?;
        Ok(Self {
            file,
            path,
            life,
            bytes,
        })
    }
}

impl Current {
    /// Another file follows.
    fn followed(self) -> LogFile {
        LogFile {
            path: self.begun.path,
            marks: self.marks,
            sound_bytes: Some(self.begun.bytes),
        }
    }

    fn write(&mut self, mut record: Vec<u8>, file_bytes: u64) -> io::Result<()> {
        let record_bytes = record.len();
        let end = self.end + record_bytes as u64;
        let begun = &mut self.begun;
        let growth = end
            .clamp(LEAST_GROWTH_BYTES, MOST_GROWTH_BYTES)
            .min(file_bytes.saturating_sub(end));
        if end > begun.bytes {
            record.resize(record_bytes + usize::try_from(growth).unwrap_or(0), 0);
        }
        let mut written = begun.file.write_all_at(&record, self.end);
        if written.is_err() && record.len() > record_bytes {
            // There may be room for the record alone.
            record.truncate(record_bytes);
            written = begun.file.write_all_at(&record, self.end);
        }
        written?;
        begun.bytes = begun.bytes.max(self.end + record.len() as u64);
        self.end = end;
        Ok(())
    }
}

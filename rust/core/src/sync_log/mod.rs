//! The sync log: what a power cut must not take from the journals.
//!
//! Syncing every stream's journal each second would write 8 KB to the device for each of a hundred quiet containers.
//! Instead the journal bytes of all streams that are in no synced block yet are copied into one file, and that is
//! synced once.
//!
//! ```text
//! log    = header (32 bytes: magic, boot id, CRC32C) | record ...
//! record = length u32 | CRC32C u32 | fields (42 bytes) | container id | journal bytes
//! ```
//!
//! A record stands for whole frames of one generation and says where they belong, as a generation's header page does.
//! After a start of the machine journal files prove nothing (pages may be stale or zero), so they are made anew from
//! the records; what was taken since the last record is lost. Under the same start the files are worth more, and another log is
//! begun behind those that earlier workers have left.
//!
//! A log of another start also is what tells of a power cut: a store that was closed has none.
//!
//! A log file goes when everything in it lies in synced blocks.

mod records;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::disk::{
    Disk, DiskFile, OpenMode, is_missing, list_folder, numbered_name, parse_numbered_name,
};
use crate::error::{Error, Result};
use crate::journal::{BootId, GenerationHeader, write_recovered};
pub(crate) use records::LogReader;
use records::{HEADER_BYTES, encode_header, encode_record};

const SUFFIX: &str = ".sync";

/// A file is followed by another at this size or age, so that old ones can go.
const FILE_BYTES: u64 = 8 << 20;
const FILE_AGE: Duration = Duration::from_secs(60);

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

/// Where the journal bytes of a record belong.
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

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    marks: HashMap<String, Mark>,
}

#[derive(Debug)]
struct Current {
    file: Box<dyn DiskFile>,
    log: LogFile,
    bytes: u64,
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
    current: Option<Current>,
    old: Vec<LogFile>,
}

/// A generation as the records give it.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    pub(crate) header: GenerationHeader,
    pub(crate) bytes: Vec<u8>,
}

impl Rebuilt {
    /// Adds a later record of the same generation. One that does not follow begins anew: what it skips lies in blocks.
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
            next_number: numbers.last().map_or(0, |last| last + 1),
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
        while let Some((place, bytes)) = records.next_record()? {
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
            self.ours.push(LogFile { path, marks });
        } else {
            self.is_after_power_cut = true;
            self.others.push(path);
        }
        Ok(())
    }

    /// Makes journals anew in `containers` after a power cut, and begins a log.
    ///
    /// # Errors
    /// The disk refused.
    pub fn begin(self, disk: &dyn Disk, containers: &Path) -> Result<SyncLog> {
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
        old.extend(self.others.into_iter().map(|path| LogFile {
            path,
            marks: HashMap::new(),
        }));
        let mut log = SyncLog {
            folder: self.folder,
            boot_id: self.boot_id,
            next_number: self.next_number,
            epoch: 0,
            is_named: false,
            current: None,
            old,
        };
        // A disk that refuses a file can be read all the same; the old ones stand for it until there is one.
        let _ = log.begin(disk);
        // ORDER: the journals and the next log are synced before the files that tell of the power cut go.
        log.tidy(disk, |_, _| false);
        Ok(log)
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
        let begun = self
            .sync_names(disk)
            .and_then(|()| Current::create(disk, &self.folder, self.next_number, &self.boot_id));
        match begun {
            Ok(current) => {
                self.current = Some(current);
                Ok(())
            }
            Err(error) => {
                // What is left of one that was refused has the number.
                self.next_number += 1;
                Err(error)
            }
        }
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
        let record = encode_record(place, bytes);
        self.begin(disk)?;
        let Some(current) = &mut self.current else {
            return Err(Error::Closed);
        };
        current
            .file
            .write_all_at(&record, current.bytes)
            .map_err(Error::io("append to", &current.log.path))?;
        current.bytes += record.len() as u64;
        current.is_synced = false;
        let mark = Mark::behind(place, bytes);
        current.log.marks.insert(place.container_id.clone(), mark);
        Ok(())
    }

    /// Makes all that was appended survive a power cut.
    ///
    /// # Errors
    /// The disk failed; nothing that was logged counts any more.
    pub fn sync(&mut self) -> Result<()> {
        if let Some(current) = &mut self.current {
            if !current.is_synced {
                let synced = current
                    .file
                    .sync()
                    .map_err(Error::io("sync", &current.log.path));
                if synced.is_err() {
                    self.give_up();
                    return synced;
                }
                current.is_synced = true;
            }
            if current.bytes >= FILE_BYTES || current.begun_at.elapsed() >= FILE_AGE {
                self.next_number += 1;
                self.old
                    .extend(self.current.take().map(|current| current.log));
            }
        }
        Ok(())
    }

    /// Removes files in which nothing counts any more, as far as another tells that the store is open.
    pub fn tidy(&mut self, disk: &dyn Disk, is_in_blocks: impl Fn(&str, Mark) -> bool) {
        if self.current.is_some() {
            self.remove_old(disk, is_in_blocks);
        }
    }

    fn remove_old(&mut self, disk: &dyn Disk, is_in_blocks: impl Fn(&str, Mark) -> bool) {
        self.old.retain_mut(|log| {
            log.marks
                .retain(|container_id, mark| !is_in_blocks(container_id, *mark));
            // A file that cannot be removed now is tried again, or removed by the next opening.
            !(log.marks.is_empty() && disk.remove_file(&log.path).is_ok())
        });
    }

    /// Removes all files, when everything lies in synced blocks; those of earlier workers may still count.
    pub fn remove(mut self, disk: &dyn Disk, is_in_blocks: impl Fn(&str, Mark) -> bool) {
        self.remove_old(disk, is_in_blocks);
        if let (Some(current), true) = (self.current, self.old.is_empty()) {
            // What stays makes the next opening look more closely, no more.
            let _ = disk.remove_file(&current.log.path);
        }
    }

    /// After an error nothing more may be promised of what was logged: everything is logged again, into a new file.
    fn give_up(&mut self) {
        self.epoch += 1;
        self.next_number += 1;
        self.old
            .extend(self.current.take().map(|current| current.log));
    }
}

impl Current {
    fn create(disk: &dyn Disk, folder: &Path, number: u64, boot_id: &BootId) -> Result<Self> {
        let path = folder.join(numbered_name(number, SUFFIX));
        let file = disk
            .open(&path, OpenMode::Create)
            .map_err(Error::io("create", &path))?;
        file.write_all_at(&encode_header(boot_id), 0)
            .map_err(Error::io("write", &path))?;
        // ORDER: before anything is kept under this start of the machine, or nothing would tell of a power cut.
        file.sync().map_err(Error::io("sync", &path))?;
        disk.sync_folder(folder)
            .map_err(Error::io("sync", folder))?;
        let log = LogFile {
            path,
            marks: HashMap::new(),
        };
        Ok(Self {
            file,
            log,
            bytes: HEADER_BYTES as u64,
            begun_at: Instant::now(),
            is_synced: true,
        })
    }
}

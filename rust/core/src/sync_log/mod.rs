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
//! the records; what was taken since the last record is lost. Under the same start the files are worth more, and the log
//! is only begun anew.
//!
//! A log file goes when everything in it lies in synced blocks.

mod records;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::disk::{Disk, DiskFile, OpenMode, list_folder, numbered_name, parse_numbered_name};
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

/// What was found when the log was opened.
#[derive(Debug)]
pub struct Found {
    /// The log, begun anew.
    pub log: SyncLog,
    /// It was left behind under another start of the machine.
    pub is_after_power_cut: bool,
}

/// Appends to the newest log file.
#[derive(Debug)]
pub struct SyncLog {
    folder: PathBuf,
    boot_id: BootId,
    next_number: u64,
    /// Raised whenever all has to be logged again, because what was logged may be lost.
    epoch: u64,
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
        if end == Some(header.start) {
            self.bytes.extend_from_slice(bytes);
        } else {
            *self = Self {
                header,
                bytes: bytes.to_vec(),
            };
        }
    }
}

impl SyncLog {
    /// Opens the log in `folder`: after a power cut journals are made anew in `containers`, then the old files go.
    ///
    /// # Errors
    /// The disk refused.
    pub fn open(
        disk: &dyn Disk,
        folder: &Path,
        containers: &Path,
        boot_id: BootId,
    ) -> Result<Found> {
        disk.create_folder(folder)
            .map_err(Error::io("create", folder))?;
        let listed = list_folder(disk, folder).map_err(Error::io("list", folder))?;
        let mut numbers: Vec<u64> = listed
            .iter()
            .filter_map(|file| parse_file_name(&file.name))
            .collect();
        numbers.sort_unstable();
        let mut rebuilt: BTreeMap<(String, u64), Rebuilt> = BTreeMap::new();
        let mut is_after_power_cut = false;
        for &number in &numbers {
            let path = folder.join(numbered_name(number, SUFFIX));
            let Some(mut records) = LogReader::open(disk, &path)? else {
                continue;
            };
            if records.boot_id().is_none_or(|written| written == boot_id) {
                continue;
            }
            is_after_power_cut = true;
            while let Some((place, bytes)) = records.next_record()? {
                let key = (place.container_id, place.header.number);
                match rebuilt.get_mut(&key) {
                    Some(generation) => generation.add(place.header, bytes),
                    None => drop(rebuilt.insert(
                        key,
                        Rebuilt {
                            header: place.header,
                            bytes: bytes.to_vec(),
                        },
                    )),
                }
            }
        }
        for ((container_id, _), generation) in &rebuilt {
            write_recovered(
                disk,
                &containers.join(container_id),
                &generation.header,
                &generation.bytes,
            )?;
        }
        let next_number = numbers.last().map_or(0, |last| last + 1);
        // A file is there from the beginning: its absence says that the store was closed. A disk that refuses one can be read all
        // the same, and takes no journal either; the old files stand for it until there is one.
        let current = Current::create(disk, folder, next_number, &boot_id).ok();
        // What is left of one that was refused has the number.
        let next_number = next_number + u64::from(current.is_none());
        let old = numbers.iter().map(|&number| LogFile {
            path: folder.join(numbered_name(number, SUFFIX)),
            marks: HashMap::new(),
        });
        let mut log = Self {
            folder: folder.to_owned(),
            boot_id,
            next_number,
            epoch: 0,
            current,
            old: old.collect(),
        };
        // ORDER: the journals are synced before the log that they were made from goes.
        log.remove_old(disk, |_, _| true);
        Ok(Found {
            log,
            is_after_power_cut,
        })
    }

    /// Whoever has logged under another epoch has to log again.
    pub fn epoch(&self) -> u64 {
        self.epoch
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
        let current = match &mut self.current {
            Some(current) => current,
            None => self.current.insert(Current::create(
                disk,
                &self.folder,
                self.next_number,
                &self.boot_id,
            )?),
        };
        current
            .file
            .write_all_at(&record, current.bytes)
            .map_err(Error::io("append to", &current.log.path))?;
        current.bytes += record.len() as u64;
        current.is_synced = false;
        let mark = Mark {
            generation: place.header.number,
            position: place.header.start + bytes.len() as u64,
        };
        current.log.marks.insert(place.container_id.clone(), mark);
        Ok(())
    }

    /// Makes all that was appended survive a power cut, and removes files in which nothing counts any more.
    ///
    /// # Errors
    /// The disk failed; nothing that was logged counts any more.
    pub fn sync(
        &mut self,
        disk: &dyn Disk,
        is_in_blocks: impl Fn(&str, Mark) -> bool,
    ) -> Result<()> {
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
        self.remove_old(disk, is_in_blocks);
        Ok(())
    }

    /// Removes files in which nothing counts any more, as far as another tells that the store is open.
    fn remove_old(&mut self, disk: &dyn Disk, is_in_blocks: impl Fn(&str, Mark) -> bool) {
        let has_other = self.current.is_some();
        self.old.retain_mut(|log| {
            log.marks
                .retain(|container_id, mark| !is_in_blocks(container_id, *mark));
            // A file that cannot be removed now is removed later, or by the next opening.
            !(has_other && log.marks.is_empty() && disk.remove_file(&log.path).is_ok())
        });
    }

    /// Removes all files: everything lies in synced blocks.
    pub fn remove(self, disk: &dyn Disk) {
        let current = self.current.map(|current| current.log);
        for log in current.into_iter().chain(self.old) {
            // What stays makes the next opening look more closely, no more.
            let _ = disk.remove_file(&log.path);
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
            is_synced: false,
        })
    }
}

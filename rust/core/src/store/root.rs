//! The data folder itself: its format, its lock, where new streams begin, and how many power cuts it has seen.
//!
//! One that a newer version has written is not touched, not even by a lock: what an older version may do there, nobody can know.
//! Its place is taken by a folder beside it, until a version runs that reads it.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, DiskFile, OpenMode, is_missing, read_file, replace_file};
use crate::error::{Error, Result};
use crate::stream::LOSS_JUMP;

/// The format of everything below the data folder. A change that an older version would misread raises it.
const FORMAT: u32 = 1;

pub(super) const FORMAT_FILE: &str = "format";
const FIRST_SEQUENCE_FILE: &str = "first-sequence";
const POWER_CUTS_FILE: &str = "power-cuts";

const FORMAT_PREFIX: &str = "logboom store ";

/// LIMIT: neither the format file nor one that holds a number is ever longer.
const MAX_SMALL_FILE_BYTES: u64 = 64;

/// Follows the data folder's name in that of the folder beside it, with the format's number behind it.
const BESIDE: &str = "-format";

/// An opened data folder.
#[derive(Debug)]
pub(super) struct Root {
    /// The data folder, or the one beside it.
    folder: PathBuf,
    /// Why it is the one beside it.
    newer: Option<Error>,
    first_sequence: u64,
    power_cuts: u64,
    _lock: Box<dyn DiskFile>,
}

impl Root {
    /// Opens the data folder, or the one beside it when a newer version has written the data folder.
    pub(super) fn open(data: &Path, disk: &dyn Disk) -> Result<Self> {
        match Self::open_folder(data, disk) {
            Err(newer @ Error::UnsupportedFormat { .. }) => {
                let mut root = Self::open_folder(&beside(data), disk)?;
                root.newer = Some(newer);
                Ok(root)
            }
            opened => opened,
        }
    }

    fn open_folder(data: &Path, disk: &dyn Disk) -> Result<Self> {
        disk.create_folder(data)
            .map_err(Error::io("create", data))?;
        let format_path = data.join(FORMAT_FILE);
        // ORDER: before anything is made in the folder.
        check_format(&format_path, disk)?;
        let lock = lock(&data.join("lock"), disk)?;
        // Whoever held the lock until now may have been another version.
        if !check_format(&format_path, disk)? {
            write_format(data, disk)?;
        }
        let first_sequence = read_first_sequence(data, disk).map_err(|(_, error)| error)?;
        let power_cuts = read_power_cuts(data, disk).map_err(|(_, error)| error)?;
        Ok(Self {
            folder: data.to_owned(),
            newer: None,
            first_sequence,
            power_cuts,
            _lock: lock,
        })
    }

    /// Where everything is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What to say when a newer version has written the data folder.
    pub(super) fn newer(&self) -> Option<String> {
        self.newer.as_ref().map(|newer| {
            format!(
                "{newer}, so what it holds is left as it is and cannot be read; new entries are kept in {} until a version runs that reads it",
                self.folder.display()
            )
        })
    }

    pub(super) fn first_sequence(&self) -> u64 {
        self.first_sequence
    }

    /// How many power cuts the store has seen.
    pub(super) fn power_cuts(&self) -> u64 {
        self.power_cuts
    }

    /// Counts a power cut. Each stream has to look what it took, whenever it is opened; and of one that has lost even its folder
    /// only where new streams begin can tell.
    pub(super) fn count_power_cut(&mut self, disk: &dyn Disk) -> Result<()> {
        let sequence = self.first_sequence.saturating_add(LOSS_JUMP);
        write_first_sequence(&self.folder, sequence, disk)?;
        self.raise_first_sequence(sequence);
        let power_cuts = self.power_cuts.saturating_add(1);
        write_power_cuts(&self.folder, power_cuts, disk)?;
        self.power_cuts = power_cuts;
        Ok(())
    }

    /// New streams begin at `sequence` or above from now on, which is written down already.
    pub(super) fn raise_first_sequence(&mut self, sequence: u64) {
        self.first_sequence = self.first_sequence.max(sequence);
    }
}

/// The folder that a store is read from: the data folder, or the one beside it when a newer version has written the data
/// folder and there is one. Nothing is made.
pub(super) fn readable_folder(data: &Path, disk: &dyn Disk) -> Result<PathBuf> {
    let has_format = |folder: &Path| check_format(&folder.join(FORMAT_FILE), disk);
    let beside = beside(data);
    match has_format(data) {
        Ok(true) => Ok(data.to_owned()),
        Ok(false) => Err(no_store(data)),
        Err(Error::UnsupportedFormat { .. }) if has_format(&beside)? => Ok(beside),
        Err(error) => Err(error),
    }
}

/// What to say of a folder that is no store.
pub(super) fn no_store(data: &Path) -> Error {
    Error::invalid(
        "data",
        format!("{} holds no store of Logboom", data.display()),
    )
}

/// Says which format the folder has.
pub(super) fn write_format(data: &Path, disk: &dyn Disk) -> Result<()> {
    let path = data.join(FORMAT_FILE);
    let content = format!("{FORMAT_PREFIX}{FORMAT}\n");
    replace_file(disk, &path, content.as_bytes(), true).map_err(Error::io("write", &path))
}

/// Where new streams begin. An error comes with the file that it is about.
pub(super) fn read_first_sequence(
    data: &Path,
    disk: &dyn Disk,
) -> std::result::Result<u64, (PathBuf, Error)> {
    read_number(data.join(FIRST_SEQUENCE_FILE), disk)
}

/// Says where new streams begin.
pub(super) fn write_first_sequence(data: &Path, sequence: u64, disk: &dyn Disk) -> Result<()> {
    write_number(&data.join(FIRST_SEQUENCE_FILE), sequence, disk)
}

/// How many power cuts the store has seen. An error comes with the file that it is about.
pub(super) fn read_power_cuts(
    data: &Path,
    disk: &dyn Disk,
) -> std::result::Result<u64, (PathBuf, Error)> {
    read_number(data.join(POWER_CUTS_FILE), disk)
}

/// Says how many power cuts the store has seen.
pub(super) fn write_power_cuts(data: &Path, power_cuts: u64, disk: &dyn Disk) -> Result<()> {
    write_number(&data.join(POWER_CUTS_FILE), power_cuts, disk)
}

/// The number that a file holds; 0 where there is none.
fn read_number(path: PathBuf, disk: &dyn Disk) -> std::result::Result<u64, (PathBuf, Error)> {
    let content = match read_file(disk, &path, MAX_SMALL_FILE_BYTES) {
        Ok(content) => content,
        Err(error) => {
            let error = Error::io("read", &path)(error);
            return Err((path, error));
        }
    };
    let Some(content) = content else {
        return Ok(0);
    };
    let number = std::str::from_utf8(&content)
        .ok()
        .and_then(|text| text.trim_end().parse().ok());
    number.ok_or_else(|| {
        let error = Error::corrupt(&path, 0, "it holds no number");
        (path, error)
    })
}

fn write_number(path: &Path, number: u64, disk: &dyn Disk) -> Result<()> {
    let content = format!("{number}\n");
    replace_file(disk, path, content.as_bytes(), true).map_err(Error::io("write", path))
}

pub(super) fn lock(path: &Path, disk: &dyn Disk) -> Result<Box<dyn DiskFile>> {
    let created = match disk.open(path, OpenMode::Create) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.open(path, OpenMode::Write)
        }
        created => created,
    };
    let opened = match created {
        // What is there can be read; where nothing is, the refusal tells more than that.
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            let there = disk.open(path, OpenMode::Read);
            if is_missing(&there) {
                Err(error)
            } else {
                there
            }
        }
        opened => opened,
    };
    let file = opened.map_err(Error::io("open", path))?;
    match file.lock() {
        Ok(true) => Ok(file),
        Ok(false) => Err(Error::Locked {
            path: path.to_owned(),
        }),
        Err(error) => Err(Error::io("lock", path)(error)),
    }
}

fn beside(data: &Path) -> PathBuf {
    // The components, since a name may end with a slash.
    let mut name = data.components().as_path().as_os_str().to_owned();
    name.push(format!("{BESIDE}{FORMAT}"));
    name.into()
}

/// Whether the folder has a format, which this version can read.
pub(super) fn check_format(path: &Path, disk: &dyn Disk) -> Result<bool> {
    let Some(content) =
        read_file(disk, path, MAX_SMALL_FILE_BYTES).map_err(Error::io("read", path))?
    else {
        return Ok(false);
    };
    let found = std::str::from_utf8(&content)
        .ok()
        .and_then(|text| text.trim_end().strip_prefix(FORMAT_PREFIX)?.parse().ok());
    match found {
        Some(found) if found <= FORMAT => Ok(true),
        Some(found) => Err(Error::UnsupportedFormat {
            path: path.to_owned(),
            found,
            newest: FORMAT,
        }),
        None => Err(Error::corrupt(
            path,
            0,
            "it names no format of a Logboom store",
        )),
    }
}

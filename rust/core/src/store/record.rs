//! Sessions written down beside their FIFOs, where both live equally long.
//!
//! dockerd tells a plugin of a session once. A worker that comes later finds it here; so does a plugin that was disabled,
//! upgraded or given another data folder.

use std::path::{Path, PathBuf};

use rustix::rand::{GetRandomFlags, getrandom};

use super::check_container_id;
use crate::disk::{Disk, is_missing, read_file, replace_file};
use crate::error::{Error, Result};
use crate::stream::{Checked, Kind, Session, SessionFacts, record_file_name};

/// LIMIT: a longer file is no record. The facts come out of an RPC's body, whose size the service bounds.
const MAX_RECORD_BYTES: u64 = 64 << 20;

/// Where sessions are written down, below the FIFO root: in the mount that keeps FIFOs over an upgrade of the plugin.
const RECORD_FOLDER: &str = "run/docker/logboom";

/// The folder in which sessions are written down.
pub fn record_folder(fifo_root: &Path) -> PathBuf {
    fifo_root.join(RECORD_FOLDER)
}

/// A number that no other session has.
///
/// # Errors
/// The machine gives no random numbers.
pub fn new_session_id() -> Result<u64> {
    let mut id = [0; 8];
    getrandom(&mut id, GetRandomFlags::empty())
        .map_err(|error| Error::io("read", Path::new("getrandom(2)"))(error.into()))?;
    Ok(u64::from_le_bytes(id))
}

/// Writes a session down. It outlives this process, not the machine: neither does its FIFO.
///
/// # Errors
/// The disk refused.
pub fn write_record(disk: &dyn Disk, session: &Session) -> Result<()> {
    let path = &session.record_path;
    let content = session.facts.encode()?;
    if let Some(folder) = path.parent() {
        disk.create_folder(folder)
            .map_err(Error::io("create", folder))?;
    }
    replace_file(disk, path, &content, false).map_err(Error::io("write", path))
}

/// Removes what was written down of a session.
pub fn remove_record(disk: &dyn Disk, session: &Session) {
    // What stays is found by the next worker, which sees that the FIFO is gone.
    let _ = disk.remove_file(&session.record_path);
}

/// What is written down of sessions.
#[derive(Debug, Default)]
pub struct Records {
    /// Their sessions, oldest first.
    pub sessions: Vec<Session>,
    /// Records that are not what was written: their containers' output is in FIFOs that nobody knows.
    pub damaged: Vec<PathBuf>,
    /// Why some could not be read now.
    pub unread: Option<Error>,
    /// What is not written to its end.
    unfinished: Vec<PathBuf>,
}

impl Records {
    /// Removes what an earlier worker has not written to its end. Under a worker that runs it may be at it.
    pub fn remove_unfinished(&self, disk: &dyn Disk) {
        for path in &self.unfinished {
            // The number of its session does not come again. Another worker may look.
            let _ = disk.remove_file(path);
        }
    }
}

/// The sessions that are written down, and what else there is. Files whose names are no record's are passed over.
///
/// # Errors
/// The folder is there and cannot be read.
pub fn read_records(disk: &dyn Disk, folder: &Path) -> Result<Records> {
    let listed = disk.list(folder);
    let mut records = Records::default();
    if is_missing(&listed) {
        return Ok(records);
    }
    let listed = listed.map_err(Error::io("list", folder))?;
    for file in listed {
        let Some(id) = parse_name(&file.name) else {
            if file.name.ends_with(".tmp") {
                records.unfinished.push(folder.join(&file.name));
            }
            continue;
        };
        let path = folder.join(record_file_name(id));
        match read_record(disk, id, &path) {
            Ok(Some(session)) => records.sessions.push(session),
            // It has ended meanwhile.
            Ok(None) => {}
            Err(Error::Corrupt { .. }) => records.damaged.push(path),
            Err(error) => records.unread = records.unread.or(Some(error)),
        }
    }
    records
        .sessions
        .sort_by_key(|session| session.facts.started_ns);
    Ok(records)
}

/// The session's number, when the name is that of its record.
fn parse_name(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_suffix(".json")?, 16).ok()
}

/// Reads a record whole; `None`: its session has ended meanwhile.
///
/// # Errors
/// `Corrupt`: it is not what was written. Anything else may pass, and tells nothing about it.
fn read_record(disk: &dyn Disk, id: u64, path: &Path) -> Result<Option<Session>> {
    let corrupt =
        |why: String| Error::corrupt(path, 0, format!("it is not what was written: {why}"));
    let content = match read_file(disk, path, MAX_RECORD_BYTES).map_err(Error::io("read", path)) {
        Ok(Some(content)) => content,
        Ok(None) => return Ok(None),
        Err(error) if error.may_pass() => return Err(error),
        Err(error) => return Err(corrupt(error.to_string())),
    };
    let facts = SessionFacts::decode(&content).map_err(corrupt)?;
    // It becomes the name of a folder.
    check_container_id(&facts.container_id).map_err(|error| corrupt(error.to_string()))?;
    Ok(Some(Session::new(id, facts, path.to_owned())))
}

/// Looks whether all records can be read.
///
/// # Errors
/// The folder is there and cannot be read.
pub(super) fn check_records(disk: &dyn Disk, folder: &Path, checked: &mut Checked) -> Result<()> {
    let listed = disk.list(folder);
    if is_missing(&listed) {
        return Ok(());
    }
    for file in listed.map_err(Error::io("list", folder))? {
        let Some(id) = parse_name(&file.name) else {
            continue;
        };
        let path = folder.join(&file.name);
        checked.files += 1;
        if let Err(error) = read_record(disk, id, &path) {
            checked.add_error(Kind::Record, &path, &error);
        }
    }
    Ok(())
}

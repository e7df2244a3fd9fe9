//! Sessions written down beside their FIFOs, where both live equally long.
//!
//! dockerd tells a plugin of a session once. A worker that comes later finds it here; so does a plugin that was disabled,
//! upgraded or given another data folder.

use std::path::{Path, PathBuf};

use rustix::rand::{GetRandomFlags, getrandom};

use super::check_container_id;
use crate::disk::{Disk, OpenMode, is_missing, read_file, replace_file};
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

/// What earlier workers have written down.
#[derive(Debug, Default)]
pub struct Records {
    /// Their sessions, oldest first.
    pub sessions: Vec<Session>,
    /// Records that cannot be read: their containers' output is in FIFOs that nobody knows.
    pub damaged: Vec<PathBuf>,
    /// Names of what was not written to its end.
    unfinished: Vec<String>,
}

/// The sessions that earlier workers have written down. Files whose names are no record's are passed over; what was not written
/// to its end is removed.
///
/// # Errors
/// The folder is there and cannot be read.
pub fn read_records(disk: &dyn Disk, folder: &Path) -> Result<Records> {
    let records = records(disk, folder)?;
    for name in &records.unfinished {
        // The number of its session does not come again. Another worker may look.
        let _ = disk.remove_file(&folder.join(name));
    }
    Ok(records)
}

/// The sessions, and what else there is. Nothing is changed.
pub(super) fn records(disk: &dyn Disk, folder: &Path) -> Result<Records> {
    let listed = disk.list(folder);
    let mut records = Records::default();
    if is_missing(&listed) {
        return Ok(records);
    }
    let listed = listed.map_err(Error::io("list", folder))?;
    for file in listed {
        let Some(id) = parse_name(&file.name) else {
            if file.name.ends_with(".tmp") {
                records.unfinished.push(file.name);
            }
            continue;
        };
        let path = folder.join(record_file_name(id));
        match read_record(disk, id, &path) {
            Some(session) => records.sessions.push(session),
            None => records.damaged.push(path),
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

/// Reads a record whole; `None` where it is not what was written.
fn read_record(disk: &dyn Disk, id: u64, path: &Path) -> Option<Session> {
    let content = read_file(disk, path, MAX_RECORD_BYTES).ok()??;
    let facts = SessionFacts::decode(&content).ok()?;
    // It becomes the name of a folder.
    check_container_id(&facts.container_id).ok()?;
    Some(Session::new(id, facts, path.to_owned()))
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
        // A session that has ended meanwhile has no record any more.
        if read_record(disk, id, &path).is_none() && !is_missing(&disk.open(&path, OpenMode::Read))
        {
            checked.add(Kind::Record, &path, 0, "it is no record of a session");
        }
    }
    Ok(())
}

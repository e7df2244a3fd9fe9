//! Sessions written down beside their FIFOs, where both live equally long.
//!
//! dockerd tells a plugin of a session once. A worker that comes later finds it here; so does a plugin that was disabled,
//! upgraded or given another data folder.

use std::path::{Path, PathBuf};

use rustix::rand::{GetRandomFlags, getrandom};

use crate::disk::{Disk, is_missing, read_file, replace_file};
use crate::error::{Error, Result};
use crate::stream::{Session, SessionFacts, record_file_name};

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
    let content = serde_json::to_vec(&session.facts)
        .map_err(|error| Error::invalid("facts", error.to_string()))?;
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

/// The sessions that earlier workers have written down, oldest first. Files that are no record are passed over; what was not
/// written to its end is removed.
///
/// # Errors
/// The folder is there and cannot be read.
pub fn read_records(disk: &dyn Disk, folder: &Path) -> Result<Vec<Session>> {
    let (sessions, unfinished) = records(disk, folder)?;
    for name in unfinished {
        // The number of its session does not come again. Another worker may look.
        let _ = disk.remove_file(&folder.join(name));
    }
    Ok(sessions)
}

/// The sessions, and the names of what was not written to its end.
pub(super) fn records(disk: &dyn Disk, folder: &Path) -> Result<(Vec<Session>, Vec<String>)> {
    let listed = disk.list(folder);
    if is_missing(&listed) {
        return Ok((Vec::new(), Vec::new()));
    }
    let listed = listed.map_err(Error::io("list", folder))?;
    let mut sessions: Vec<Session> = listed
        .iter()
        .filter_map(|file| read_record(disk, folder, &file.name))
        .collect();
    sessions.sort_by_key(|session| session.facts.started_ns);
    let unfinished = listed
        .into_iter()
        .map(|file| file.name)
        .filter(|name| name.ends_with(".tmp"))
        .collect();
    Ok((sessions, unfinished))
}

fn read_record(disk: &dyn Disk, folder: &Path, name: &str) -> Option<Session> {
    let id = u64::from_str_radix(name.strip_suffix(".json")?, 16).ok()?;
    let path = folder.join(record_file_name(id));
    let content = read_file(disk, &path, MAX_RECORD_BYTES).ok()??;
    let facts: SessionFacts = serde_json::from_slice(&content).ok()?;
    Some(Session::new(id, facts, path))
}

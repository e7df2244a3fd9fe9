//! `container.json`: what is known of the container whose stream this is.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::session::SessionFacts;
use super::{LastBlock, summed};
use crate::disk::{Disk, read_file, replace_file};
use crate::error::{Error, Result};

/// Its name in the stream's folder.
pub(crate) const FILE_NAME: &str = "container.json";

/// LIMIT: facts of so many sessions are kept, the newest ones. A container that restarts every few seconds must not fill
/// the disk with them.
const MAX_SESSIONS: usize = 16;

/// LIMIT: a larger file was not written by this version. Facts of one session are bounded by the size of an RPC's body.
const MAX_FILE_BYTES: u64 = 256 << 20;

const FORMAT: u32 = 1;

/// What earlier versions wrote ends with its sessions, and has no checksum.
const UNSUMMED_END: &[u8] = b"]}";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ContainerFile {
    format: u32,
    container_id: String,
    /// No entry gets a lower sequence number: what had lower ones may be gone without a trace.
    #[serde(default)]
    pub(super) next_sequence: u64,
    /// What the last of so many power cuts took is known.
    #[serde(default)]
    pub(super) power_cuts: u64,
    /// What counts where there is no segment: retention has taken the last one.
    #[serde(default)]
    pub(super) last_block: Option<LastBlock>,
    /// Oldest first.
    pub(super) sessions: Vec<SessionFacts>,
    /// What was there could not be read.
    #[serde(skip)]
    pub(super) is_damaged: bool,
}

impl ContainerFile {
    /// Reads the file; an empty one where there is none or where it is damaged, since entries are worth more than facts.
    ///
    /// # Errors
    /// No file descriptor or memory is left for it: a file that is well must not be set aside for that.
    pub(super) fn read(disk: &dyn Disk, folder: &Path, container_id: &str) -> Result<Self> {
        let path = folder.join(FILE_NAME);
        let content = match read_file(disk, &path, MAX_FILE_BYTES).map_err(Error::io("read", &path))
        {
            Err(error) if error.is_shortage() => return Err(error),
            content => content,
        };
        let is_missing = matches!(content, Ok(None));
        let read = content.ok().flatten();
        let read = read.and_then(|content| Self::decode(&content).ok());
        Ok(read.unwrap_or_else(|| Self {
            format: FORMAT,
            container_id: container_id.to_owned(),
            next_sequence: 0,
            power_cuts: 0,
            last_block: None,
            sessions: Vec::new(),
            is_damaged: !is_missing,
        }))
    }

    /// Whether there is a file; nothing is read.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub(super) fn check(disk: &dyn Disk, path: &Path) -> Result<bool> {
        let content = read_file(disk, path, MAX_FILE_BYTES).map_err(Error::io("read", path))?;
        let Some(content) = content else {
            return Ok(false);
        };
        Self::decode(&content)
            .map(|_| true)
            .map_err(|why| Error::corrupt(path, 0, format!("it is not what was written: {why}")))
    }

    fn decode(content: &[u8]) -> std::result::Result<Self, String> {
        summed::decode(content, UNSUMMED_END)
    }

    /// Adds a session; `false`: it is there.
    pub(super) fn add(&mut self, facts: &SessionFacts) -> bool {
        if self
            .sessions
            .iter()
            .any(|known| known.session == facts.session)
        {
            return false;
        }
        self.sessions.push(facts.clone());
        let surplus = self.sessions.len().saturating_sub(MAX_SESSIONS);
        self.sessions.drain(..surplus);
        true
    }

    pub(super) fn write(&self, disk: &dyn Disk, folder: &Path) -> Result<()> {
        let path = folder.join(FILE_NAME);
        if self.is_damaged {
            // For a person to look at. What cannot be kept is no reason to go without facts.
            let _ = disk.rename(&path, &path.with_extension("unreadable"));
        }
        replace_file(disk, &path, &summed::encode(self)?, true).map_err(Error::io("write", &path))
    }
}

//! One StartLogging..StopLogging.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::options::{Asked, GivenOptions, Limits};
use super::summed;
use crate::error::Result;

/// What earlier versions wrote beside a FIFO ends with the container's facts, and has no checksum.
const UNSUMMED_END: &[u8] = b"}}";

/// A session's facts, as they are kept beside its FIFO and in its stream's folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionFacts {
    /// Its number, 16 hexadecimal digits.
    pub session: String,
    /// The FIFO as dockerd names it.
    pub file: String,
    /// Whose output it is.
    pub container_id: String,
    /// When it began, in nanoseconds since the epoch.
    pub started_ns: i64,
    /// What its options and the defaults came to when it began.
    pub limits: Limits,
    /// Which options the container gave; `None` where an earlier version has written this, so that `limits` are all that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<GivenOptions>,
    /// What is known of the container, as the service gave it.
    pub facts: Box<RawValue>,
}

impl SessionFacts {
    /// The facts as they are written beside the FIFO.
    ///
    /// # Errors
    /// They cannot be written as JSON.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        summed::encode(self)
    }

    /// Reads what is written beside a FIFO.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn decode(content: &[u8]) -> std::result::Result<Self, String> {
        summed::decode(content, UNSUMMED_END)
    }

    /// Where the limits of a stream come from whose newest session this is.
    pub(super) fn asked(&self) -> Asked {
        self.given
            .map_or(Asked::Limits(self.limits), Asked::Options)
    }
}

/// A session that runs or has run under this worker.
#[derive(Debug)]
pub struct Session {
    /// A random number that no other session has.
    pub id: u64,
    /// What is written down of it.
    pub facts: SessionFacts,
    /// Where that is written, beside the FIFO.
    pub record_path: PathBuf,
    /// The stream's next sequence number when it ended.
    pub(super) end_sequence: OnceLock<u64>,
}

impl Session {
    /// A session that runs.
    pub fn new(id: u64, facts: SessionFacts, record_path: PathBuf) -> Self {
        Self {
            id,
            facts,
            record_path,
            end_sequence: OnceLock::new(),
        }
    }

    /// Where its followers end; `None` while it runs.
    pub fn end_sequence(&self) -> Option<u64> {
        self.end_sequence.get().copied()
    }
}

/// The file in which a session is written down.
pub(crate) fn record_file_name(session: u64) -> String {
    format!("{session:016x}.json")
}

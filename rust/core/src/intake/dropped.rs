//! When the store cannot take entries: read on, count, and say so in the stream as soon as it can be written again.
//!
//! A container must never wait for a disk that is full or broken, and a worker that is killed meanwhile must not forget what it
//! has counted. So what is dropped goes where a journal would go, by the same `splice`, but into a file in memory, the *tally*:
//!
//! ```text
//! tally = what was counted before, as a line of JSON | a frame's beginning | bytes as received
//! ```
//!
//! The next worker counts what lies behind the line. Now and then the file is put in place anew with all of that counted, so it
//! stays small. It goes when the stream says what it says.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::disk::{Disk, DiskFile, OpenMode, read_file, replace_file};
use crate::error::{Error, Result};
use crate::stream::Session;
use crate::wire::{Entry, Step, Walk, encode_marked_frame};

/// The store is tried again this often.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Taken at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// A tally that is longer is put in place anew.
const TALLY_BYTES: u64 = 256 << 10;

/// LIMIT: a longer file is no tally: one that is put in place has a frame's beginning at most, and two chunks may follow.
const MAX_TALLY_BYTES: u64 = 4 << 20;

/// What has been counted.
#[derive(Debug, Serialize, Deserialize)]
struct Tally {
    /// Where the session was in its stream when the loss began; `None` while the stream cannot be looked at.
    position: Option<u64>,
    /// Whole frames and damage.
    entry_count: u64,
    byte_count: u64,
    from_ns: i64,
    until_ns: i64,
    cause: String,
}

/// What a session has lost since the store refused.
#[derive(Debug)]
pub(super) struct Dropped {
    tally: Tally,
    path: PathBuf,
    /// The tally's file and size; `None`: memory takes none now, so a kill would cost what is counted from here on.
    file: Option<(Box<dyn DiskFile>, u64)>,
    /// What the counters do not know yet.
    uncounted: (u64, u64),
    /// When the store refused last; `None`: this worker has not asked it.
    tried_at: Option<Instant>,
    /// Bytes of a frame that is not whole yet; it is the first that can be stored again.
    torn: Vec<u8>,
}

/// Where it is counted what is dropped of a session.
pub(super) fn tally_path(folder: &Path, session: &Session) -> PathBuf {
    folder.join(format!("{:016x}.dropped", session.id))
}

impl Dropped {
    /// A loss that begins now, behind the frame's beginning that the session has taken.
    pub(super) fn begin(
        disk: &dyn Disk,
        path: PathBuf,
        position: Option<u64>,
        torn: Vec<u8>,
        cause: &dyn std::fmt::Display,
        now_ns: i64,
    ) -> Self {
        let tally = Tally {
            position,
            entry_count: 0,
            byte_count: 0,
            from_ns: now_ns,
            until_ns: now_ns,
            cause: cause.to_string(),
        };
        let mut dropped = Self::new(tally, path, torn);
        dropped.tried_at = Some(Instant::now());
        dropped.save(disk);
        dropped
    }

    /// A loss that an earlier worker has left, where there is one.
    ///
    /// # Errors
    /// A shortage: it may be read later.
    pub(super) fn recover(disk: &dyn Disk, path: &Path, now_ns: i64) -> Result<Option<Self>> {
        let content = match read_file(disk, path, MAX_TALLY_BYTES).map_err(Error::io("read", path))
        {
            Ok(Some(content)) => content,
            Err(error) if error.is_shortage() => return Err(error),
            _ => return Ok(None),
        };
        let Some(mut dropped) = Self::parse(&content, path) else {
            return Ok(None);
        };
        dropped.count(false, now_ns);
        // An earlier worker's counters have gone with it.
        dropped.uncounted = (0, 0);
        dropped.save(disk);
        Ok(Some(dropped))
    }

    fn parse(content: &[u8], path: &Path) -> Option<Self> {
        let end = memchr::memchr(b'\n', content)?;
        let (line, torn) = content.split_at_checked(end + 1)?;
        let tally = serde_json::from_slice(line).ok()?;
        Some(Self::new(tally, path.to_owned(), torn.to_vec()))
    }

    fn new(tally: Tally, path: PathBuf, torn: Vec<u8>) -> Self {
        Self {
            tally,
            path,
            file: None,
            uncounted: (0, 0),
            tried_at: None,
            torn,
        }
    }

    /// Whether a worker that is killed now leaves all of it.
    pub(super) fn is_saved(&self) -> bool {
        self.file.is_some()
    }

    /// Puts the tally in place whole.
    fn save(&mut self, disk: &dyn Disk) {
        self.file = self.try_save(disk).ok();
    }

    fn try_save(&self, disk: &dyn Disk) -> io::Result<(Box<dyn DiskFile>, u64)> {
        let mut content = serde_json::to_vec(&self.tally)?;
        content.push(b'\n');
        content.extend_from_slice(&self.torn);
        if let Some(folder) = self.path.parent() {
            disk.create_folder(folder)?;
        }
        replace_file(disk, &self.path, &content, false)?;
        let file = disk.open(&self.path, OpenMode::Write)?;
        Ok((file, content.len() as u64))
    }

    /// Takes what the FIFO holds and counts it; `Ok(0)`: no writer is left.
    ///
    /// # Errors
    /// `WouldBlock` when the FIFO is empty.
    pub(super) fn take(
        &mut self,
        disk: &dyn Disk,
        fifo: BorrowedFd<'_>,
        now_ns: i64,
    ) -> io::Result<usize> {
        let before = self.torn.len();
        let taken = match &mut self.file {
            Some((file, bytes)) => splice(&**file, bytes, fifo, &mut self.torn),
            None => read(fifo, &mut self.torn),
        };
        match taken {
            Ok(0) => return Ok(0),
            Err(error) if is_passing(&error) => return Err(error),
            Ok(_) => {}
            // Memory takes no more. Whatever is left in the FIFO is read by the next call.
            Err(_) => self.file = None,
        }
        let taken = self.torn.len() - before;
        self.count(false, now_ns);
        if self
            .file
            .as_ref()
            .is_none_or(|(_, bytes)| *bytes >= TALLY_BYTES)
        {
            self.save(disk);
        }
        if taken == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(taken)
    }

    fn count(&mut self, is_final: bool, now_ns: i64) {
        let mut walk = Walk::new(&self.torn, is_final);
        let mut entries = 0;
        while let Step::Item(_) = walk.step() {
            entries += 1;
        }
        let position = walk.position();
        if entries > 0 {
            self.tally.until_ns = now_ns;
        }
        self.tally.entry_count += entries;
        self.tally.byte_count += position as u64;
        self.uncounted = (
            self.uncounted.0 + entries,
            self.uncounted.1 + position as u64,
        );
        self.torn.drain(..position);
    }

    /// Whether there is an entry of which the stream has to tell.
    pub(super) fn has_entries(&self) -> bool {
        self.tally.entry_count > 0
    }

    /// Whether the stream tells of it already: a worker was killed before it could remove the tally. What tells is an entry of
    /// the session's, so the session is further than it was.
    pub(super) fn is_told(&self, resumed_position: u64) -> bool {
        self.tally
            .position
            .is_some_and(|position| position < resumed_position)
    }

    /// Where the session's next generation begins.
    pub(super) fn position(&self) -> u64 {
        self.tally.position.unwrap_or(0)
    }

    /// The stream can be looked at, and says where the session is in it.
    pub(super) fn set_position(&mut self, disk: &dyn Disk, position: u64) {
        if self.tally.position != Some(position) {
            self.tally.position = Some(position);
            self.save(disk);
        }
    }

    /// Whether it is time to try the store again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.tried_at
            .is_none_or(|at| now.duration_since(at) >= RETRY_AFTER)
    }

    /// The store has refused again.
    pub(super) fn tried(&mut self, now: Instant) {
        self.tried_at = Some(now);
    }

    /// Entries and bytes dropped since the last call.
    pub(super) fn take_uncounted(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.uncounted)
    }

    /// No more bytes will come: what is torn is lost, too.
    pub(super) fn finish(&mut self, now_ns: i64) {
        self.count(true, now_ns);
    }

    /// What a generation begins with when the store takes entries again: the entry that tells of the loss, and the frame
    /// that is not whole yet.
    pub(super) fn initial_bytes(&self, now_ns: i64) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.has_entries() {
            let text = format!(
                "logboom: {} entries ({} bytes) were dropped from {} to {}: {}",
                self.tally.entry_count,
                self.tally.byte_count,
                shown(self.tally.from_ns),
                shown(self.tally.until_ns),
                self.tally.cause
            );
            encode_marked_frame(&Entry::own(now_ns, &text), &mut bytes);
        }
        bytes.extend_from_slice(&self.torn);
        bytes
    }

    /// The stream tells of it, or there is nothing to tell.
    pub(super) fn remove(self, disk: &dyn Disk) {
        // What stays is known to be told.
        let _ = disk.remove_file(&self.path);
    }
}

/// Moves what a FIFO holds to the end of a file, and what that was to the end of `taken`.
fn splice(
    file: &dyn DiskFile,
    file_bytes: &mut u64,
    fifo: BorrowedFd<'_>,
    taken: &mut Vec<u8>,
) -> io::Result<usize> {
    let count = file.splice_from(fifo, *file_bytes, CHUNK_BYTES)?;
    let before = taken.len();
    taken.resize(before + count, 0);
    file.read_exact_at(taken.get_mut(before..).unwrap_or_default(), *file_bytes)?;
    *file_bytes += count as u64;
    Ok(count)
}

/// Reads what a FIFO holds behind `taken`.
fn read(fifo: BorrowedFd<'_>, taken: &mut Vec<u8>) -> io::Result<usize> {
    let before = taken.len();
    taken.resize(before + CHUNK_BYTES, 0);
    let count = rustix::io::read(fifo, taken.get_mut(before..).unwrap_or_default());
    taken.truncate(before + count.unwrap_or(0));
    Ok(count?)
}

/// The FIFO is empty, or a signal has come.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// A time in UTC, as RFC 3339 has it.
fn shown(time_ns: i64) -> String {
    // 64 bits of nanoseconds end in the year 2262, so there is always such a time.
    let time = Timestamp::from_nanosecond(time_ns.into()).unwrap_or_default();
    format!("{time:.3}")
}

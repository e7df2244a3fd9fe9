//! Taking bytes out of a FIFO into the newest generation of a session.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use super::generation::{Generation, Left, Walked};
use super::header::{GenerationHeader, HEADER_PAGE_BYTES, RECOVERED};
use super::{GENERATION_BYTES, QUIET_GENERATION_BYTES, file_name};
use crate::disk::{Disk, OpenMode, replace_file};
use crate::error::{Error, Result};
use crate::wire::DAMAGE_WINDOW_BYTES;

/// Disk space is doubled, beginning with `QUIET_GENERATION_BYTES`, but grows by no more than this at once.
const MOST_STEP_BYTES: u64 = 1 << 20;

/// Appends to one generation. Only the reactor has one.
#[derive(Debug)]
pub struct JournalWriter {
    generation: Arc<Generation>,
    /// Bytes behind the header page, the torn rest included.
    bytes: u64,
    /// Bytes behind the header page for which the disk has given space.
    reserved_bytes: u64,
    /// How far whole frames were found, and how many bytes were there then.
    walked: Walked,
    seen_bytes: u64,
}

impl JournalWriter {
    /// Begins a generation in `folder` with `initial` bytes, which begin at a frame's boundary.
    ///
    /// # Errors
    /// The file could not be made whole; nothing of it is left unless the disk refuses that, too.
    pub fn create(
        disk: &dyn Disk,
        folder: &Path,
        mut header: GenerationHeader,
        initial: &[u8],
    ) -> Result<Self> {
        let path = folder.join(file_name(header.number));
        let file = disk
            .open(&path, OpenMode::Create)
            .map_err(Error::io("create", &path))?;
        header.initial_bytes = initial.len() as u64;
        let mut start = header.encode();
        start.extend_from_slice(initial);
        // What is not taken at once may not be there when the first bytes come, and each try to begin would leave an entry that
        // tells of dropped ones.
        let written = file
            .reserve(0, start.len() as u64 + QUIET_GENERATION_BYTES)
            .and_then(|()| file.write_all_at(&start, 0));
        if let Err(error) = written {
            // A start that is not whole is removed by the next opening, if not now.
            let _ = disk.remove_file(&path);
            return Err(Error::io("write", &path)(error));
        }
        let bytes = header.initial_bytes;
        let generation = Arc::new(Generation::new(header, path, file));
        Ok(Self {
            generation,
            bytes,
            reserved_bytes: bytes + QUIET_GENERATION_BYTES,
            walked: Walked {
                offset: 0,
                entry_count: 0,
                wanted_bytes: 0,
            },
            seen_bytes: 0,
        })
    }

    /// What readers share.
    pub fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    /// Moves what is in the FIFO into the file, in one system call, as far as the space reaches that the disk has given.
    ///
    /// `may_grow` is asked only when more space is wanted.
    ///
    /// # Errors
    /// `WouldBlock` when the FIFO is empty. With any other error nothing was taken that is not in the file.
    pub fn take(
        &mut self,
        pipe: BorrowedFd<'_>,
        may_grow: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<usize> {
        let file = self.generation.file();
        if self.bytes == self.reserved_bytes {
            may_grow()?;
            // ORDER: space before bytes; if the disk is full nothing has been taken from the FIFO.
            let step = self.reserved_bytes.min(MOST_STEP_BYTES);
            file.reserve(HEADER_PAGE_BYTES as u64 + self.bytes, step)?;
            self.reserved_bytes += step;
        }
        let most = usize::try_from(self.reserved_bytes - self.bytes).unwrap_or(usize::MAX);
        let taken = file.splice_from(pipe, HEADER_PAGE_BYTES as u64 + self.bytes, most)?;
        self.bytes += taken as u64;
        Ok(taken)
    }

    /// Finds the entries that have become whole; returns how many.
    ///
    /// # Errors
    /// The file cannot be read back.
    pub fn find(&mut self, chunk: &mut Vec<u8>) -> io::Result<u64> {
        if self.bytes < self.walked.offset + self.walked.wanted_bytes {
            return Ok(0);
        }
        let found = self.generation.walk_range(
            self.walked.offset..self.bytes,
            self.bytes,
            chunk,
            |_, _| ControlFlow::Continue(()),
        )?;
        self.walked = Walked {
            entry_count: self.walked.entry_count + found.entry_count,
            ..found
        };
        self.seen_bytes = self.bytes;
        Ok(found.entry_count)
    }

    /// Shows readers what was found; returns how many entries are new to them.
    pub fn show(&self) -> u64 {
        let new = self.walked.entry_count - self.generation.entry_count();
        if new > 0 {
            self.generation.publish(self.walked, self.seen_bytes);
        }
        new
    }

    /// How far whole frames were found, and how many.
    pub fn found(&self) -> Walked {
        self.walked
    }

    /// Reads back what was found from an offset on.
    ///
    /// # Errors
    /// The file cannot be read back.
    pub fn read_found(&self, from: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.resize(usize::try_from(self.walked.offset - from).unwrap_or(0), 0);
        self.generation
            .file()
            .read_exact_at(bytes, HEADER_PAGE_BYTES as u64 + from)
    }

    /// Whether the next bytes belong into another generation.
    ///
    /// `is_cut` is asked only when it matters: whether all published entries lie in blocks.
    pub fn is_full(&self, is_cut: impl FnOnce() -> bool) -> bool {
        self.bytes >= GENERATION_BYTES || (self.is_large() && is_cut())
    }

    /// Whether the next bytes belong into another generation as soon as all entries lie in blocks.
    pub fn is_large(&self) -> bool {
        self.bytes >= QUIET_GENERATION_BYTES
    }

    /// Ends this generation; returns the torn frame at its end, with which the session's next generation begins.
    ///
    /// # Errors
    /// The torn frame cannot be read back. The generation is closed all the same.
    pub fn close(self) -> io::Result<Vec<u8>> {
        let torn_bytes = self.bytes - self.walked.offset;
        // LIMIT: damage is closed as an entry at this length, so no torn rest is longer.
        let mut torn = vec![
            0;
            usize::try_from(torn_bytes)
                .unwrap_or(0)
                .min(DAMAGE_WINDOW_BYTES)
        ];
        // ORDER: the mark first; what is closed and unmarked may be removed.
        self.generation.set_torn_rest(torn_bytes > 0);
        self.generation.close();
        self.generation
            .file()
            .read_exact_at(&mut torn, HEADER_PAGE_BYTES as u64 + self.walked.offset)?;
        Ok(torn)
    }

    /// The position at which the session's next generation begins.
    pub fn boundary_position(&self) -> u64 {
        self.generation.header().start + self.walked.offset
    }
}

/// Puts a generation in place of one that a power cut may have damaged. One that was made so before stays: it is synced, and of
/// the records that it was made from another cut may have taken some. So does one of a later session, with higher sequence numbers: the record
/// is that of a stream which was removed.
///
/// # Errors
/// The disk refused.
pub fn write_recovered(
    disk: &dyn Disk,
    folder: &Path,
    header: &GenerationHeader,
    bytes: &[u8],
) -> Result<()> {
    disk.create_folder(folder)
        .map_err(Error::io("create", folder))?;
    let path = folder.join(file_name(header.number));
    match Generation::open(disk, &path) {
        Ok(Left::Whole(known)) if known.header().boot_id == RECOVERED => {
            let is_same = known.header().session == header.session;
            if is_same || known.header().first_sequence > header.first_sequence {
                return Ok(());
            }
        }
        Err(error) if !error.is_missing() => return Err(error),
        _ => {}
    }
    let header = GenerationHeader {
        initial_bytes: bytes.len() as u64,
        ..header.clone()
    };
    let mut content = header.encode();
    content.extend_from_slice(bytes);
    replace_file(disk, &path, &content, true).map_err(Error::io("write", &path))
}

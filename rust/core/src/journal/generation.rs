//! One file of a journal, as its readers see it.

use std::io;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::DAMAGED_SUFFIX;
use super::header::{GenerationHeader, HEADER_PAGE_BYTES};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::{Error, Result};
use crate::wire::{Entry, Item, Step, Walk};

/// How much is read at a time. It stays in the processor's cache between reading and walking.
const CHUNK_BYTES: u64 = 256 << 10;

/// One generation. Its writer publishes how far it reaches; readers and the cutter only ever look at whole frames.
#[derive(Debug)]
pub struct Generation {
    header: GenerationHeader,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    /// Bytes behind the header page that are whole frames, or damage with a whole frame behind it.
    boundary: AtomicU64,
    /// Bytes behind the header page that the boundary was found with: what follows it can tell where damage before it ends.
    seen_bytes: AtomicU64,
    /// How many entries these are.
    entry_count: AtomicU64,
    /// Nothing more will be published.
    is_closed: AtomicBool,
    /// A torn frame at its end stands nowhere else yet, so the file must stay.
    has_torn_rest: AtomicBool,
    /// What an earlier worker left behind the header page, a torn rest included.
    recovered_bytes: u64,
}

/// What an earlier worker left under a generation's name.
#[derive(Debug)]
pub(crate) enum Left {
    /// A generation.
    Whole(Generation),
    /// Its start is not whole, so nothing was ever taken into it.
    Nothing,
    /// A start that is whole and means nothing: what lies behind it cannot be read.
    Damaged,
}

/// Where a walk over a generation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Offset behind the header page up to which all entries were given.
    pub offset: u64,
    /// How many entries were given.
    pub entry_count: u64,
    /// A look behind `offset` is of no use before so many bytes are there.
    pub wanted_bytes: u64,
}

impl Generation {
    pub(super) fn new(header: GenerationHeader, path: PathBuf, file: Box<dyn DiskFile>) -> Self {
        Self {
            header,
            path,
            file,
            boundary: AtomicU64::new(0),
            seen_bytes: AtomicU64::new(0),
            entry_count: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
            has_torn_rest: AtomicBool::new(false),
            recovered_bytes: 0,
        }
    }

    /// Opens a generation that an earlier worker left.
    ///
    /// # Errors
    /// The disk refused.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Left> {
        let file = disk
            .open(path, OpenMode::Read)
            .map_err(Error::io("open", path))?;
        let size = file.bytes().map_err(Error::io("stat", path))?;
        let mut page = [0; HEADER_PAGE_BYTES];
        let Some(bytes) = size.checked_sub(HEADER_PAGE_BYTES as u64) else {
            return Ok(Left::Nothing);
        };
        file.read_exact_at(&mut page, 0)
            .map_err(Error::io("read", path))?;
        Ok(match GenerationHeader::decode(&page) {
            Some(header) if header.initial_bytes <= bytes => Left::Whole(Self {
                recovered_bytes: bytes,
                ..Self::new(header, path.to_owned(), file)
            }),
            Some(_) => Left::Nothing,
            None => Left::Damaged,
        })
    }

    /// Publishes the whole frames that an earlier worker left, up to where the session's next generation begins, and closes
    /// the generation: its session goes on in another.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn recover(&mut self, next_start: Option<u64>, chunk: &mut Vec<u8>) -> Result<()> {
        let seen_bytes = self.recovered_bytes;
        let stop = next_start.map_or(seen_bytes, |next_start| {
            seen_bytes.min(next_start.saturating_sub(self.header.start))
        });
        let walked = self
            .walk_range(0..stop, seen_bytes, chunk, |_, _| ControlFlow::Continue(()))
            .map_err(Error::io("read", &self.path))?;
        self.set_torn_rest(walked.offset < stop);
        self.publish(walked, seen_bytes);
        self.close();
        Ok(())
    }

    /// The first byte behind the header page that is not as it was in the session at a position; bytes that the file does not
    /// have count.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn first_difference(&self, position: u64, bytes: &[u8]) -> Result<Option<u64>> {
        let Some(from) = position.checked_sub(self.header.start) else {
            return Ok(None);
        };
        let there = self.recovered_bytes.saturating_sub(from);
        let mut found = vec![0; bytes.len().min(usize::try_from(there).unwrap_or(0))];
        self.file
            .read_exact_at(&mut found, HEADER_PAGE_BYTES as u64 + from)
            .map_err(Error::io("read", &self.path))?;
        let same = found.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        Ok((same < bytes.len()).then_some(from + same as u64))
    }

    /// The torn frame that `recover` has found at the end, and its position in the session.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn torn_rest(&self) -> Result<(u64, Vec<u8>)> {
        let boundary = self.boundary();
        let torn_bytes = self.recovered_bytes.saturating_sub(boundary);
        let mut torn = vec![0; usize::try_from(torn_bytes).unwrap_or(0)];
        self.file
            .read_exact_at(&mut torn, HEADER_PAGE_BYTES as u64 + boundary)
            .map_err(Error::io("read", &self.path))?;
        Ok((self.header.start + boundary, torn))
    }

    /// Whether its file must stay although all its entries lie in blocks.
    pub(crate) fn has_torn_rest(&self) -> bool {
        self.has_torn_rest.load(Ordering::Relaxed)
    }

    /// Says that the torn frame at its end has been copied to the session's next generation, or not.
    pub(crate) fn set_torn_rest(&self, has_torn_rest: bool) {
        self.has_torn_rest.store(has_torn_rest, Ordering::Relaxed);
    }

    /// What its first page says.
    pub fn header(&self) -> &GenerationHeader {
        &self.header
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self) -> &dyn DiskFile {
        &*self.file
    }

    /// Bytes behind the header page that can be read as entries.
    pub fn boundary(&self) -> u64 {
        self.boundary.load(Ordering::Acquire)
    }

    /// How many entries can be read. The boundary reaches at least as far.
    pub fn entry_count(&self) -> u64 {
        self.entry_count.load(Ordering::Acquire)
    }

    /// The sequence number behind the last entry that can be read.
    pub fn end_sequence(&self) -> u64 {
        self.header.first_sequence + self.entry_count()
    }

    /// Nothing more will be published.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Readers see entries up to here from now on; so many bytes were there when they were found.
    pub(super) fn publish(&self, walked: Walked, seen_bytes: u64) {
        // ORDER: what was seen, then the boundary, then the count, so that whoever sees one finds what it needs.
        self.seen_bytes.store(seen_bytes, Ordering::Release);
        self.boundary.store(walked.offset, Ordering::Release);
        self.entry_count
            .store(walked.entry_count, Ordering::Release);
    }

    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// Gives the entries in a range that begins at a boundary, each with the offset behind it, until `visit` breaks.
    ///
    /// The range ends at the published boundary for everyone but the writer, who looks further. The bytes up to `to` are looked
    /// at as well. What is incomplete there is left: a frame that will never be whole is named by the session's last generation.
    pub(super) fn walk_range(
        &self,
        range: Range<u64>,
        to: u64,
        chunk: &mut Vec<u8>,
        mut visit: impl FnMut(Item<'_>, u64) -> ControlFlow<()>,
    ) -> io::Result<Walked> {
        let mut walked = Walked {
            offset: range.start,
            entry_count: 0,
            wanted_bytes: 0,
        };
        let mut chunk_bytes = CHUNK_BYTES;
        while walked.offset < range.end {
            let base = walked.offset;
            let end = to.min(base + chunk_bytes);
            chunk.resize(usize::try_from(end - base).unwrap_or(0), 0);
            self.file
                .read_exact_at(chunk, HEADER_PAGE_BYTES as u64 + base)?;
            let mut walk = Walk::new(chunk, false);
            loop {
                match walk.step() {
                    Step::Item(item) => {
                        walked.offset = base + walk.position() as u64;
                        walked.entry_count += 1;
                        walked.wanted_bytes = 0;
                        if visit(item, walked.offset).is_break() || walked.offset >= range.end {
                            return Ok(walked);
                        }
                    }
                    Step::End => break,
                    Step::NeedMore(bytes) => {
                        walked.wanted_bytes = bytes as u64;
                        break;
                    }
                }
            }
            if end == to {
                break;
            }
            // Damage wants one byte more each time; what is read must grow faster than that.
            chunk_bytes = if walked.offset == base {
                walked.wanted_bytes.max(2 * chunk_bytes)
            } else {
                CHUNK_BYTES
            };
        }
        Ok(walked)
    }

    /// Gives the published entries from `from` on, which is 0 or an offset that an earlier walk gave.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn walk(
        &self,
        from: u64,
        chunk: &mut Vec<u8>,
        visit: impl FnMut(Item<'_>, u64) -> ControlFlow<()>,
    ) -> Result<Walked> {
        let boundary = self.boundary();
        let seen_bytes = self.seen_bytes.load(Ordering::Acquire);
        self.walk_range(from..boundary, seen_bytes, chunk, visit)
            .map_err(Error::io("read", &self.path))
    }

    /// The bytes of the published entries from `from` on, and how many entries they are.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_entries(&self, from: u64, bytes: &mut Vec<u8>) -> Result<u64> {
        let walked = self.walk(from, bytes, |_, _| ControlFlow::Continue(()))?;
        bytes.resize(usize::try_from(walked.offset - from).unwrap_or(0), 0);
        self.file
            .read_exact_at(bytes, HEADER_PAGE_BYTES as u64 + from)
            .map_err(Error::io("read", &self.path))?;
        Ok(walked.entry_count)
    }

    /// The file in which the damaged bytes that end at an offset are kept.
    pub(crate) fn damage_file_name(&self, end: u64) -> String {
        format!("{:020}-{end}{DAMAGED_SUFFIX}", self.header.number)
    }
}

/// What is said in place of bytes that are no entry.
pub(crate) fn damage_text(bytes: usize, file_name: &str) -> String {
    format!("logboom: {bytes} bytes from dockerd are no log entry; they are kept in {file_name}")
}

/// Gives an item as an entry. Damage becomes an entry of Logboom's own that says where the bytes are kept.
pub fn with_entry<T>(
    generation: &Generation,
    item: &Item<'_>,
    end: u64,
    use_entry: impl FnOnce(&Entry<'_>, bool) -> T,
) -> T {
    match item {
        Item::Entry(entry) => use_entry(entry, false),
        Item::Own(entry) => use_entry(entry, true),
        Item::Damage(bytes) => {
            let text = damage_text(bytes.len(), &generation.damage_file_name(end));
            // The time must be the same in every replay, and damaged bytes have none.
            use_entry(&Entry::own(generation.header.created_ns, &text), true)
        }
    }
}

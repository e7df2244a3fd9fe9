//! Reading a segment, sealed or not.

use std::io;
use std::path::{Path, PathBuf};

use super::index::{
    BlockPlace, TRAILER_BYTES, UNKNOWN_COUNT, decode_index, frame_bytes, index_bytes,
    is_index_start,
};
use super::{PREAMBLE, parse_file_name};
use crate::block::{
    BLOCK_MAGIC, BLOCK_PREFIX_BYTES, Block, BlockHeader, SKIPPABLE_MAGIC, SKIPPABLE_PREFIX_BYTES,
};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::{Error, Result};

/// LIMIT: the largest block that is read at once; none that is written comes near.
const MAX_BLOCK_BYTES: u64 = 32 << 20;

/// How much is searched at a time for the next block behind damage.
const SEARCH_BYTES: u64 = 1 << 20;

/// An open segment.
#[derive(Debug)]
pub struct SegmentReader {
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

/// What was found in a segment.
#[derive(Debug)]
pub struct Contents {
    /// Its blocks, oldest first, with one in place of those that damage hides: it cannot be read, and spans their numbers.
    pub blocks: Vec<BlockPlace>,
    /// What follows the last one.
    pub rest: Rest,
    /// The file's size.
    pub bytes: u64,
}

/// What follows the last block of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The index, so nothing will be appended.
    Index,
    /// Nothing, or the beginning of a block or index that a worker could not finish.
    Torn,
    /// An index that is damaged. Nothing will be appended, and it tells nothing that the blocks do not.
    DamagedIndex,
    /// Bytes that are whole and no block of this version. Nothing may be cut off there.
    Damaged,
}

impl SegmentReader {
    /// Opens the file.
    ///
    /// # Errors
    /// It is not there, or the disk refused.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let file = disk
            .open(path, OpenMode::Read)
            .map_err(Error::io("open", path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Its file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its blocks: from the index, or by walking the headers where there is none.
    ///
    /// # Errors
    /// The disk refused. Damage is no error.
    pub fn contents(&self) -> Result<Contents> {
        let bytes = self.file.bytes().map_err(Error::io("stat", &self.path))?;
        let (blocks, rest) = match self.read_index(bytes)? {
            Some(blocks) => (blocks, Rest::Index),
            None => self.walk_headers(bytes)?,
        };
        Ok(Contents {
            blocks,
            rest,
            bytes,
        })
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(|error| match error.kind() {
                // It was longer once, or what says so is damaged.
                io::ErrorKind::UnexpectedEof => {
                    Error::corrupt(&self.path, offset, "the file ends before")
                }
                _ => Error::io("read", &self.path)(error),
            })
    }

    fn read_index(&self, size: u64) -> Result<Option<Vec<BlockPlace>>> {
        let mut trailer = [0; TRAILER_BYTES];
        let Some(offset) = size.checked_sub(TRAILER_BYTES as u64) else {
            return Ok(None);
        };
        self.read(&mut trailer, offset)?;
        let Some(bytes) = index_bytes(&trailer) else {
            return Ok(None);
        };
        let Some(offset) = size.checked_sub(bytes as u64) else {
            return Ok(None);
        };
        let mut frame = vec![0; bytes];
        self.read(&mut frame, offset)?;
        Ok(decode_index(&frame))
    }

    fn walk_headers(&self, size: u64) -> Result<(Vec<BlockPlace>, Rest)> {
        let mut blocks: Vec<BlockPlace> = Vec::new();
        let mut offset = PREAMBLE.len() as u64;
        while offset < size {
            let place = if let Some(place) = self.place_at(offset, size)? {
                place
            } else if let Some(place) = self.find_block(offset, size)? {
                blocks.extend(self.hidden(offset, blocks.last(), &place));
                place
            } else {
                let rest = self.rest_at(offset, size, blocks.len())?;
                return Ok((blocks, rest));
            };
            blocks.push(place);
            offset = place.offset + place.bytes;
        }
        Ok((blocks, Rest::Torn))
    }

    /// What follows so many blocks at an offset where no other is found.
    fn rest_at(&self, offset: u64, size: u64, blocks: usize) -> Result<Rest> {
        if self.is_index(offset, size, blocks)? {
            let is_whole = size - offset == frame_bytes(blocks) as u64;
            return Ok(if is_whole {
                Rest::DamagedIndex
            } else {
                Rest::Torn
            });
        }
        let is_torn = self.is_torn(offset, size)?;
        Ok(if is_torn { Rest::Torn } else { Rest::Damaged })
    }

    /// The block that begins at an offset, as its header tells.
    fn place_at(&self, offset: u64, size: u64) -> Result<Option<BlockPlace>> {
        let mut prefix = [0; BLOCK_PREFIX_BYTES];
        if offset + BLOCK_PREFIX_BYTES as u64 > size {
            return Ok(None);
        }
        self.read(&mut prefix, offset)?;
        let place = BlockHeader::decode(&prefix)
            .ok()
            .map(|header| BlockPlace::new(offset, &header));
        Ok(place.filter(|place| offset + place.bytes <= size))
    }

    /// The first whole block behind an offset. Text may hold bytes that look like one, so it is read.
    fn find_block(&self, offset: u64, size: u64) -> Result<Option<BlockPlace>> {
        let (mut bytes, mut stored, mut block) = (Vec::new(), Vec::new(), Block::default());
        let magic = SKIPPABLE_MAGIC.to_le_bytes();
        let mut from = offset + 1;
        while from + BLOCK_PREFIX_BYTES as u64 <= size {
            let window_bytes = SEARCH_BYTES.min(size - from);
            bytes.resize(usize::try_from(window_bytes).unwrap_or(0), 0);
            self.read(&mut bytes, from)?;
            for found in memchr::memmem::find_iter(&bytes, &magic) {
                let Some(place) = self.place_at(from + found as u64, size)? else {
                    continue;
                };
                match self.read_block(&place, &mut stored, &mut block) {
                    Ok(()) => return Ok(Some(place)),
                    Err(Error::Corrupt { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            // The magic may lie across the end of what was searched.
            from += window_bytes - magic.len() as u64 + 1;
        }
        Ok(None)
    }

    /// What stands for the entries between two blocks, if there were any.
    fn hidden(
        &self,
        offset: u64,
        before: Option<&BlockPlace>,
        behind: &BlockPlace,
    ) -> Option<BlockPlace> {
        let name = self.path.file_name()?.to_str()?;
        let first_sequence =
            before.map_or_else(|| parse_file_name(name), |place| Some(place.end_sequence()))?;
        let entry_count = behind.first_sequence.checked_sub(first_sequence)?;
        let bytes = behind.offset - offset;
        (bytes >= BLOCK_PREFIX_BYTES as u64).then_some(BlockPlace {
            offset,
            bytes,
            first_sequence,
            // Numbers that were left out after a power cut may be more than a block can have.
            entry_count: u32::try_from(entry_count)
                .map_or(Some(UNKNOWN_COUNT), |count| (count > 0).then_some(count))?,
            text_bytes: 0,
            min_time_ns: behind.min_time_ns,
            max_time_ns: behind.min_time_ns,
        })
    }

    /// What stands for what follows the last block of a segment without an index, if something does or there is no block: at the
    /// segment's `number`, of the time when it was last written.
    ///
    /// # Errors
    /// The disk refused.
    pub(crate) fn hidden_rest(
        &self,
        contents: &Contents,
        number: u64,
        modified_ns: i64,
    ) -> Result<Option<BlockPlace>> {
        let last = contents.blocks.last();
        let offset = last.map_or(PREAMBLE.len() as u64, |last| last.offset + last.bytes);
        let bytes = contents.bytes.saturating_sub(offset);
        let is_index = || self.is_index(offset, contents.bytes, contents.blocks.len());
        if last.is_some() && (bytes == 0 || is_index()?) {
            return Ok(None);
        }
        let mut hidden = BlockPlace {
            offset,
            bytes,
            first_sequence: last.map_or(number, BlockPlace::end_sequence),
            entry_count: UNKNOWN_COUNT,
            text_bytes: 0,
            min_time_ns: modified_ns,
            max_time_ns: modified_ns,
        };
        if bytes >= BLOCK_PREFIX_BYTES as u64 {
            match self.header(&hidden) {
                Ok(header) => {
                    hidden.first_sequence = hidden.first_sequence.max(header.first_sequence);
                    hidden.entry_count = header.entry_count;
                }
                Err(Error::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(hidden))
    }

    /// Whether what follows an offset is the beginning of a block or index, which a worker that was killed left.
    fn is_torn(&self, offset: u64, size: u64) -> Result<bool> {
        let mut prefix = [0; SKIPPABLE_PREFIX_BYTES];
        let rest_bytes = size - offset;
        if rest_bytes < SKIPPABLE_PREFIX_BYTES as u64 {
            return Ok(true);
        }
        self.read(&mut prefix, offset)?;
        let [magic @ .., l0, l1, l2, l3] = prefix;
        let frame_bytes =
            SKIPPABLE_PREFIX_BYTES as u64 + u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
        if magic != SKIPPABLE_MAGIC.to_le_bytes() {
            return Ok(false);
        }
        let mut header = [0; BLOCK_PREFIX_BYTES];
        if rest_bytes < frame_bytes.max(BLOCK_PREFIX_BYTES as u64) {
            return Ok(true);
        }
        self.read(&mut header, offset)?;
        // Its text is cut short.
        Ok(BlockHeader::decode(&header).is_ok_and(|header| rest_bytes < header.block_bytes()))
    }

    /// Whether what follows an offset is the index of so many blocks, whole or not, by its length or its beginning.
    fn is_index(&self, offset: u64, size: u64, blocks: usize) -> Result<bool> {
        let index_bytes = frame_bytes(blocks) as u64;
        let rest_bytes = size - offset;
        if rest_bytes > index_bytes || rest_bytes < SKIPPABLE_PREFIX_BYTES as u64 {
            return Ok(false);
        }
        if rest_bytes == index_bytes {
            // A block that is cut may have that length.
            let mut magic = [0; BLOCK_MAGIC.len()];
            self.read(&mut magic, offset + SKIPPABLE_PREFIX_BYTES as u64)?;
            return Ok(magic != BLOCK_MAGIC);
        }
        let mut start = [0; SKIPPABLE_PREFIX_BYTES];
        self.read(&mut start, offset)?;
        Ok(is_index_start(start, blocks))
    }

    /// Whether the file begins as every segment does, for tools that look there only.
    pub(crate) fn has_preamble(&self) -> Result<bool> {
        let mut preamble = [0; PREAMBLE.len()];
        self.read(&mut preamble, 0)?;
        Ok(preamble == PREAMBLE)
    }

    /// The blocks before the first that is damaged or does not follow the one before it. After a power cut a header proves nothing
    /// about what follows it, nor a block about those before it.
    ///
    /// # Errors
    /// The disk refused.
    pub fn whole_blocks(&self, mut blocks: Vec<BlockPlace>) -> Result<Vec<BlockPlace>> {
        let (mut stored, mut block) = (Vec::new(), Block::default());
        let mut end = PREAMBLE.len() as u64;
        for index in 0..blocks.len() {
            let Some(place) = blocks.get(index) else {
                break;
            };
            match self.read_block(place, &mut stored, &mut block) {
                Ok(()) if place.offset == end => end += place.bytes,
                Ok(()) | Err(Error::Corrupt { .. }) => blocks.truncate(index),
                Err(error) => return Err(error),
            }
        }
        Ok(blocks)
    }

    /// A block's header.
    ///
    /// # Errors
    /// The disk refused, or the header is damaged.
    pub fn header(&self, place: &BlockPlace) -> Result<BlockHeader> {
        let mut prefix = [0; BLOCK_PREFIX_BYTES];
        self.read(&mut prefix, place.offset)?;
        BlockHeader::decode(&prefix).map_err(|what| Error::corrupt(&self.path, place.offset, what))
    }

    /// Decompresses a block into `block`; `stored` is memory to use again.
    ///
    /// # Errors
    /// The disk refused, or the block is damaged: it alone is lost.
    pub fn read_block(
        &self,
        place: &BlockPlace,
        stored: &mut Vec<u8>,
        block: &mut Block,
    ) -> Result<()> {
        let corrupt = |what: &str| Error::corrupt(&self.path, place.offset, what);
        if place.bytes > MAX_BLOCK_BYTES {
            return Err(corrupt("a block is larger than any that is written"));
        }
        let size = self.file.bytes().map_err(Error::io("stat", &self.path))?;
        // LIMIT: memory is taken for what the file holds, whatever its index says.
        if place.bytes > size.saturating_sub(place.offset) {
            return Err(corrupt("the file ends before"));
        }
        stored.resize(usize::try_from(place.bytes).unwrap_or(0), 0);
        self.read(stored, place.offset)?;
        let (prefix, body) = stored
            .split_first_chunk()
            .ok_or_else(|| corrupt("a block is cut short"))?;
        let header = BlockHeader::decode(prefix).map_err(corrupt)?;
        if header.first_sequence != place.first_sequence || header.entry_count != place.entry_count
        {
            return Err(corrupt("a block is not the one that the index names"));
        }
        block.decode(&header, body).map_err(corrupt)
    }
}

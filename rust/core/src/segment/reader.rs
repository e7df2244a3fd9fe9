//! Reading a segment, sealed or not.

use std::path::{Path, PathBuf};

use super::PREAMBLE;
use super::index::{BlockPlace, TRAILER_BYTES, decode_index, index_bytes};
use crate::block::{BLOCK_PREFIX_BYTES, Block, BlockHeader};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::{Error, Result};

/// LIMIT: the largest block that is read at once; none that is written comes near.
const MAX_BLOCK_BYTES: u64 = 32 << 20;

/// An open segment.
#[derive(Debug)]
pub struct SegmentReader {
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

/// What was found in a segment.
#[derive(Debug)]
pub struct Contents {
    /// Its whole blocks, oldest first.
    pub blocks: Vec<BlockPlace>,
    /// It ends with an index, so nothing will be appended.
    pub is_sealed: bool,
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

    /// Its blocks: from the index, or by walking the headers where there is none.
    ///
    /// # Errors
    /// The disk refused. Damage is no error: a block that is not whole, and what follows it, is left out.
    pub fn contents(&self) -> Result<Contents> {
        let size = self.file.bytes().map_err(Error::io("stat", &self.path))?;
        if let Some(blocks) = self.read_index(size)? {
            return Ok(Contents {
                blocks,
                is_sealed: true,
            });
        }
        Ok(Contents {
            blocks: self.walk_headers(size)?,
            is_sealed: false,
        })
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(Error::io("read", &self.path))
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

    fn walk_headers(&self, size: u64) -> Result<Vec<BlockPlace>> {
        let mut blocks = Vec::new();
        let mut offset = PREAMBLE.len() as u64;
        let mut prefix = [0; BLOCK_PREFIX_BYTES];
        while offset + BLOCK_PREFIX_BYTES as u64 <= size {
            self.read(&mut prefix, offset)?;
            let Ok(header) = BlockHeader::decode(&prefix) else {
                break;
            };
            if offset + header.block_bytes() > size {
                break;
            }
            blocks.push(BlockPlace::new(offset, &header));
            offset += header.block_bytes();
        }
        Ok(blocks)
    }

    /// The blocks before the first that is damaged. After a power cut a header proves nothing about what follows it.
    ///
    /// # Errors
    /// The disk refused.
    pub fn whole_blocks(&self, mut blocks: Vec<BlockPlace>) -> Result<Vec<BlockPlace>> {
        let (mut stored, mut block) = (Vec::new(), Block::default());
        for index in 0..blocks.len() {
            let Some(place) = blocks.get(index) else {
                break;
            };
            match self.read_block(place, &mut stored, &mut block) {
                Ok(()) => {}
                Err(Error::Corrupt { .. }) => blocks.truncate(index),
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

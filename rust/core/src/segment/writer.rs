//! Appending blocks to the newest segment of a stream.

use std::io;
use std::path::{Path, PathBuf};

use super::index::{BlockPlace, encode_index};
use super::{PREAMBLE, UNREADABLE, file_name};
use crate::block::BlockHeader;
use crate::disk::{Disk, DiskFile, OpenMode, replace_file};
use crate::error::{Error, Result};

/// The one writer of a segment that is not sealed yet.
#[derive(Debug)]
pub struct SegmentWriter {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    bytes: u64,
    blocks: Vec<BlockPlace>,
    is_synced: bool,
    is_new: bool,
}

impl SegmentWriter {
    /// Begins a segment with its first block: a segment is never empty. A file that bears the name already holds no block that
    /// can be read, or the number would not be given again; it is set aside.
    ///
    /// # Errors
    /// The disk refused; the file is removed again where that is possible.
    pub fn create(
        disk: &dyn Disk,
        folder: &Path,
        header: &BlockHeader,
        block: &[u8],
    ) -> Result<Self> {
        let path = folder.join(file_name(header.first_sequence));
        let file = match disk.open(&path, OpenMode::Create) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.rename(&path, &path.with_extension(UNREADABLE))
                    .map_err(Error::io("set aside", &path))?;
                disk.open(&path, OpenMode::Create)
            }
            opened => opened,
        };
        let file = file.map_err(Error::io("create", &path))?;
        let mut start = Vec::with_capacity(PREAMBLE.len() + block.len());
        start.extend_from_slice(&PREAMBLE);
        start.extend_from_slice(block);
        if let Err(error) = file.write_all_at(&start, 0) {
            // What is left is cut off or removed by the next opening.
            let _ = disk.remove_file(&path);
            return Err(Error::io("write", &path)(error));
        }
        let blocks = vec![BlockPlace::new(PREAMBLE.len() as u64, header)];
        Ok(Self {
            path,
            file,
            bytes: start.len() as u64,
            blocks,
            is_synced: false,
            is_new: true,
        })
    }

    /// Goes on with a segment that was found on disk with these blocks. What lies behind the last one is cut off.
    ///
    /// # Errors
    /// The disk refused.
    pub fn resume(disk: &dyn Disk, path: &Path, blocks: Vec<BlockPlace>) -> Result<Self> {
        let file = disk
            .open(path, OpenMode::Write)
            .map_err(Error::io("open", path))?;
        let bytes = blocks.last().map_or(0, |block| block.offset + block.bytes);
        if file.bytes().map_err(Error::io("stat", path))? != bytes {
            file.truncate(bytes).map_err(Error::io("truncate", path))?;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            bytes,
            blocks,
            is_synced: false,
            is_new: false,
        })
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The sequence number of its first entry, after which it is named.
    pub fn first_sequence(&self) -> u64 {
        self.blocks.first().map_or(0, |block| block.first_sequence)
    }

    /// Its blocks, oldest first.
    pub fn blocks(&self) -> &[BlockPlace] {
        &self.blocks
    }

    /// Adds a block.
    ///
    /// # Errors
    /// The disk refused. The segment ends where it ended before, as far as the disk allows; give it up.
    pub fn append(&mut self, header: &BlockHeader, block: &[u8]) -> Result<()> {
        self.append_bytes(block)?;
        self.blocks
            .push(BlockPlace::new(self.bytes - block.len() as u64, header));
        Ok(())
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        if let Err(error) = self.file.write_all_at(bytes, self.bytes) {
            // A torn block is cut off by the next opening, if not now.
            let _ = self.file.truncate(self.bytes);
            return Err(Error::io("append to", &self.path)(error));
        }
        self.bytes += bytes.len() as u64;
        self.is_synced = false;
        Ok(())
    }

    /// Makes all blocks survive a power cut.
    ///
    /// # Errors
    /// The disk failed. What was appended since the last success may be lost; give the segment up.
    pub fn sync(&mut self, disk: &dyn Disk) -> Result<()> {
        if self.is_synced {
            return Ok(());
        }
        self.file.sync().map_err(Error::io("sync", &self.path))?;
        if let (true, Some(folder)) = (self.is_new, self.path.parent()) {
            // ORDER: the name must survive as well before any journal that holds the same entries goes.
            disk.sync_folder(folder)
                .map_err(Error::io("sync", folder))?;
            self.is_new = false;
        }
        self.is_synced = true;
        Ok(())
    }

    /// Ends the segment with its index.
    ///
    /// # Errors
    /// As `append`. A segment without an index is as readable, only slower to open.
    pub fn seal(mut self, disk: &dyn Disk) -> Result<u64> {
        self.append_bytes(&encode_index(&self.blocks))?;
        self.sync(disk)?;
        Ok(self.bytes)
    }
}

/// Writes a sealed segment of these blocks in place of a file that was set aside.
///
/// # Errors
/// The disk refused.
pub(crate) fn write_sealed(
    disk: &dyn Disk,
    path: &Path,
    blocks: &[(BlockPlace, Vec<u8>)],
) -> Result<()> {
    let mut content = PREAMBLE.to_vec();
    let mut places = Vec::with_capacity(blocks.len());
    for (place, block) in blocks {
        places.push(BlockPlace {
            offset: content.len() as u64,
            ..*place
        });
        content.extend_from_slice(block);
    }
    content.extend_from_slice(&encode_index(&places));
    replace_file(disk, path, &content, true).map_err(Error::io("write", path))
}

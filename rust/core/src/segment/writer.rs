//! Appending blocks to the newest segment of a stream.

use std::io;
use std::path::{Path, PathBuf};

use super::index::{BlockPlace, encode_index};
use super::reader::SegmentReader;
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
    /// What of it survives a power cut.
    synced_bytes: u64,
    /// A sync has failed, so what was written may be gone although another one would succeed.
    has_failed: bool,
    is_named: bool,
    is_sealed: bool,
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
            synced_bytes: 0,
            has_failed: false,
            is_named: false,
            is_sealed: false,
        })
    }

    /// Goes on with a segment that was found on disk with these blocks. What lies behind the last one is cut off.
    ///
    /// # Errors
    /// The disk refused.
    pub fn resume(disk: &dyn Disk, path: &Path, blocks: Vec<BlockPlace>) -> Result<Self> {
        let bytes = blocks.last().map_or(0, |block| block.offset + block.bytes);
        let found = Self::take_up(disk, path, bytes, blocks, false)?;
        let file = &found.file;
        if file.bytes().map_err(Error::io("stat", path))? != bytes {
            file.truncate(bytes).map_err(Error::io("truncate", path))?;
        }
        Ok(found)
    }

    /// Takes up a sealed segment of so many bytes, which a worker that was killed may not have synced.
    ///
    /// # Errors
    /// The disk refused.
    pub fn resume_sealed(
        disk: &dyn Disk,
        path: &Path,
        bytes: u64,
        blocks: Vec<BlockPlace>,
    ) -> Result<Self> {
        Self::take_up(disk, path, bytes, blocks, true)
    }

    fn take_up(
        disk: &dyn Disk,
        path: &Path,
        bytes: u64,
        blocks: Vec<BlockPlace>,
        is_sealed: bool,
    ) -> Result<Self> {
        let file = disk
            .open(path, OpenMode::Write)
            .map_err(Error::io("open", path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            bytes,
            blocks,
            synced_bytes: 0,
            has_failed: false,
            // The worker that made it may have been killed before it synced the name.
            is_named: false,
            is_sealed,
        })
    }

    /// Nothing can be added.
    pub fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Somebody has removed its file. One that cannot be asked is there.
    pub fn is_removed(&self) -> bool {
        matches!(self.file.has_name(), Ok(false))
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
        Ok(())
    }

    /// A sync has failed: nothing may be added before another has succeeded.
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Lets the disk begin to write what is not synced, for a sync that follows soon.
    pub fn begin_writing(&self) {
        if self.synced_bytes < self.bytes {
            self.file.begin_writing(self.synced_bytes);
        }
    }

    /// Makes all blocks survive a power cut. After a failure they are written to another file, which takes the place of this one:
    /// the disk may have forgotten what was to be synced, and a second sync of the same file would succeed all the same.
    ///
    /// # Errors
    /// The disk failed, or what was written cannot be read back. What was appended since the last success may be lost.
    pub fn sync(&mut self, disk: &dyn Disk) -> Result<()> {
        if self.has_failed {
            self.write_anew(disk)?;
            self.has_failed = false;
        } else if self.synced_bytes < self.bytes {
            let synced = self.try_sync(disk);
            self.has_failed = synced.is_err();
            synced?;
        }
        self.synced_bytes = self.bytes;
        Ok(())
    }

    fn try_sync(&mut self, disk: &dyn Disk) -> Result<()> {
        self.file.sync().map_err(Error::io("sync", &self.path))?;
        if let (false, Some(folder)) = (self.is_named, self.path.parent()) {
            // ORDER: the name must survive as well before any journal that holds the same entries goes.
            disk.sync_folder(folder)
                .map_err(Error::io("sync", folder))?;
            self.is_named = true;
        }
        Ok(())
    }

    fn write_anew(&mut self, disk: &dyn Disk) -> Result<()> {
        let whole = SegmentReader::open(disk, &self.path)?.whole_blocks(self.blocks.clone())?;
        if whole.len() < self.blocks.len() {
            let what = "blocks that could not be synced are gone";
            return Err(Error::corrupt(&self.path, 0, what));
        }
        let mut content = vec![0; usize::try_from(self.bytes).unwrap_or(0)];
        self.file
            .read_exact_at(&mut content, 0)
            .map_err(Error::io("read", &self.path))?;
        replace_file(disk, &self.path, &content, true).map_err(Error::io("write", &self.path))?;
        self.is_named = true;
        self.file = disk
            .open(&self.path, OpenMode::Write)
            .map_err(Error::io("open", &self.path))?;
        Ok(())
    }

    /// Ends the segment with its index.
    ///
    /// # Errors
    /// As `append`. A segment without an index is as readable, only slower to open.
    pub fn seal(&mut self) -> Result<()> {
        if !self.is_sealed {
            self.append_bytes(&encode_index(&self.blocks))?;
            self.is_sealed = true;
        }
        Ok(())
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

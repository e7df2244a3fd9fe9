//! The segments of a stream as an opening finds them, damage included.
//!
//! A block whose header is whole is in its place, whether it can be read or not. What is not known so easily is what lies behind the
//! last of them: a block that a killed worker began and will make again from the journal, or one that was there and is damaged.
//! The journal tells. It goes only after its blocks were synced, so what it has from there on was never lost; and where it does not go on,
//! a place stands for what is hidden, and a reader says so.

use std::path::{Path, PathBuf};

use super::LastBlock;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::segment::{self, BlockPlace, Rest, SegmentReader, SegmentWriter, UNKNOWN_COUNT};

/// After a power cut or damage entries may have been shown whose sequence numbers nothing on disk tells. More than these
/// cannot have come since the last sync, and there are enough numbers for four thousand million losses.
pub(crate) const LOSS_JUMP: u64 = 1 << 32;

/// One segment.
#[derive(Debug)]
pub(super) struct FoundSegment {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// Its blocks, oldest first, then what stands for hidden ones.
    pub(super) blocks: Vec<BlockPlace>,
    /// How many of these can be found: their headers are whole, or such a one follows.
    known: usize,
    rest: Rest,
    /// Its index tells all of this.
    pub(super) is_indexed: bool,
    /// The newest block whose header is whole.
    pub(super) last_block: Option<LastBlock>,
}

impl FoundSegment {
    /// Looks at a segment. `next`: the number of the one behind it, below which it ends.
    ///
    /// # Errors
    /// The disk refused. Damage is no error.
    pub(super) fn open(
        disk: &dyn Disk,
        folder: &Path,
        (number, modified_ns): (u64, i64),
        next: Option<u64>,
        is_after_power_cut: bool,
    ) -> Result<Self> {
        let path = folder.join(segment::file_name(number));
        let reader = SegmentReader::open(disk, &path)?;
        let mut contents = reader.contents()?;
        // After a power cut a header proves nothing, and what is not whole was never synced. The newest index, too, may have reached
        // the disk without the blocks before it.
        let is_unproven = is_after_power_cut && (next.is_none() || contents.rest != Rest::Index);
        if is_unproven {
            let listed = contents.blocks.len();
            contents.blocks = reader.whole_blocks(contents.blocks)?;
            if contents.rest != Rest::Index || contents.blocks.len() < listed {
                contents.rest = Rest::Torn;
            }
        }
        let mut known = contents.blocks.len();
        let mut last_block = None;
        while let Some(place) = known.checked_sub(1).and_then(|at| contents.blocks.get(at)) {
            match reader.header(place) {
                Ok(header) if header.first_sequence == place.first_sequence => {
                    last_block = Some(LastBlock::new(&header));
                    break;
                }
                Ok(_) | Err(Error::Corrupt { .. }) => known -= 1,
                Err(error) => return Err(error),
            }
        }
        if contents.rest != Rest::Index && !is_unproven {
            let hidden = reader.hidden_rest(&contents, number, modified_ns)?;
            contents.blocks.extend(hidden);
        }
        let mut found = Self {
            path,
            bytes: contents.bytes,
            blocks: contents.blocks,
            known,
            rest: contents.rest,
            is_indexed: contents.rest == Rest::Index,
            last_block,
        };
        if let Some(next) = next {
            found.end_before(next);
        }
        Ok(found)
    }

    /// What is hidden counts only below a number: what lies there stands elsewhere.
    pub(super) fn end_before(&mut self, next: u64) {
        while self.blocks.len() > self.known {
            let Some(last) = self.blocks.last_mut() else {
                return;
            };
            let count = next.saturating_sub(last.first_sequence);
            // Behind a jump nothing tells whether a worker that was killed had only begun to write there.
            let is_torn = last.entry_count == UNKNOWN_COUNT && self.rest == Rest::Torn;
            if count == 0 || (is_torn && count >= LOSS_JUMP) {
                self.blocks.pop();
                self.is_indexed = false;
                continue;
            }
            let count = u32::try_from(count).unwrap_or(UNKNOWN_COUNT);
            if count < last.entry_count {
                last.entry_count = count;
                self.is_indexed = false;
            }
            return;
        }
    }

    /// The sequence number behind all that it holds or hides.
    pub(super) fn end_sequence(&self) -> Option<u64> {
        self.blocks.last().map(BlockPlace::end_sequence)
    }

    /// Blocks may be added to it, once what a worker could not finish is cut off.
    pub(super) fn may_grow(&self) -> bool {
        self.rest == Rest::Torn && self.blocks.len() == self.known
    }

    /// Takes it up, to add blocks to it or only to sync it.
    ///
    /// # Errors
    /// The disk refused.
    pub(super) fn resume(&self, disk: &dyn Disk) -> Result<SegmentWriter> {
        let blocks = self.blocks.clone();
        if self.may_grow() {
            SegmentWriter::resume(disk, &self.path, blocks)
        } else {
            SegmentWriter::resume_sealed(disk, &self.path, self.bytes, blocks)
        }
    }

    /// Its index is there and tells nothing.
    pub(super) fn has_damaged_index(&self) -> bool {
        self.rest == Rest::DamagedIndex
    }

    /// Nothing tells how many entries it has lost.
    pub(super) fn hides_unknown(&self) -> bool {
        self.rest == Rest::Damaged
            || self
                .blocks
                .last()
                .is_some_and(|last| last.entry_count == UNKNOWN_COUNT)
    }
}

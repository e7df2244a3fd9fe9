//! The first bytes of a block: enough to find, order and skip it without decompressing anything.

use crate::block::{MAX_COLUMN_BYTES, SKIPPABLE_MAGIC, SKIPPABLE_PREFIX_BYTES};
use crate::fields::Fields;

/// Follows the prefix of the skippable frame.
pub(crate) const MAGIC: [u8; 8] = *b"LOGBLOCK";
const VERSION: u32 = 1;

/// As it is written in the prefix.
const HEADER_LENGTH: u32 = 128;

/// The header's length, without the prefix of the skippable frame.
pub const HEADER_BYTES: usize = HEADER_LENGTH as usize;

/// What must be read to know a block: the skippable frame's prefix and the header.
pub const BLOCK_PREFIX_BYTES: usize = SKIPPABLE_PREFIX_BYTES + HEADER_BYTES;

/// The header of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockHeader {
    /// Bytes of all sections.
    pub sections_bytes: u32,
    /// Bytes of the zstd frame.
    pub text_stored_bytes: u32,
    /// Bytes of the text that it holds.
    pub text_bytes: u32,
    /// How many entries.
    pub entry_count: u32,
    /// Sequence number of the first entry; the others follow without a gap.
    pub first_sequence: u64,
    /// The oldest time among the entries.
    pub min_time_ns: i64,
    /// The newest.
    pub max_time_ns: i64,
    /// Which session the entries came from.
    pub session: u64,
    /// Which journal generation of the stream.
    pub generation: u64,
    /// Position in the session of the first frame byte.
    pub position_from: u64,
    /// Position behind the last frame byte.
    pub position_to: u64,
    /// CRC32C of the sections as stored.
    pub sections_crc: u32,
    /// CRC32C of the zstd frame.
    pub text_crc: u32,
}

impl BlockHeader {
    /// The whole block's length in the segment.
    pub fn block_bytes(&self) -> u64 {
        BLOCK_PREFIX_BYTES as u64
            + u64::from(self.sections_bytes)
            + u64::from(self.text_stored_bytes)
    }

    /// The sequence number behind the last entry.
    pub fn end_sequence(&self) -> u64 {
        self.first_sequence.saturating_add(self.entry_count.into())
    }

    /// The prefix of the skippable frame and the header.
    pub(crate) fn encode(&self) -> [u8; BLOCK_PREFIX_BYTES] {
        let mut bytes = Vec::with_capacity(BLOCK_PREFIX_BYTES);
        let payload = HEADER_LENGTH + self.sections_bytes;
        for word in [SKIPPABLE_MAGIC, payload] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&MAGIC);
        for word in [
            VERSION,
            self.sections_bytes,
            self.text_stored_bytes,
            self.text_bytes,
        ] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&self.entry_count.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.first_sequence.to_le_bytes());
        bytes.extend_from_slice(&self.min_time_ns.to_le_bytes());
        bytes.extend_from_slice(&self.max_time_ns.to_le_bytes());
        for word in [
            self.session,
            self.generation,
            self.position_from,
            self.position_to,
        ] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&self.sections_crc.to_le_bytes());
        bytes.extend_from_slice(&self.text_crc.to_le_bytes());
        let mut block = [0; BLOCK_PREFIX_BYTES];
        let (fields, crc) = block.split_at_mut(BLOCK_PREFIX_BYTES - 4);
        for (to, from) in fields.iter_mut().zip(bytes) {
            *to = from;
        }
        crc.copy_from_slice(&crc32c::crc32c(fields).to_le_bytes());
        block
    }

    /// Reads the prefix and the header.
    ///
    /// # Errors
    /// What is wrong, in words: no block begins here, it is damaged, or of a newer version.
    pub fn decode(bytes: &[u8; BLOCK_PREFIX_BYTES]) -> Result<Self, &'static str> {
        let (fields, crc) = bytes.split_at(BLOCK_PREFIX_BYTES - 4);
        let mut fields = Fields(fields);
        let header = Self::decode_fields(&mut fields).ok_or("a block header is cut short")??;
        let (fields, _) = bytes.split_at(BLOCK_PREFIX_BYTES - 4);
        if crc != crc32c::crc32c(fields).to_le_bytes() {
            return Err("the checksum of a block header is wrong");
        }
        if header.text_bytes > MAX_COLUMN_BYTES || header.entry_count == 0 {
            return Err("a block header is impossible");
        }
        Ok(header)
    }

    fn decode_fields(fields: &mut Fields<'_>) -> Option<Result<Self, &'static str>> {
        let (magic, payload) = (fields.u32()?, fields.u32()?);
        if magic != SKIPPABLE_MAGIC || fields.take::<8>()? != MAGIC {
            return Some(Err("no block begins here"));
        }
        if fields.u32()? != VERSION {
            return Some(Err("a block has a format that this version does not know"));
        }
        let mut header = Self {
            sections_bytes: fields.u32()?,
            text_stored_bytes: fields.u32()?,
            text_bytes: fields.u32()?,
            entry_count: fields.u32()?,
            ..Self::default()
        };
        fields.take::<4>()?;
        header.first_sequence = fields.u64()?;
        header.min_time_ns = fields.i64()?;
        header.max_time_ns = fields.i64()?;
        header.session = fields.u64()?;
        header.generation = fields.u64()?;
        header.position_from = fields.u64()?;
        header.position_to = fields.u64()?;
        header.sections_crc = fields.u32()?;
        header.text_crc = fields.u32()?;
        if payload.checked_sub(HEADER_LENGTH) != Some(header.sections_bytes) {
            return Some(Err("the lengths of a block header contradict each other"));
        }
        Some(Ok(header))
    }
}

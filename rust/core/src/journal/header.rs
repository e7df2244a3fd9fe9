//! The first page of a generation.

use crate::wire::to_signed;

/// The header's length: one page, so that spliced bytes begin on a page of their own.
pub const HEADER_PAGE_BYTES: usize = 4096;

const MAGIC: [u8; 8] = *b"LOGJRNL1";
const FIELDS_BYTES: usize = 76;
const BOOT_ID_BYTES: usize = 16;

/// Which machine start a file was written under; pages of another one may never have reached the disk.
pub type BootId = [u8; BOOT_ID_BYTES];

/// In place of a machine start: the sync log vouches for these bytes.
pub const RECOVERED: BootId = [0; BOOT_ID_BYTES];

/// The header of a generation. All numbers are little endian.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenerationHeader {
    /// The place in the stream's chain.
    pub number: u64,
    /// The session whose bytes these are.
    pub session: u64,
    /// Position in the session of the first byte behind this page.
    pub start: u64,
    /// The sequence number of the first entry.
    pub first_sequence: u64,
    /// When it was begun, in nanoseconds since the epoch.
    pub created_ns: i64,
    /// How many bytes were written together with this page.
    pub initial_bytes: u64,
    /// The machine start.
    pub boot_id: BootId,
}

impl GenerationHeader {
    /// The page.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(HEADER_PAGE_BYTES);
        page.extend_from_slice(&MAGIC);
        for word in [self.number, self.session, self.start, self.first_sequence] {
            page.extend_from_slice(&word.to_le_bytes());
        }
        page.extend_from_slice(&self.created_ns.to_le_bytes());
        page.extend_from_slice(&self.initial_bytes.to_le_bytes());
        page.extend_from_slice(&self.boot_id);
        page.extend_from_slice(&crc32c::crc32c(&page).to_le_bytes());
        page.resize(HEADER_PAGE_BYTES, 0);
        page
    }

    /// Reads a page; `None` when it is not whole.
    pub(crate) fn decode(page: &[u8; HEADER_PAGE_BYTES]) -> Option<Self> {
        let (fields, rest) = page.split_first_chunk::<{ FIELDS_BYTES - 4 }>()?;
        let (crc, _) = rest.split_first_chunk::<4>()?;
        let (magic, mut words) = fields.split_first_chunk::<8>()?;
        if *magic != MAGIC || u32::from_le_bytes(*crc) != crc32c::crc32c(fields) {
            return None;
        }
        let mut word = || {
            let (word, rest) = words.split_first_chunk::<8>()?;
            words = rest;
            Some(u64::from_le_bytes(*word))
        };
        Some(Self {
            number: word()?,
            session: word()?,
            start: word()?,
            first_sequence: word()?,
            created_ns: to_signed(word()?),
            initial_bytes: word()?,
            boot_id: *words.first_chunk()?,
        })
    }
}

//! What stands in a log file, byte for byte.

use std::io;
use std::path::{Path, PathBuf};

use rustix::rand::{GetRandomFlags, getrandom};

use super::Place;
use super::packing::{Packer, Unpacker};
use crate::disk::{Disk, DiskFile, OpenMode, is_container_id, is_missing};
use crate::error::{Error, Result};
use crate::fields::Fields;
use crate::journal::{BootId, GenerationHeader, RECOVERED};

const MAGIC: [u8; 8] = *b"LOGSYNC1";

/// How much of the header earlier versions know: magic, boot id, CRC32C, zero. Records began there.
const FIRST_HEADER_BYTES: usize = 32;

/// The header: that, with another layout of the records in place of the zero; what keeps earlier versions from reading on; zero,
/// life, CRC32C, zero.
pub(super) const HEADER_BYTES: usize = 64;

/// The layout that is written, and the one of earlier versions.
const LAYOUT: u32 = 1;
const FIRST_LAYOUT: u32 = 0;

/// Where an earlier version looks for the length of a record: none is so long.
const NO_LENGTH: u32 = u32::MAX;

/// life, stored bytes, packed bytes, CRC32C
const PREFIX_BYTES: usize = 20;

/// In place of how many bytes are packed: the items are stored as they are.
const NOT_PACKED: usize = 0;

/// In the first layout: length, CRC32C
const FIRST_PREFIX_BYTES: usize = 8;

/// The length of an item.
const LENGTH_BYTES: usize = 4;

/// number, session, position, first sequence number, time; length of the container id
const FIELDS_BYTES: usize = 42;

/// LIMIT: the longest record that is read, packed or not. A stream with 256 KiB is cut into blocks instead of being logged; a
/// frame may come on top.
const MAX_RECORD_BYTES: usize = 8 << 20;

/// How much of a file is searched at once.
const SEARCHED_BYTES: usize = 64 << 10;

/// What the records of a file have in common with its header, and with nothing that was in the file before. It cannot be
/// guessed: what a container prints may end up where a record is looked for.
pub(super) type Life = [u8; 8];

/// A life that no file has had.
pub(super) fn new_life() -> Result<Life> {
    let mut life = Life::default();
    getrandom(&mut life, GetRandomFlags::empty())
        .map_err(|error| Error::io("read", Path::new("getrandom(2)"))(error.into()))?;
    Ok(life)
}

/// A header lies in one sector, so that it is there or not when it is written over another.
pub(super) fn encode_header(boot_id: &BootId, life: Life) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(boot_id);
    header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    header.extend_from_slice(&LAYOUT.to_le_bytes());
    header.extend_from_slice(&NO_LENGTH.to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    header.extend_from_slice(&life);
    header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    header.resize(HEADER_BYTES, 0);
    header
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    boot_id: BootId,
    /// `None`: the records have the first layout.
    life: Option<Life>,
}

impl Header {
    /// Where the first record is.
    fn bytes(self) -> u64 {
        if self.life.is_some() {
            HEADER_BYTES as u64
        } else {
            FIRST_HEADER_BYTES as u64
        }
    }
}

/// Reads the first bytes of a file, `HEADER_BYTES` if there are so many.
fn decode_header(bytes: &[u8]) -> Option<Header> {
    let mut fields = Fields(bytes);
    let magic: [u8; 8] = fields.take()?;
    let boot_id = fields.take()?;
    let summed = bytes.get(..MAGIC.len() + boot_id.len())?;
    if magic != MAGIC || fields.u32()? != crc32c::crc32c(summed) {
        return None;
    }
    let life = match fields.u32()? {
        FIRST_LAYOUT => None,
        LAYOUT => {
            let _: [u8; 8] = fields.take()?;
            let life = fields.take()?;
            let summed = bytes.get(..bytes.len() - fields.0.len())?;
            (fields.u32()? == crc32c::crc32c(summed)).then_some(())?;
            Some(life)
        }
        _ => return None,
    };
    Some(Header { boot_id, life })
}

/// Appends what a record holds of one generation: an item.
pub(super) fn put_item(place: &Place, bytes: &[u8], items: &mut Vec<u8>) {
    let header = &place.header;
    let length = FIELDS_BYTES + place.container_id.len() + bytes.len();
    items.reserve(LENGTH_BYTES + length);
    items.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    for word in [
        header.number,
        header.session,
        header.start,
        header.first_sequence,
    ] {
        items.extend_from_slice(&word.to_le_bytes());
    }
    items.extend_from_slice(&header.created_ns.to_le_bytes());
    // A container id has at most 128 bytes.
    items.extend_from_slice(
        &u16::try_from(place.container_id.len())
            .unwrap_or(u16::MAX)
            .to_le_bytes(),
    );
    items.extend_from_slice(place.container_id.as_bytes());
    items.extend_from_slice(bytes);
}

/// A record of items, packed behind those of the records before it, or as they are.
///
/// # Errors
/// They cannot be packed.
pub(super) fn encode_record(
    life: Life,
    items: Vec<u8>,
    packer: Option<&mut Packer>,
) -> io::Result<Vec<u8>> {
    let (stored, packed_bytes) = match packer {
        Some(packer) => {
            let mut packed = Vec::new();
            packer.pack(&items, &mut packed)?;
            (packed, items.len())
        }
        None => (items, NOT_PACKED),
    };
    let mut record = Vec::with_capacity(PREFIX_BYTES + stored.len());
    record.extend_from_slice(&life);
    for bytes in [stored.len(), packed_bytes] {
        record.extend_from_slice(&u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes());
    }
    let crc = crc32c::crc32c_append(crc32c::crc32c(&record), &stored);
    record.extend_from_slice(&crc.to_le_bytes());
    record.extend_from_slice(&stored);
    Ok(record)
}

/// Reads an item without its length; `None` where it names no generation.
fn decode_item(item: &[u8]) -> Option<(Place, &[u8])> {
    let mut fields = Fields(item);
    let header = GenerationHeader {
        number: fields.u64()?,
        session: fields.u64()?,
        start: fields.u64()?,
        first_sequence: fields.u64()?,
        created_ns: fields.i64()?,
        initial_bytes: 0,
        boot_id: RECOVERED,
    };
    let id_bytes = fields.u16()?;
    let container_id = fields.bytes(id_bytes.into())?;
    let container_id = String::from_utf8(container_id.to_vec()).ok()?;
    // It becomes the name of a folder.
    if !is_container_id(&container_id) {
        return None;
    }
    Some((
        Place {
            container_id,
            header,
        },
        fields.0,
    ))
}

/// Walks over the records of one log file.
#[derive(Debug)]
pub(crate) struct LogReader {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    header: Option<Header>,
    bytes: u64,
    /// Where the record is whose items are given, and how long it is.
    offset: u64,
    record_bytes: u64,
    stored: Vec<u8>,
    unpacker: Unpacker,
    items: Vec<u8>,
    /// So much of them has been given.
    given_bytes: usize,
}

impl LogReader {
    /// Opens a file; `None`: it is gone.
    ///
    /// # Errors
    /// The disk refused.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Option<Self>> {
        let file = disk.open(path, OpenMode::Read);
        if is_missing(&file) {
            return Ok(None);
        }
        let file = file.map_err(Error::io("open", path))?;
        let bytes = file.bytes().map_err(Error::io("stat", path))?;
        let mut reader = Self {
            path: path.to_owned(),
            file,
            header: None,
            bytes,
            offset: 0,
            record_bytes: 0,
            stored: Vec::new(),
            unpacker: Unpacker::default(),
            items: Vec::new(),
            given_bytes: 0,
        };
        reader.header = reader.read_header()?;
        reader.offset = reader.header.map_or(0, Header::bytes);
        Ok(Some(reader))
    }

    fn read_header(&self) -> Result<Option<Header>> {
        let mut header = [0; HEADER_BYTES];
        let length = usize::try_from(self.bytes).unwrap_or(HEADER_BYTES);
        let header = header
            .get_mut(..length.min(HEADER_BYTES))
            .unwrap_or_default();
        self.read(header, 0)?;
        Ok(decode_header(header))
    }

    /// Under which start of the machine it was written; `None`: its header is not whole.
    pub(crate) fn boot_id(&self) -> Option<BootId> {
        self.header.map(|header| header.boot_id)
    }

    /// Where the walk stands. Behind the last whole record this is where the file is torn, or its end.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Its size when it was opened.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next item: where its bytes belong, and the bytes. `None` where none is whole.
    ///
    /// # Errors
    /// The disk refused.
    pub(crate) fn next_item(&mut self) -> Result<Option<(Place, &[u8])>> {
        if self.given_bytes == self.items.len() && !self.read_record()? {
            return Ok(None);
        }
        let mut rest = Fields(self.items.get(self.given_bytes..).unwrap_or_default());
        let item = rest.u32().and_then(|length| rest.bytes(length as usize));
        let Some(item) = item else {
            return Ok(None);
        };
        let decoded = decode_item(item);
        if decoded.is_some() {
            self.given_bytes += LENGTH_BYTES + item.len();
        }
        Ok(decoded)
    }

    /// Takes the items out of the next record; `false`: it is not whole.
    fn read_record(&mut self) -> Result<bool> {
        self.offset += std::mem::take(&mut self.record_bytes);
        self.given_bytes = 0;
        self.items.clear();
        let Some(header) = self.header else {
            return Ok(false);
        };
        let record_bytes = match header.life {
            Some(life) => self.read_of_life(life)?,
            None => self.read_first_layout()?,
        };
        match record_bytes {
            Some(record_bytes) => self.record_bytes = record_bytes,
            // What was unpacked does not count.
            None => self.items.clear(),
        }
        Ok(record_bytes.is_some())
    }

    fn read_of_life(&mut self, life: Life) -> Result<Option<u64>> {
        let Some(prefix) = self.read_prefix::<PREFIX_BYTES>()? else {
            return Ok(None);
        };
        let (known, crc) = prefix.split_at(PREFIX_BYTES - LENGTH_BYTES);
        let (found, lengths) = known.split_at(life.len());
        let mut lengths = Fields(lengths);
        let mut length = || lengths.u32().map_or(0, |length| length as usize);
        let (stored_bytes, packed_bytes) = (length(), length());
        let is_ours = found == life && stored_bytes > 0 && packed_bytes <= MAX_RECORD_BYTES;
        if !(is_ours && self.read_stored(PREFIX_BYTES, stored_bytes)?) {
            return Ok(None);
        }
        if crc != crc32c::crc32c_append(crc32c::crc32c(known), &self.stored).to_le_bytes() {
            return Ok(None);
        }
        let unpacked = if packed_bytes == NOT_PACKED {
            std::mem::swap(&mut self.stored, &mut self.items);
            Some(())
        } else {
            self.unpacker
                .unpack(&self.stored, packed_bytes, &mut self.items)
        };
        Ok(unpacked.map(|()| (PREFIX_BYTES + stored_bytes) as u64))
    }

    /// A record that stands for one item, as it is.
    fn read_first_layout(&mut self) -> Result<Option<u64>> {
        let Some(prefix) = self.read_prefix::<FIRST_PREFIX_BYTES>()? else {
            return Ok(None);
        };
        let [l0, l1, l2, l3, crc @ ..] = prefix;
        let length = [l0, l1, l2, l3];
        let stored_bytes = u32::from_le_bytes(length) as usize;
        if !self.read_stored(FIRST_PREFIX_BYTES, stored_bytes)?
            || u32::from_le_bytes(crc) != crc32c::crc32c(&self.stored)
        {
            return Ok(None);
        }
        self.items.extend_from_slice(&length);
        self.items.extend_from_slice(&self.stored);
        Ok(Some((FIRST_PREFIX_BYTES + stored_bytes) as u64))
    }

    /// What stands before a record; `None` where the file ends.
    fn read_prefix<const N: usize>(&self) -> Result<Option<[u8; N]>> {
        let mut prefix = [0; N];
        if self.offset + N as u64 > self.bytes {
            return Ok(None);
        }
        self.read(&mut prefix, self.offset)?;
        Ok(Some(prefix))
    }

    /// Reads what a record stores behind its prefix; `false`: there is not so much, or none is so long.
    fn read_stored(&mut self, prefix_bytes: usize, stored_bytes: usize) -> Result<bool> {
        let stored_at = self.offset + prefix_bytes as u64;
        if stored_bytes > MAX_RECORD_BYTES || stored_bytes as u64 > self.bytes - stored_at {
            return Ok(false);
        }
        let mut stored = std::mem::take(&mut self.stored);
        stored.resize(stored_bytes, 0);
        let read = self.read(&mut stored, stored_at);
        self.stored = stored;
        read.map(|()| true)
    }

    /// Whether what stands behind the last whole record shows damage. `is_newest`: a worker may be appending, or was killed.
    ///
    /// What a file held before, and a record that is not written to its end, are none.
    ///
    /// # Errors
    /// The disk refused.
    pub(crate) fn is_damaged(&self, is_newest: bool) -> Result<bool> {
        match self.header {
            Some(Header {
                life: Some(life), ..
            }) => {
                // A file that has begun again meanwhile holds none of this life.
                Ok(self.has_record_behind(life)? && self.read_header()? == self.header)
            }
            _ => Ok(self.offset < self.bytes && !(is_newest && self.is_torn()?)),
        }
    }

    /// Whether a later record begins behind the one at which the walk has ended.
    fn has_record_behind(&self, life: Life) -> Result<bool> {
        let mut at = self.offset + 1;
        let mut window = vec![0; SEARCHED_BYTES];
        while at + (PREFIX_BYTES as u64) <= self.bytes {
            let left = usize::try_from(self.bytes - at).unwrap_or(SEARCHED_BYTES);
            let Some(searched) = window.get_mut(..left.min(SEARCHED_BYTES)) else {
                break;
            };
            self.read(searched, at)?;
            if searched.windows(life.len()).any(|found| found == life) {
                return Ok(true);
            }
            at += (searched.len() - life.len() + 1) as u64;
        }
        Ok(false)
    }

    /// Whether what is left can be the beginning of a record of the first layout that is not written to its end.
    fn is_torn(&self) -> Result<bool> {
        let Some(prefix) = self.read_prefix::<FIRST_PREFIX_BYTES>()? else {
            return Ok(true);
        };
        let length = Fields(&prefix).u32().map_or(0, |length| length as usize);
        let left = self.bytes - self.offset - FIRST_PREFIX_BYTES as u64;
        Ok(length <= MAX_RECORD_BYTES && length as u64 > left)
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(Error::io("read", &self.path))
    }
}

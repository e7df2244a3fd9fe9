//! What stands in a log file, byte for byte.

use std::path::{Path, PathBuf};

use super::Place;
use crate::disk::{Disk, DiskFile, OpenMode, is_container_id, is_missing};
use crate::error::{Error, Result};
use crate::journal::{BootId, GenerationHeader, RECOVERED};

const MAGIC: [u8; 8] = *b"LOGSYNC1";
pub(super) const HEADER_BYTES: usize = 32;

/// length, CRC32C
const PREFIX_BYTES: usize = 8;

/// number, session, position, first sequence number, time; length of the container id
const FIELDS_BYTES: usize = 42;

/// LIMIT: the longest record that is read. A stream with 256 KiB is cut into blocks instead of being logged; a frame
/// may come on top.
const MAX_RECORD_BYTES: usize = 8 << 20;

pub(super) fn encode_header(boot_id: &BootId) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(boot_id);
    header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    header.resize(HEADER_BYTES, 0);
    header
}

fn decode_header(header: &[u8; HEADER_BYTES]) -> Option<BootId> {
    let (magic, rest) = header.split_first_chunk::<8>()?;
    let (boot_id, rest) = rest.split_first_chunk()?;
    let (crc, _) = rest.split_first_chunk::<4>()?;
    let fields = header.get(..MAGIC.len() + boot_id.len())?;
    let is_whole = *magic == MAGIC && u32::from_le_bytes(*crc) == crc32c::crc32c(fields);
    is_whole.then_some(*boot_id)
}

pub(super) fn encode_record(place: &Place, bytes: &[u8]) -> Vec<u8> {
    let header = &place.header;
    let mut body = Vec::with_capacity(FIELDS_BYTES + place.container_id.len() + bytes.len());
    for word in [
        header.number,
        header.session,
        header.start,
        header.first_sequence,
    ] {
        body.extend_from_slice(&word.to_le_bytes());
    }
    body.extend_from_slice(&header.created_ns.to_le_bytes());
    // A container id has at most 128 bytes.
    body.extend_from_slice(
        &u16::try_from(place.container_id.len())
            .unwrap_or(u16::MAX)
            .to_le_bytes(),
    );
    body.extend_from_slice(place.container_id.as_bytes());
    body.extend_from_slice(bytes);
    let mut record = Vec::with_capacity(PREFIX_BYTES + body.len());
    record.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    record.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    record.extend_from_slice(&body);
    record
}

/// Reads a record's body; `None` where it names no generation.
fn decode_body(mut body: &[u8]) -> Option<(Place, &[u8])> {
    let mut word = || {
        let (word, rest) = body.split_first_chunk::<8>()?;
        body = rest;
        Some(*word)
    };
    let header = GenerationHeader {
        number: u64::from_le_bytes(word()?),
        session: u64::from_le_bytes(word()?),
        start: u64::from_le_bytes(word()?),
        first_sequence: u64::from_le_bytes(word()?),
        created_ns: i64::from_le_bytes(word()?),
        initial_bytes: 0,
        boot_id: RECOVERED,
    };
    let (id_bytes, body) = body.split_first_chunk::<2>()?;
    let (container_id, bytes) = body.split_at_checked(u16::from_le_bytes(*id_bytes).into())?;
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
        bytes,
    ))
}

/// Walks over the records of one log file.
#[derive(Debug)]
pub(crate) struct LogReader {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    boot_id: Option<BootId>,
    bytes: u64,
    offset: u64,
    body: Vec<u8>,
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
        let mut header = [0; HEADER_BYTES];
        let boot_id = if bytes < HEADER_BYTES as u64 {
            None
        } else {
            file.read_exact_at(&mut header, 0)
                .map_err(Error::io("read", path))?;
            decode_header(&header)
        };
        Ok(Some(Self {
            path: path.to_owned(),
            file,
            boot_id,
            bytes,
            offset: HEADER_BYTES as u64,
            body: Vec::new(),
        }))
    }

    /// Under which start of the machine it was written; `None`: its header is not whole.
    pub(crate) fn boot_id(&self) -> Option<BootId> {
        self.boot_id
    }

    /// Where the walk stands. Behind the last whole record this is where the file is torn, or its end.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Its size when it was opened.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next record: where its bytes belong, and the bytes. `None` where none is whole.
    ///
    /// # Errors
    /// The disk refused.
    pub(crate) fn next_record(&mut self) -> Result<Option<(Place, &[u8])>> {
        let body_at = self.offset + PREFIX_BYTES as u64;
        if body_at > self.bytes {
            return Ok(None);
        }
        let mut prefix = [0; PREFIX_BYTES];
        self.read(&mut prefix, self.offset)?;
        let [l0, l1, l2, l3, crc @ ..] = prefix;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > MAX_RECORD_BYTES || length as u64 > self.bytes - body_at {
            return Ok(None);
        }
        let mut body = std::mem::take(&mut self.body);
        body.resize(length, 0);
        let read = self.read(&mut body, body_at);
        self.body = body;
        read?;
        if u32::from_le_bytes(crc) != crc32c::crc32c(&self.body) {
            return Ok(None);
        }
        let decoded = decode_body(&self.body);
        if decoded.is_some() {
            self.offset = body_at + length as u64;
        }
        Ok(decoded)
    }

    /// Whether what is left can be the beginning of a record that is not written to its end.
    ///
    /// # Errors
    /// The disk refused.
    pub(crate) fn is_torn(&self) -> Result<bool> {
        let body_at = self.offset + PREFIX_BYTES as u64;
        if body_at > self.bytes {
            return Ok(true);
        }
        let mut length = [0; 4];
        self.read(&mut length, self.offset)?;
        let length = u32::from_le_bytes(length) as usize;
        Ok(length <= MAX_RECORD_BYTES && length as u64 > self.bytes - body_at)
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(Error::io("read", &self.path))
    }
}

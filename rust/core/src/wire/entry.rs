//! One `LogEntry`: decoding with every field kept, and encoding.

use std::borrow::Cow;

use super::varint::{put_varint, take_varint, to_signed, to_unsigned, varint_bytes};
use super::{FRAME_PREFIX_BYTES, STDERR};

const TAG_SOURCE: u32 = (1 << 3) | 2;
const TAG_TIME: u32 = 2 << 3;
const TAG_LINE: u32 = (3 << 3) | 2;
const TAG_PARTIAL: u32 = 4 << 3;
const TAG_METADATA: u32 = (5 << 3) | 2;
const TAG_PIECE_ID: u32 = (2 << 3) | 2;
const TAG_PIECE_ORDINAL: u32 = 3 << 3;

/// One `LogEntry`, borrowing from the bytes it was decoded from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry<'a> {
    /// `stdout` or `stderr`; anything else is kept as well.
    pub source: &'a [u8],
    /// When dockerd handled the line, in nanoseconds since the epoch. Not monotonic within a stream.
    pub time_ns: i64,
    /// The bytes of the line, without its newline.
    pub line: &'a [u8],
    /// A piece of a line that was longer than dockerd's buffer.
    pub partial: bool,
    /// The encoded `PartialLogEntryMetadata`, when there is one.
    pub metadata: Option<Cow<'a, [u8]>>,
    /// The metadata says that this piece ends its line.
    pub last: bool,
    /// Fields that this version does not know, tags included.
    pub unknown: Cow<'a, [u8]>,
}

/// What `PartialLogEntryMetadata` tells of a piece of a long line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The same for all pieces of a line.
    pub id: &'a [u8],
    /// Which piece it is, from 1.
    pub ordinal: i64,
}

impl<'a> Entry<'a> {
    /// An entry of Logboom's own.
    pub fn own(time_ns: i64, text: &'a str) -> Self {
        Self {
            source: STDERR,
            time_ns,
            line: text.as_bytes(),
            ..Self::default()
        }
    }

    /// Which piece of a long line this is, as far as its metadata tells.
    pub fn piece(&self) -> Piece<'_> {
        let mut piece = Piece::default();
        let mut rest = self.metadata.as_deref().unwrap_or_default();
        while let Ok(tag) = take_tag(&mut rest) {
            let taken = match tag {
                TAG_PIECE_ID => take_bytes(&mut rest).map(|id| piece.id = id),
                TAG_PIECE_ORDINAL => {
                    take_varint(&mut rest).map(|ordinal| piece.ordinal = to_signed(ordinal))
                }
                _ => skip_value(tag, &mut rest),
            };
            if taken.is_err() {
                break;
            }
        }
        piece
    }

    /// The line goes on in a later entry, so no newline ends this one.
    pub fn is_continued(&self) -> bool {
        self.partial && !self.last
    }
}

/// A message that is not a `LogEntry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It ends inside a field.
    #[error("ends inside a field")]
    Truncated,
    /// A varint has more than ten bytes.
    #[error("a varint is too long")]
    VarintTooLong,
    /// Field number zero, or a number over 2^29.
    #[error("an impossible field number")]
    FieldNumber,
    /// A wire type that proto3 does not have, or that the field cannot have.
    #[error("a wrong wire type")]
    WireType,
}

/// Takes a length and that many bytes off the front.
fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let length = usize::try_from(take_varint(bytes)?).map_err(|_| DecodeError::Truncated)?;
    let (value, rest) = bytes
        .split_at_checked(length)
        .ok_or(DecodeError::Truncated)?;
    *bytes = rest;
    Ok(value)
}

fn take_tag(bytes: &mut &[u8]) -> Result<u32, DecodeError> {
    let tag = u32::try_from(take_varint(bytes)?).map_err(|_| DecodeError::FieldNumber)?;
    if tag >> 3 == 0 {
        Err(DecodeError::FieldNumber)
    } else {
        Ok(tag)
    }
}

/// Passes over the value of a field that is not known here.
fn skip_value(tag: u32, bytes: &mut &[u8]) -> Result<(), DecodeError> {
    let fixed = match tag & 7 {
        0 => return take_varint(bytes).map(drop),
        2 => return take_bytes(bytes).map(drop),
        1 => 8,
        5 => 4,
        _ => return Err(DecodeError::WireType),
    };
    *bytes = bytes.get(fixed..).ok_or(DecodeError::Truncated)?;
    Ok(())
}

/// Whether a `PartialLogEntryMetadata` says that its piece is the last.
fn metadata_last(mut bytes: &[u8]) -> Result<bool, DecodeError> {
    let mut last = false;
    while !bytes.is_empty() {
        match take_tag(&mut bytes)? {
            8 => last = take_varint(&mut bytes)? != 0,
            tag => skip_value(tag, &mut bytes)?,
        }
    }
    Ok(last)
}

/// Appends to a field that may stand in several parts of a message; one part is only borrowed.
fn join<'a>(field: &mut Cow<'a, [u8]>, part: &'a [u8]) {
    if field.is_empty() {
        *field = Cow::Borrowed(part);
    } else {
        field.to_mut().extend_from_slice(part);
    }
}

/// Decodes a message of any form.
///
/// As protobuf demands, the last value of a field counts, the parts of a sub-message are merged, and fields that are not
/// known are kept.
#[cold]
pub(super) fn decode_any(message: &[u8]) -> Result<Entry<'_>, DecodeError> {
    let mut entry = Entry::default();
    let mut rest = message;
    while !rest.is_empty() {
        let field = rest;
        match take_tag(&mut rest)? {
            TAG_SOURCE => entry.source = take_bytes(&mut rest)?,
            TAG_TIME => entry.time_ns = to_signed(take_varint(&mut rest)?),
            TAG_LINE => entry.line = take_bytes(&mut rest)?,
            TAG_PARTIAL => entry.partial = take_varint(&mut rest)? != 0,
            TAG_METADATA => {
                let part = take_bytes(&mut rest)?;
                let metadata = entry.metadata.get_or_insert_default();
                join(metadata, part);
                entry.last = metadata_last(metadata)?;
            }
            tag if tag >> 3 <= 5 => return Err(DecodeError::WireType),
            tag => {
                skip_value(tag, &mut rest)?;
                let (unknown, _) = field.split_at(field.len() - rest.len());
                join(&mut entry.unknown, unknown);
            }
        }
    }
    Ok(entry)
}

fn put_bytes(tag: u32, value: &[u8], out: &mut Vec<u8>) {
    put_varint(tag.into(), out);
    put_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn field_bytes(length: usize) -> usize {
    1 + varint_bytes(length as u64) + length
}

fn optional_bytes(length: usize) -> usize {
    if length == 0 { 0 } else { field_bytes(length) }
}

fn message_bytes(entry: &Entry<'_>, newline: &[u8]) -> usize {
    optional_bytes(entry.source.len())
        + if entry.time_ns == 0 {
            0
        } else {
            1 + varint_bytes(to_unsigned(entry.time_ns))
        }
        + optional_bytes(entry.line.len() + newline.len())
        + 2 * usize::from(entry.partial)
        + entry
            .metadata
            .as_ref()
            .map_or(0, |metadata| field_bytes(metadata.len()))
        + entry.unknown.len()
}

/// Appends the message, fields in ascending order as dockerd writes them, `newline` behind the line.
fn put_message(entry: &Entry<'_>, newline: &[u8], out: &mut Vec<u8>) {
    if !entry.source.is_empty() {
        put_bytes(TAG_SOURCE, entry.source, out);
    }
    if entry.time_ns != 0 {
        put_varint(TAG_TIME.into(), out);
        put_varint(to_unsigned(entry.time_ns), out);
    }
    let line_bytes = entry.line.len() + newline.len();
    if line_bytes > 0 {
        put_varint(TAG_LINE.into(), out);
        put_varint(line_bytes as u64, out);
        out.extend_from_slice(entry.line);
        out.extend_from_slice(newline);
    }
    if entry.partial {
        put_varint(TAG_PARTIAL.into(), out);
        out.push(1);
    }
    if let Some(metadata) = &entry.metadata {
        put_bytes(TAG_METADATA, metadata, out);
    }
    out.extend_from_slice(&entry.unknown);
}

/// Appends the message of a frame as dockerd writes it, without its length.
pub(crate) fn encode(entry: &Entry<'_>, out: &mut Vec<u8>) {
    put_message(entry, b"", out);
}

/// Appends a frame as dockerd writes it.
pub fn encode_frame(entry: &Entry<'_>, out: &mut Vec<u8>) {
    put_frame(entry, b"", out);
}

/// Appends a frame of any form, the line with its newline unless it goes on in a later entry.
pub(super) fn encode_any_frame(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let newline: &[u8] = if entry.is_continued() { b"" } else { b"\n" };
    put_frame(entry, newline, out);
}

fn put_frame(entry: &Entry<'_>, newline: &[u8], out: &mut Vec<u8>) {
    let length = message_bytes(entry, newline);
    out.reserve(FRAME_PREFIX_BYTES + length);
    // No entry comes near 4 GiB: one of a frame has MAX_ENTRY_BYTES and one newline more, one of a json-file log what its reader takes.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    put_message(entry, newline, out);
}

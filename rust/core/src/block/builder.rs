//! From entries to a block.

use std::io::Cursor;

use crate::block::{BLOCK_PREFIX_BYTES, BlockHeader, LEVEL, flag, section};
use crate::wire::{Entry, STDERR, STDOUT, put_varint, to_unsigned};

/// Where the entries of a block come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Sequence number of the first entry.
    pub first_sequence: u64,
    /// The session.
    pub session: u64,
    /// The journal generation.
    pub generation: u64,
    /// Position in the session of the first frame byte.
    pub position_from: u64,
    /// Position behind the last frame byte.
    pub position_to: u64,
}

/// Compresses columns; keeps zstd's working memory from block to block.
pub struct Encoder {
    context: zstd_safe::CCtx<'static>,
    compress_text: bool,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Encoder")
            .field("compress_text", &self.compress_text)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    /// `compress_text`: `false` keeps the text as it is, in a zstd frame of raw blocks.
    pub fn new(compress_text: bool) -> Self {
        Self {
            context: zstd_safe::CCtx::create(),
            compress_text,
        }
    }

    /// Whether the text is compressed.
    pub fn set_compress_text(&mut self, compress_text: bool) {
        self.compress_text = compress_text;
    }

    /// Appends one zstd frame.
    fn compress(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.reserve(zstd_safe::compress_bound(bytes.len()));
        let start = out.len();
        let mut place = Cursor::new(&mut *out);
        place.set_position(start as u64);
        // Level 1 into a buffer of the bound cannot fail but for want of memory; a frame of raw blocks is as valid.
        if self.context.compress(&mut place, bytes, LEVEL).is_err() {
            out.truncate(start);
            put_raw_frame(bytes, out);
        }
    }

    fn put_text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        if self.compress_text {
            self.compress(text, out);
        } else {
            put_raw_frame(text, out);
        }
    }

    fn put_section(&mut self, kind: u16, raw: &[u8], out: &mut Vec<u8>) {
        if raw.is_empty() {
            return;
        }
        let start = out.len();
        out.extend_from_slice(&[0; section::HEADER_BYTES]);
        self.compress(raw, out);
        let mut codec = section::CODEC_ZSTD;
        if out.len() - start - section::HEADER_BYTES >= raw.len() {
            out.truncate(start + section::HEADER_BYTES);
            out.extend_from_slice(raw);
            codec = section::CODEC_RAW;
        }
        let stored = out.len() - start - section::HEADER_BYTES;
        let mut header = Vec::with_capacity(section::HEADER_BYTES);
        header.extend_from_slice(&kind.to_le_bytes());
        header.extend_from_slice(&codec.to_le_bytes());
        header.extend_from_slice(&column_bytes(raw.len()).to_le_bytes());
        header.extend_from_slice(&column_bytes(stored).to_le_bytes());
        if let Some(place) = out.get_mut(start..start + section::HEADER_BYTES) {
            place.copy_from_slice(&header);
        }
    }
}

/// Lengths of columns are bounded by the block's target size and one entry, far below 4 GiB.
fn column_bytes(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Appends a zstd frame that holds the bytes as they are (RFC 8878, section 3.1.1).
fn put_raw_frame(bytes: &[u8], out: &mut Vec<u8>) {
    const FRAME_MAGIC: u32 = 0xFD2F_B528;
    /// A single segment whose content size takes four bytes.
    const DESCRIPTOR: u8 = 0b1010_0000;
    /// LIMIT: zstd's own for one block.
    const RAW_BLOCK_BYTES: usize = 128 * 1024;

    out.extend_from_slice(&FRAME_MAGIC.to_le_bytes());
    out.push(DESCRIPTOR);
    out.extend_from_slice(&column_bytes(bytes.len()).to_le_bytes());
    let mut rest = bytes;
    loop {
        let (block, behind) = rest.split_at(rest.len().min(RAW_BLOCK_BYTES));
        let header = (column_bytes(block.len()) << 3) | u32::from(behind.is_empty());
        out.extend(header.to_le_bytes().iter().take(3));
        out.extend_from_slice(block);
        rest = behind;
        if rest.is_empty() {
            return;
        }
    }
}

/// Gathers entries as columns.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    text: Vec<u8>,
    flags: Vec<u8>,
    times: Vec<u8>,
    lengths: Vec<u8>,
    extras: Vec<u8>,
    previous_time_ns: i64,
    min_time_ns: i64,
    max_time_ns: i64,
}

impl BlockBuilder {
    /// How many entries have been pushed.
    pub fn entry_count(&self) -> u32 {
        column_bytes(self.flags.len())
    }

    /// Bytes of their text.
    pub fn text_bytes(&self) -> u64 {
        self.text.len() as u64
    }

    /// Adds an entry; `is_own`: Logboom wrote it.
    pub fn push(&mut self, entry: &Entry<'_>, is_own: bool) {
        let mut flags = match entry.source {
            STDOUT => flag::SOURCE_STDOUT,
            STDERR => flag::SOURCE_STDERR,
            _ => 0,
        };
        for (bit, is_set) in [
            (flag::PARTIAL, entry.partial),
            (flag::LAST, entry.last),
            (flag::METADATA, entry.metadata.is_some()),
            (flag::UNKNOWN, !entry.unknown.is_empty()),
            (flag::OWN, is_own),
        ] {
            if is_set {
                flags |= bit;
            }
        }
        self.text.extend_from_slice(entry.line);
        if entry.is_continued() || memchr::memchr(b'\n', entry.line).is_some() {
            flags |= flag::LENGTH;
            put_varint(entry.line.len() as u64, &mut self.lengths);
        }
        if !entry.is_continued() {
            self.text.push(b'\n');
        }
        self.push_time(entry.time_ns);
        if flag::has_extras(flags) {
            self.push_extras(entry, flags);
        }
        self.flags.push(flags);
    }

    fn push_time(&mut self, time_ns: i64) {
        if self.flags.is_empty() {
            (self.min_time_ns, self.max_time_ns) = (time_ns, time_ns);
        }
        self.min_time_ns = self.min_time_ns.min(time_ns);
        self.max_time_ns = self.max_time_ns.max(time_ns);
        let difference = time_ns.wrapping_sub(self.previous_time_ns);
        put_varint(
            to_unsigned((difference << 1) ^ (difference >> 63)),
            &mut self.times,
        );
        self.previous_time_ns = time_ns;
    }

    fn push_extras(&mut self, entry: &Entry<'_>, flags: u8) {
        let source = (flags & flag::SOURCE_MASK == 0).then_some(entry.source);
        let unknown = (flags & flag::UNKNOWN != 0).then_some(&*entry.unknown);
        for extra in [source, entry.metadata.as_deref(), unknown]
            .into_iter()
            .flatten()
        {
            put_varint(extra.len() as u64, &mut self.extras);
            self.extras.extend_from_slice(extra);
        }
    }

    /// Appends the block to `out` and begins anew. Without an entry nothing is appended.
    pub fn finish(
        &mut self,
        origin: Origin,
        encoder: &mut Encoder,
        out: &mut Vec<u8>,
    ) -> Option<BlockHeader> {
        if self.flags.is_empty() {
            return None;
        }
        let start = out.len();
        let sections_start = start + BLOCK_PREFIX_BYTES;
        out.resize(sections_start, 0);
        encoder.put_section(section::FLAGS, &self.flags, out);
        encoder.put_section(section::TIMES, &self.times, out);
        encoder.put_section(section::LENGTHS, &self.lengths, out);
        encoder.put_section(section::EXTRAS, &self.extras, out);
        let text_start = out.len();
        encoder.put_text(&self.text, out);
        let (before, text) = out.split_at(text_start);
        let sections = before.get(sections_start..).unwrap_or_default();
        let header = BlockHeader {
            sections_bytes: column_bytes(sections.len()),
            text_stored_bytes: column_bytes(text.len()),
            text_bytes: column_bytes(self.text.len()),
            entry_count: self.entry_count(),
            first_sequence: origin.first_sequence,
            min_time_ns: self.min_time_ns,
            max_time_ns: self.max_time_ns,
            session: origin.session,
            generation: origin.generation,
            position_from: origin.position_from,
            position_to: origin.position_to,
            sections_crc: crc32c::crc32c(sections),
            text_crc: crc32c::crc32c(text),
        };
        if let Some(place) = out.get_mut(start..sections_start) {
            place.copy_from_slice(&header.encode());
        }
        self.clear();
        Some(header)
    }

    /// Forgets what has been pushed.
    pub fn clear(&mut self) {
        for column in [
            &mut self.text,
            &mut self.flags,
            &mut self.times,
            &mut self.lengths,
            &mut self.extras,
        ] {
            column.clear();
        }
        self.previous_time_ns = 0;
    }
}

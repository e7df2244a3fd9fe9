//! From a block back to entries.

use std::borrow::Cow;

use crate::block::{BlockHeader, MAX_COLUMN_BYTES, flag, section};
use crate::wire::{Entry, STDERR, STDOUT, take_varint, to_signed};

/// A decompressed block. Give it another block to use its memory again.
#[derive(Debug, Default)]
pub struct Block {
    text: Vec<u8>,
    flags: Vec<u8>,
    times: Vec<u8>,
    lengths: Vec<u8>,
    extras: Vec<u8>,
    decoder: Decoder,
}

/// An entry of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The entry as dockerd wrote it.
    pub entry: Entry<'a>,
    /// Logboom wrote it.
    pub is_own: bool,
}

type Damage = &'static str;

fn take_section<'a>(bytes: &mut &'a [u8]) -> Option<(u16, u16, u32, &'a [u8])> {
    let (kind, rest) = bytes.split_first_chunk::<2>()?;
    let (codec, rest) = rest.split_first_chunk::<2>()?;
    let (raw, rest) = rest.split_first_chunk::<4>()?;
    let (stored, rest) = rest.split_first_chunk::<4>()?;
    let (content, rest) = rest.split_at_checked(u32::from_le_bytes(*stored) as usize)?;
    *bytes = rest;
    Some((
        u16::from_le_bytes(*kind),
        u16::from_le_bytes(*codec),
        u32::from_le_bytes(*raw),
        content,
    ))
}

/// zstd's working memory, which is worth keeping from column to column.
#[derive(Default)]
struct Decoder(Option<zstd_safe::DCtx<'static>>);

impl std::fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Decoder")
    }
}

impl Decoder {
    /// Decompresses into `column`, which is exactly `raw_bytes` long afterwards.
    fn decompress(
        &mut self,
        stored: &[u8],
        raw_bytes: u32,
        column: &mut Vec<u8>,
    ) -> Result<(), Damage> {
        if raw_bytes > MAX_COLUMN_BYTES {
            return Err("a column is larger than any that is written");
        }
        column.clear();
        column.reserve(raw_bytes as usize);
        if self.0.is_none() {
            self.0 = zstd_safe::DCtx::try_create();
        }
        let context = self.0.as_mut().ok_or("no memory to decompress")?;
        context
            .decompress(column, stored)
            .map_err(|_| "a column does not decompress")?;
        if column.len() == raw_bytes as usize {
            Ok(())
        } else {
            Err("a column has another length than its header says")
        }
    }
}

impl Block {
    /// Decompresses what follows a block's header in the segment.
    ///
    /// # Errors
    /// What is wrong, in words; the block's content is undefined then.
    pub fn decode(&mut self, header: &BlockHeader, body: &[u8]) -> Result<(), Damage> {
        let (mut sections, text) = body
            .split_at_checked(header.sections_bytes as usize)
            .ok_or("a block is cut short")?;
        if text.len() != header.text_stored_bytes as usize {
            return Err("a block is cut short");
        }
        if crc32c::crc32c(sections) != header.sections_crc
            || crc32c::crc32c(text) != header.text_crc
        {
            return Err("the checksum of a block is wrong");
        }
        for column in [
            &mut self.flags,
            &mut self.times,
            &mut self.lengths,
            &mut self.extras,
        ] {
            column.clear();
        }
        while !sections.is_empty() {
            let (kind, codec, raw_bytes, stored) =
                take_section(&mut sections).ok_or("a section is cut short")?;
            let column = match kind {
                section::FLAGS => &mut self.flags,
                section::TIMES => &mut self.times,
                section::LENGTHS => &mut self.lengths,
                section::EXTRAS => &mut self.extras,
                _ => continue,
            };
            match codec {
                section::CODEC_RAW => {
                    column.clear();
                    column.extend_from_slice(stored);
                }
                section::CODEC_ZSTD => self.decoder.decompress(stored, raw_bytes, column)?,
                _ => return Err("a section is packed in a way that this version does not know"),
            }
        }
        self.decoder
            .decompress(text, header.text_bytes, &mut self.text)?;
        if self.flags.len() == header.entry_count as usize {
            Ok(())
        } else {
            Err("a block holds another number of entries than its header says")
        }
    }

    /// The entries in order. Each is an error where the columns contradict each other; nothing follows then.
    pub fn rows(&self) -> Rows<'_> {
        Rows {
            text: &self.text,
            flags: &self.flags,
            times: &self.times,
            lengths: &self.lengths,
            extras: &self.extras,
            time_ns: 0,
        }
    }
}

/// Walks the columns of a block side by side.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    text: &'a [u8],
    flags: &'a [u8],
    times: &'a [u8],
    lengths: &'a [u8],
    extras: &'a [u8],
    time_ns: i64,
}

impl<'a> Rows<'a> {
    fn take_text(&mut self, flags: u8) -> Option<&'a [u8]> {
        let length = if flags & flag::LENGTH == 0 {
            memchr::memchr(b'\n', self.text)?
        } else {
            usize::try_from(take_varint(&mut self.lengths).ok()?).ok()?
        };
        let (line, rest) = self.text.split_at_checked(length)?;
        self.text = if flag::is_continued(flags) {
            rest
        } else {
            rest.strip_prefix(b"\n")?
        };
        Some(line)
    }

    fn take_extra(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(take_varint(&mut self.extras).ok()?).ok()?;
        let (extra, rest) = self.extras.split_at_checked(length)?;
        self.extras = rest;
        Some(extra)
    }

    fn take_row(&mut self, flags: u8) -> Option<Row<'a>> {
        let difference = take_varint(&mut self.times).ok()?;
        let difference = to_signed(difference >> 1) ^ -to_signed(difference & 1);
        self.time_ns = self.time_ns.wrapping_add(difference);
        let mut entry = Entry {
            source: match flags & flag::SOURCE_MASK {
                flag::SOURCE_STDOUT => STDOUT,
                flag::SOURCE_STDERR => STDERR,
                _ => b"",
            },
            time_ns: self.time_ns,
            line: self.take_text(flags)?,
            partial: flags & flag::PARTIAL != 0,
            last: flags & flag::LAST != 0,
            ..Entry::default()
        };
        if flag::has_extras(flags) {
            if flags & flag::SOURCE_MASK == 0 {
                entry.source = self.take_extra()?;
            }
            if flags & flag::METADATA != 0 {
                entry.metadata = Some(Cow::Borrowed(self.take_extra()?));
            }
            if flags & flag::UNKNOWN != 0 {
                entry.unknown = Cow::Borrowed(self.take_extra()?);
            }
        }
        Some(Row {
            entry,
            is_own: flags & flag::OWN != 0,
        })
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Row<'a>, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&flags, rest) = self.flags.split_first()?;
        self.flags = rest;
        let row = self.take_row(flags);
        if row.is_none() {
            self.flags = &[];
        }
        Some(row.ok_or("the columns of a block contradict each other"))
    }
}

//! The form that nearly all entries have, taken and written in a few steps instead of byte by byte.
//!
//! ```text
//! 0a 06 "stdout" | 10 varint (9 bytes) | 1a varint line
//! ```
//!
//! A whole line of standard output or error, with a time between 1972 and 2262: its varint has nine bytes then.
//! Everything else goes through `entry`, which knows all forms. Both give the same; `tests/wire.rs` compares them.

use super::entry::Entry;
use super::varint::{take_varint, to_signed, to_unsigned};
use super::{FRAME_PREFIX_BYTES, STDERR, STDOUT};

/// The source's field and the tag of the time.
const SOURCE_BYTES: usize = 9;
const STDOUT_FIELD: &[u8; SOURCE_BYTES] = b"\x0a\x06stdout\x10";
const STDERR_FIELD: &[u8; SOURCE_BYTES] = b"\x0a\x06stderr\x10";

const TAG_LINE: u8 = (3 << 3) | 2;

/// The top bit of each byte of a varint but its last.
const CONTINUES: u64 = 0x8080_8080_8080_8080;

/// Seven bits of each of eight bytes, moved together.
fn join_sevens(bytes: u64) -> u64 {
    let pairs = (bytes & 0x007f_007f_007f_007f) | ((bytes & 0x7f00_7f00_7f00_7f00) >> 1);
    let fours = (pairs & 0x0000_3fff_0000_3fff) | ((pairs & 0x3fff_0000_3fff_0000) >> 2);
    (fours & 0x0fff_ffff) | ((fours & 0x0fff_ffff_0000_0000) >> 4)
}

/// 56 bits, seven to a byte.
fn split_sevens(bits: u64) -> u64 {
    let fours = (bits & 0x0fff_ffff) | ((bits & 0x00ff_ffff_f000_0000) << 4);
    let pairs = (fours & 0x0000_3fff_0000_3fff) | ((fours & 0x0fff_c000_0fff_c000) << 2);
    (pairs & 0x007f_007f_007f_007f) | ((pairs & 0x3f80_3f80_3f80_3f80) << 1)
}

/// Takes a time whose varint has nine bytes.
#[inline]
fn take_time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (low, rest) = bytes.split_first_chunk::<8>()?;
    let (&high, rest) = rest.split_first()?;
    let low = u64::from_le_bytes(*low);
    (low & CONTINUES == CONTINUES && high < 0x80)
        .then(|| (to_signed(join_sevens(low) | (u64::from(high) << 56)), rest))
}

/// Decodes a message of this form; `None`: it has another one.
#[inline]
pub(super) fn decode_plain(message: &[u8]) -> Option<Entry<'_>> {
    let (field, rest) = message.split_first_chunk::<SOURCE_BYTES>()?;
    let source = match field {
        STDOUT_FIELD => STDOUT,
        STDERR_FIELD => STDERR,
        _ => return None,
    };
    let (time_ns, rest) = take_time(rest)?;
    let (&tag, mut line) = rest.split_first()?;
    let length = take_varint(&mut line).ok()?;
    (tag == TAG_LINE && length == line.len() as u64).then(|| Entry {
        source,
        time_ns,
        line,
        ..Entry::default()
    })
}

/// Appends the frame of an entry that has this form, with a newline behind its line; `false`: it has another one.
pub(super) fn encode_plain_frame(entry: &Entry<'_>, out: &mut Vec<u8>) -> bool {
    /// The source's field, the time with its tag, and the line's tag.
    const FIXED_BYTES: u32 = 19;
    /// All before the line, when its length takes two bytes.
    const HEAD_BYTES: usize = FRAME_PREFIX_BYTES + FIXED_BYTES as usize + 2;
    /// LIMIT: a line whose length, newline included, fits a varint of two bytes; dockerd's are not longer but for one byte.
    const MAX_LINE_BYTES: usize = (1 << 14) - 1;

    let field = match entry.source {
        STDOUT => STDOUT_FIELD,
        STDERR => STDERR_FIELD,
        _ => return false,
    };
    let time = to_unsigned(entry.time_ns);
    let [.., high] = time.to_le_bytes();
    let length = entry.line.len() + 1;
    let has_more = entry.partial || entry.metadata.is_some() || !entry.unknown.is_empty();
    if has_more || high == 0 || high >= 0x80 || length > MAX_LINE_BYTES {
        return false;
    }
    // The checks above keep both below 2^15.
    let (Ok(length), Ok(line_bytes)) = (u16::try_from(length), u32::try_from(length)) else {
        return false;
    };
    let length_bytes = if length < 0x80 { 1 } else { 2 };
    let message_bytes = FIXED_BYTES + length_bytes + line_bytes;
    let [low, ..] = length.to_le_bytes();
    let [top, ..] = (length >> 7).to_le_bytes();
    let is_short = length_bytes == 1;
    // In one piece: most of an entry's cost here is the number of appends.
    let mut head = [0; HEAD_BYTES];
    let (prefix, rest) = head.split_at_mut(FRAME_PREFIX_BYTES);
    let (source, rest) = rest.split_at_mut(SOURCE_BYTES);
    let (time_low, rest) = rest.split_at_mut(8);
    prefix.copy_from_slice(&message_bytes.to_be_bytes());
    source.copy_from_slice(field);
    time_low.copy_from_slice(&(split_sevens(time) | CONTINUES).to_le_bytes());
    rest.copy_from_slice(&[high, TAG_LINE, if is_short { low } else { low | 0x80 }, top]);
    out.reserve(head.len() + usize::from(length));
    out.extend_from_slice(
        head.get(..head.len() - usize::from(is_short))
            .unwrap_or(&head),
    );
    out.extend_from_slice(entry.line);
    out.push(b'\n');
    true
}

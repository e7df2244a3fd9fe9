//! From a run of journal bytes to entries, over damage.
//!
//! What is found depends on the bytes alone, never on how they arrived: a replay after a crash, a reader and the
//! cutter of blocks must number the same entries in the same way. Hence the rules for damage:
//!
//! 1. A frame is damaged when its length is impossible, its message does not decode, or its mark is false.
//! 2. Damage reaches up to the next position where a frame stands *in dockerd's own form* (`strict`): a length below
//!    `STRICT_MAX_BYTES`, then the source `stdout` or `stderr`, then the time; and it decodes.
//! 3. As long as no such frame is complete, more bytes are waited for, unless the caller says that none will come or
//!    `DAMAGE_WINDOW_BYTES` have been searched.
//! 4. All damaged bytes between two good frames count as one entry.

use super::entry::encode;
use super::{Entry, FRAME_PREFIX_BYTES, MAX_ENTRY_BYTES, decode};

const MARK: u32 = 1 << 31;
const MARK_CRC_BYTES: usize = 4;

/// LIMIT: the longest message that counts as found again after damage: dockerd's largest, with room for attributes.
const STRICT_MAX_BYTES: usize = 64 * 1024;

/// The shortest message in dockerd's form: the source, and a time of one byte. A shorter one would end within what is
/// looked for, so that the outcome would depend on bytes that are not its own.
const STRICT_MIN_BYTES: usize = 10;

/// LIMIT: damage that spans more is closed as one entry even though no good frame has followed. It bounds what is
/// looked through again each time bytes arrive.
pub const DAMAGE_WINDOW_BYTES: usize = 2 * MAX_ENTRY_BYTES;

/// What stands at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An entry that dockerd wrote.
    Entry(Entry<'a>),
    /// An entry that Logboom wrote.
    Own(Entry<'a>),
    /// Bytes that are no frame.
    Damage(&'a [u8]),
}

/// The outcome of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// An item; the walk stands behind it.
    Item(Item<'a>),
    /// Nothing complete is left. A further try is of no use before there are so many bytes from here on.
    NeedMore(usize),
    /// All bytes are used up.
    End,
}

/// Walks over bytes that begin at a frame's boundary.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    bytes: &'a [u8],
    position: usize,
    is_final: bool,
}

enum Frame<'a> {
    Good(Item<'a>, usize),
    Bad,
    NeedMore(usize),
}

impl<'a> Walk<'a> {
    /// `is_final`: no more bytes will ever follow, so what is incomplete is damage.
    pub fn new(bytes: &'a [u8], is_final: bool) -> Self {
        Self {
            bytes,
            position: 0,
            is_final,
        }
    }

    /// How many bytes lie behind: all items returned so far end here.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The next item.
    #[inline]
    pub fn step(&mut self) -> Step<'a> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        if rest.is_empty() {
            return Step::End;
        }
        match frame_at(rest) {
            Frame::Good(item, length) => {
                self.position += length;
                Step::Item(item)
            }
            Frame::NeedMore(bytes) if !self.is_final => Step::NeedMore(bytes),
            Frame::Bad | Frame::NeedMore(_) => self.step_damage(rest),
        }
    }

    /// Finds the end of damage that begins where the walk stands.
    #[cold]
    fn step_damage(&mut self, rest: &'a [u8]) -> Step<'a> {
        let window = rest.get(..DAMAGE_WINDOW_BYTES).unwrap_or(rest);
        let may_wait = !self.is_final && window.len() < DAMAGE_WINDOW_BYTES;
        let mut length = window.len();
        // A frame cannot begin where the walk stands: that is where the damage is.
        let behind = window.get(FRAME_PREFIX_BYTES + 1..).unwrap_or_default();
        for found in memchr::memmem::find_iter(behind, STRICT_START) {
            let offset = found + 1;
            match strict_frame_at(window.get(offset..).unwrap_or_default()) {
                Frame::Good(..) => {
                    length = offset;
                    break;
                }
                // A frame that may still become whole comes before all behind it, or the outcome would depend on when
                // the bytes were looked at.
                Frame::NeedMore(bytes) if may_wait => return Step::NeedMore(offset + bytes),
                Frame::NeedMore(_) | Frame::Bad => {}
            }
        }
        if may_wait && length == window.len() {
            return Step::NeedMore(window.len() + 1);
        }
        self.position += length;
        Step::Item(Item::Damage(rest.get(..length).unwrap_or(rest)))
    }
}

/// Any frame that this version accepts.
#[inline]
fn frame_at(bytes: &[u8]) -> Frame<'_> {
    let Some((prefix, body)) = bytes.split_first_chunk::<FRAME_PREFIX_BYTES>() else {
        return Frame::NeedMore(FRAME_PREFIX_BYTES);
    };
    let word = u32::from_be_bytes(*prefix);
    let length = (word & !MARK) as usize;
    let is_marked = word & MARK != 0;
    // An empty message decodes, but dockerd always sets the source: zeros are damage, not a run of empty entries.
    if length == 0 || length > MAX_ENTRY_BYTES || (is_marked && length <= MARK_CRC_BYTES) {
        return Frame::Bad;
    }
    let Some(body) = body.get(..length) else {
        return Frame::NeedMore(FRAME_PREFIX_BYTES + length);
    };
    let (message, is_true) = match body.split_first_chunk::<MARK_CRC_BYTES>() {
        Some((crc, message)) if is_marked => {
            (message, u32::from_be_bytes(*crc) == crc32c::crc32c(message))
        }
        _ => (body, true),
    };
    match decode(message) {
        Ok(entry) if is_true => {
            let item = if is_marked {
                Item::Own(entry)
            } else {
                Item::Entry(entry)
            };
            Frame::Good(item, FRAME_PREFIX_BYTES + length)
        }
        _ => Frame::Bad,
    }
}

/// How dockerd begins every message: the source's field, `stdout` or `stderr`, then the time's tag.
const STRICT_START: &[u8] = b"\x0a\x06std";
const STRICT_FORMS: [&[u8]; 2] = [b"\x0a\x06stdout\x10", b"\x0a\x06stderr\x10"];

/// A frame in exactly the form that dockerd writes; `bytes` have `STRICT_START` behind the prefix.
fn strict_frame_at(bytes: &[u8]) -> Frame<'_> {
    let Some((prefix, body)) = bytes.split_first_chunk::<FRAME_PREFIX_BYTES>() else {
        return Frame::Bad;
    };
    let is_form = STRICT_FORMS.iter().any(|form| {
        let known = body.len().min(form.len());
        body.get(..known) == form.get(..known)
    });
    let length = u32::from_be_bytes(*prefix) as usize;
    if !is_form || !(STRICT_MIN_BYTES..=STRICT_MAX_BYTES).contains(&length) {
        return Frame::Bad;
    }
    frame_at(bytes)
}

/// Appends an entry of Logboom's own in the marked form.
pub fn encode_marked_frame(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let mut message = Vec::new();
    encode(entry, &mut message);
    let length = u32::try_from(message.len() + MARK_CRC_BYTES).unwrap_or(0);
    out.extend_from_slice(&(length | MARK).to_be_bytes());
    out.extend_from_slice(&crc32c::crc32c(&message).to_be_bytes());
    out.extend_from_slice(&message);
}

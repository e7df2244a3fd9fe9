//! Messages and frames in either form: the plain one first, since nearly all have it.

use super::entry::{DecodeError, Entry, decode_any, encode_any_frame};
use super::plain::{decode_plain, encode_plain_frame};

/// Decodes the message of a frame.
///
/// # Errors
/// The bytes are not a `LogEntry`.
#[inline]
pub fn decode(message: &[u8]) -> Result<Entry<'_>, DecodeError> {
    decode_plain(message).map_or_else(|| decode_any(message), Ok)
}

/// Appends a frame as `ReadLogs` answers it: with the newline that dockerd took off, unless the line goes on in a later
/// entry.
pub fn encode_readlogs_frame(entry: &Entry<'_>, out: &mut Vec<u8>) {
    if !encode_plain_frame(entry, out) {
        encode_any_frame(entry, out);
    }
}

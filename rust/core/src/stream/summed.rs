//! JSON objects with a checksum as their last member.
//!
//! A changed byte in a name or a value is JSON as well, and means something else: by other options than were given entries would
//! be deleted, by another container's id they would go to another stream.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// The last member: the CRC-32C of all bytes before it.
const CRC_MEMBER: &[u8] = b",\"crc32c\":";

/// The object with its checksum.
///
/// # Errors
/// It cannot be written as JSON.
pub(super) fn encode(object: &impl Serialize) -> Result<Vec<u8>> {
    let mut content =
        serde_json::to_vec(object).map_err(|error| Error::invalid("facts", error.to_string()))?;
    // The brace at its end comes again behind the checksum.
    content.pop();
    let member = crc_member(&content);
    content.extend_from_slice(&member);
    Ok(content)
}

/// Reads an object. What earlier versions wrote has no checksum, and ends with `unsummed_end`.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn decode<T: DeserializeOwned>(
    content: &[u8],
    unsummed_end: &[u8],
) -> std::result::Result<T, String> {
    if !content.ends_with(unsummed_end) {
        let sum_at = content.iter().rposition(|&byte| byte == b',');
        let (summed, member) = content.split_at(sum_at.unwrap_or(0));
        if member != crc_member(summed) {
            return Err("its checksum is another".to_owned());
        }
    }
    serde_json::from_slice(content).map_err(|error| error.to_string())
}

/// The last member, with the end of the object.
fn crc_member(summed: &[u8]) -> Vec<u8> {
    [
        CRC_MEMBER,
        format!("{}}}", crc32c::crc32c(summed)).as_bytes(),
    ]
    .concat()
}

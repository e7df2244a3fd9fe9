//! Protobuf's numbers (Encoding, "Base 128 Varints").

use super::DecodeError;

/// Takes a varint off the front.
#[inline]
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Result<u64, DecodeError> {
    match bytes.split_first() {
        Some((&byte, rest)) if byte < 0x80 => {
            *bytes = rest;
            Ok(byte.into())
        }
        _ => take_long_varint(bytes),
    }
}

fn take_long_varint(bytes: &mut &[u8]) -> Result<u64, DecodeError> {
    let mut value = 0_u64;
    for index in 0..10 {
        let (&byte, rest) = bytes.split_first().ok_or(DecodeError::Truncated)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(DecodeError::VarintTooLong)
}

/// The same 64 bits, as protobuf writes an int64 as a varint.
pub(crate) fn to_unsigned(value: i64) -> u64 {
    u64::from_le_bytes(value.to_le_bytes())
}

/// The same 64 bits.
pub(crate) fn to_signed(value: u64) -> i64 {
    i64::from_le_bytes(value.to_le_bytes())
}

/// How many bytes a varint takes.
pub(super) fn varint_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a varint.
pub(crate) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

//! Names of files and folders: numbers, whose order is that of the names, and container ids.

/// LIMIT: the longest container id. Docker's have 64 characters; a folder's name may have 255.
pub(crate) const MAX_CONTAINER_ID_BYTES: usize = 128;

/// Whether a name may be that of a stream's folder, so that it is within the folder of the streams:
/// `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
pub(crate) fn is_container_id(name: &str) -> bool {
    let is_plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    let starts_well = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    is_plain && starts_well && name.len() <= MAX_CONTAINER_ID_BYTES
}

/// `number` as 20 digits, which hold any `u64`, and the suffix.
pub(crate) fn numbered_name(number: u64, suffix: &str) -> String {
    format!("{number:020}{suffix}")
}

/// The number, when the name is one.
pub(crate) fn parse_numbered_name(name: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix)?;
    let is_number = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

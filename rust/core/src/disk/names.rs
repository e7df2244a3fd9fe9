//! File names that are numbers, so that their order is that of the names.

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

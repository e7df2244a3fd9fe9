//! An entry that outlives the bytes that it was read from.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test uses a part"
)]

use logboom_core::wire::Entry;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    pub source: Vec<u8>,
    pub time_ns: i64,
    pub line: Vec<u8>,
    pub partial: bool,
    pub last: bool,
    pub metadata: Option<Vec<u8>>,
    pub unknown: Vec<u8>,
}

impl Kept {
    #[must_use]
    pub fn of(entry: &Entry<'_>) -> Self {
        Self {
            source: entry.source.to_vec(),
            time_ns: entry.time_ns,
            line: entry.line.to_vec(),
            partial: entry.partial,
            last: entry.last,
            metadata: entry.metadata.as_deref().map(<[u8]>::to_vec),
            unknown: entry.unknown.to_vec(),
        }
    }
}

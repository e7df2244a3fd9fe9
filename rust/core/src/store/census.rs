//! How much each stream of the store holds, in a few dozen bytes a stream.
//!
//! One scan at the start lists all folders, a slice at a time; from then on the figures are kept by whoever changes a
//! stream. So a hundred thousand ended streams cost no look at the disk, and none of them is open.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;

use super::{Store, check_container_id};
use crate::disk::is_missing;
use crate::error::{Error, Result};
use crate::stream::Footprint;

/// A container id in little memory: 64 hexadecimal digits are 32 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PackedId {
    /// An id as Docker makes it.
    Docker([u8; 32]),
    /// Any other.
    Other(Box<str>),
}

impl PackedId {
    /// Packs an id.
    pub fn new(id: &str) -> Self {
        pack(id).map_or_else(|| Self::Other(id.into()), Self::Docker)
    }
}

/// The bytes of 64 hexadecimal digits, in lower case as Docker writes them.
fn pack(id: &str) -> Option<[u8; 32]> {
    let mut packed = [0; 32];
    let digits = id.as_bytes();
    if digits.len() != 2 * packed.len() || digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    for (byte, pair) in packed.iter_mut().zip(digits.chunks(2)) {
        for &digit in pair {
            let value = char::from(digit).to_digit(16)?;
            *byte = (*byte << 4) | u8::try_from(value).ok()?;
        }
    }
    Some(packed)
}

impl std::fmt::Display for PackedId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Docker(packed) => packed
                .iter()
                .try_for_each(|byte| write!(formatter, "{byte:02x}")),
            Self::Other(id) => formatter.write_str(id),
        }
    }
}

/// A stream's footprint in little memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Segments, journal, and what was set aside.
    pub bytes: u64,
    /// How many segments there are.
    pub segment_count: u32,
    /// When the newest entry of the oldest segment came.
    pub oldest_s: u32,
    /// When the newest entry came, or something was last written.
    pub newest_s: u32,
    /// After how long the stream's own limits take a segment; `UNKNOWN_AGE` where they are not known.
    max_age_s: u32,
}

const UNKNOWN_AGE: u32 = 0;

/// Seconds since the epoch; times before it and behind 2106 count as the first and the last.
fn seconds(time_ns: i64) -> u32 {
    let seconds = u64::try_from(time_ns).unwrap_or(0) / 1_000_000_000;
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

impl Known {
    fn new(found: &Footprint) -> Self {
        let max_age_s = found
            .max_age_s
            .map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX).max(1));
        Self {
            bytes: found.bytes,
            segment_count: u32::try_from(found.segment_count).unwrap_or(u32::MAX),
            oldest_s: seconds(found.oldest_ns),
            newest_s: seconds(found.newest_ns),
            max_age_s: max_age_s.unwrap_or(UNKNOWN_AGE),
        }
    }

    /// Its newest entry and its last write are older than so many seconds.
    pub fn is_older(&self, keep_s: u64, now_ns: i64) -> bool {
        u64::from(seconds(now_ns)) > u64::from(self.newest_s).saturating_add(keep_s)
    }

    /// The stream's own limit of age may take something, or nobody knows.
    pub fn may_be_due(&self, now_ns: i64) -> bool {
        self.bytes == 0
            || self.max_age_s == UNKNOWN_AGE
            || seconds(now_ns) >= self.oldest_s.saturating_add(self.max_age_s)
    }

    /// Nothing is known of its limits.
    pub fn is_unopened(&self) -> bool {
        self.max_age_s == UNKNOWN_AGE
    }
}

/// All streams that have a folder.
#[derive(Debug, Default)]
pub struct Census {
    streams: BTreeMap<PackedId, Known>,
    bytes: u64,
    segment_count: u64,
    turnover: usize,
}

impl Census {
    /// What a stream holds now; `None`: it has no folder.
    pub fn set(&mut self, id: &str, found: Option<&Footprint>) {
        let id = PackedId::new(id);
        let before = match found {
            Some(found) => {
                let known = Known::new(found);
                self.bytes += known.bytes;
                self.segment_count += u64::from(known.segment_count);
                self.streams.insert(id, known)
            }
            None => self.streams.remove(&id),
        };
        self.turnover += usize::from(before.is_some() != found.is_some());
        if let Some(before) = before {
            self.bytes -= before.bytes;
            self.segment_count -= u64::from(before.segment_count);
        }
    }

    /// Takes no more memory than it needs: a map that has grown in no order is a third empty.
    pub fn pack(&mut self) {
        self.streams = std::mem::take(&mut self.streams).into_iter().collect();
    }

    /// How many streams have come or gone since that was last forgotten.
    pub fn turnover(&self) -> usize {
        self.turnover
    }

    /// Counts from nothing again.
    pub fn forget_turnover(&mut self) {
        self.turnover = 0;
    }

    /// The streams' own limits of age are known no more.
    pub fn forget_ages(&mut self) {
        for known in self.streams.values_mut() {
            known.max_age_s = UNKNOWN_AGE;
        }
    }

    /// What all of them hold.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many segments that are.
    pub fn segment_count(&self) -> u64 {
        self.segment_count
    }

    /// When the newest entry of the oldest segment of all came; every stream is asked.
    pub fn oldest_s(&self) -> Option<u32> {
        let holding = self.streams.values().filter(|known| known.bytes > 0);
        holding.map(|known| known.oldest_s).min()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.streams.len()
    }

    /// What is known of one.
    pub fn get(&self, id: &PackedId) -> Option<&Known> {
        self.streams.get(id)
    }

    /// All of them, in some order that stays the same.
    pub fn iter(&self) -> impl Iterator<Item = (&PackedId, &Known)> {
        self.streams.iter()
    }

    /// The first one behind another in that order.
    pub fn next_after(&self, id: Option<&PackedId>) -> Option<(&PackedId, &Known)> {
        let from = id.map_or(Bound::Unbounded, Bound::Excluded);
        self.streams.range((from, Bound::Unbounded)).next()
    }
}

/// The one look at all folders.
#[derive(Debug)]
pub struct Scan {
    folder: PathBuf,
    left: std::vec::IntoIter<PackedId>,
}

impl Scan {
    /// Lists the folders.
    ///
    /// # Errors
    /// The store cannot be opened or listed.
    pub fn begin(store: &Store) -> Result<Self> {
        store.open()?;
        let folder = store.containers();
        let listed = store.disk.list(&folder);
        let listed = if is_missing(&listed) {
            Vec::new()
        } else {
            listed.map_err(Error::io("list", &folder))?
        };
        let mut left = Vec::with_capacity(listed.len());
        for name in listed.into_iter().map(|folder| folder.name) {
            if check_container_id(&name).is_ok() {
                left.push(PackedId::new(&name));
            } else {
                // What cannot be removed now counts for nothing; the next worker tries again.
                let _ = store.finish_removal(&name);
            }
        }
        Ok(Self {
            folder,
            left: left.into_iter(),
        })
    }

    /// Looks at one folder; `false`: that was all. What the census knows already is newer than the folder.
    ///
    /// # Errors
    /// The folder cannot be listed; the scan can go on behind it.
    pub fn step(&mut self, store: &Store, census: &mut Census) -> Result<bool> {
        let Some(id) = self.left.next() else {
            return Ok(false);
        };
        if census.get(&id).is_none() {
            let id = id.to_string();
            let found = Footprint::of_folder(&*store.disk, &self.folder.join(&id))?;
            census.set(&id, found.as_ref());
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::{Census, Known, PackedId};
    use crate::stream::Footprint;

    const SECOND_NS: i64 = 1_000_000_000;

    fn holding(bytes: u64) -> Footprint {
        Footprint {
            bytes,
            ..Footprint::default()
        }
    }

    #[test]
    fn every_id_comes_out_as_it_went_in_and_dockers_need_no_memory_of_their_own() {
        let docker = "0123456789abcdef".repeat(4);
        assert!(matches!(PackedId::new(&docker), PackedId::Docker(_)));
        let odd = [docker.to_uppercase(), docker.replace('f', "g")];
        for id in ["web", "a.b-c_d"]
            .into_iter()
            .chain(odd.iter().map(|id| &**id))
        {
            assert!(matches!(PackedId::new(id), PackedId::Other(_)), "{id}");
            assert_eq!(PackedId::new(id).to_string(), id);
        }
        assert_eq!(PackedId::new(&docker).to_string(), docker);
    }

    #[test]
    fn a_stream_takes_a_few_dozen_bytes() {
        assert!(size_of::<(PackedId, Known)>() <= 64);
    }

    #[test]
    fn the_sums_follow_every_change() {
        let segments = |bytes, segment_count| Footprint {
            segment_count,
            ..holding(bytes)
        };
        let mut census = Census::default();
        census.set("a", Some(&segments(10, 1)));
        census.set("b", Some(&segments(5, 2)));
        census.set("a", Some(&segments(7, 4)));
        assert_eq!(
            (census.bytes(), census.segment_count(), census.count()),
            (12, 6, 2)
        );
        census.set("a", None);
        census.set("c", None);
        assert_eq!(
            (census.bytes(), census.segment_count(), census.count()),
            (5, 2, 1)
        );
    }

    #[test]
    fn only_streams_that_come_or_go_are_turnover() {
        let mut census = Census::default();
        census.set("a", Some(&holding(1)));
        census.set("b", Some(&holding(1)));
        assert_eq!(census.turnover(), 2);
        census.forget_turnover();
        census.set("a", Some(&holding(2)));
        census.set("c", None);
        assert_eq!(census.turnover(), 0);
        census.set("b", None);
        assert_eq!(census.turnover(), 1);
    }

    #[test]
    fn packing_loses_nothing() {
        let mut census = Census::default();
        for id in ["b", "c", "a"] {
            census.set(id, Some(&holding(1)));
        }
        census.pack();
        let kept: Vec<String> = census.iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(kept, ["a", "b", "c"]);
        assert_eq!((census.bytes(), census.count()), (3, 3));
    }

    #[test]
    fn the_oldest_is_that_of_a_stream_that_holds_something() {
        let from = |bytes, seconds| Footprint {
            oldest_ns: seconds * SECOND_NS,
            ..holding(bytes)
        };
        let mut census = Census::default();
        assert_eq!(census.oldest_s(), None);
        census.set("empty", Some(&from(0, 1)));
        assert_eq!(census.oldest_s(), None);
        census.set("a", Some(&from(1, 9)));
        census.set("b", Some(&from(1, 5)));
        assert_eq!(census.oldest_s(), Some(5));
        census.set("b", None);
        assert_eq!(census.oldest_s(), Some(9));
    }

    #[test]
    fn one_is_older_than_a_time_only_when_that_is_over() {
        let known = Known::new(&Footprint {
            newest_ns: 100 * SECOND_NS,
            ..Footprint::default()
        });
        assert!(!known.is_older(30, 130 * SECOND_NS));
        assert!(known.is_older(30, 131 * SECOND_NS));
        assert!(!known.is_older(u64::MAX, i64::MAX));
    }
}

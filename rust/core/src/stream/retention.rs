//! What a stream holds, and what retention over the whole store takes from it.

use std::path::Path;

use super::quarantine::aside_bytes;
use super::{SegmentFacts, State, Stream, container};
use crate::disk::{Disk, Listed, is_missing, list_folder};
use crate::error::{Error, Result};
use crate::journal::{self, HEADER_PAGE_BYTES};
use crate::segment;

/// How much a stream holds, and how old that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Segments, journal, and what was set aside.
    pub bytes: u64,
    /// How many segments there are.
    pub segment_count: usize,
    /// The time of the newest entry in the oldest segment.
    pub oldest_ns: i64,
    /// The time of the newest entry, or when something was last written, if that is later: a machine that starts without a
    /// clock dates entries decades back, and they are not old for that.
    pub newest_ns: i64,
    /// After how long the stream's own limits take a segment; `None` where that is not known.
    pub max_age_s: Option<u64>,
}

impl Footprint {
    /// What a folder holds, by names, sizes and times of files alone: when a file was last written stands for the time of
    /// its newest entry. `None`: the folder is no stream, or gone.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn of_folder(disk: &dyn Disk, folder: &Path) -> Result<Option<Self>> {
        let listed = list_folder(disk, folder);
        if is_missing(&listed) {
            return Ok(None);
        }
        let listed = listed.map_err(Error::io("list", folder))?;
        let mut found = Self::default();
        let mut is_stream = listed.is_empty();
        let mut oldest: Option<(u64, i64)> = None;
        let mut facts_ns = 0;
        let aside_bytes = aside_bytes(&listed);
        for Listed {
            name,
            bytes,
            modified_ns,
        } in listed
        {
            let number = segment::parse_file_name(&name);
            if name == container::FILE_NAME {
                is_stream = true;
                facts_ns = modified_ns;
            }
            if !holds_entries(&name) {
                continue;
            }
            is_stream = true;
            found.bytes += bytes;
            found.newest_ns = found.newest_ns.max(modified_ns);
            if let Some(number) = number {
                found.segment_count += 1;
                let this = (number, modified_ns);
                oldest = Some(oldest.map_or(this, |oldest| oldest.min(this)));
            }
        }
        if is_stream {
            found.bytes += aside_bytes;
        }
        if found.newest_ns == 0 {
            found.newest_ns = facts_ns;
        }
        found.oldest_ns = oldest.map_or(found.newest_ns, |(_, modified_ns)| modified_ns);
        Ok(is_stream.then_some(found))
    }
}

/// Whether a file of a stream's folder is a segment or a generation.
pub(super) fn holds_entries(name: &str) -> bool {
    segment::parse_file_name(name).is_some() || journal::parse_file_name(name).is_some()
}

impl State {
    /// Nothing runs in it, and all of it lies in segments.
    fn is_at_rest(&self) -> bool {
        self.is_open
            && !self.is_removed
            && self.sessions.is_empty()
            && self.ended_sessions.is_empty()
            && self.chain.is_empty()
            && self.torn.is_empty()
    }
}

impl Stream {
    /// What it holds; `None` while it has no folder, or when it is not open.
    pub fn footprint(&self) -> Option<Footprint> {
        let max_age_s = self.limits().max_age_s;
        let state = self.state();
        let journals = state.chain.iter().chain(&state.torn);
        let has_folder = state.last_block.is_some()
            || !state.segments.is_empty()
            || journals.clone().next().is_some();
        if !has_folder || state.is_removed {
            return None;
        }
        let journal_bytes: u64 = journals
            .clone()
            .map(|generation| generation.boundary() + HEADER_PAGE_BYTES as u64)
            .sum();
        let segment_bytes: u64 = state.segments.iter().map(|segment| segment.bytes).sum();
        let begun_ns = journals.map(|generation| generation.header().created_ns);
        let newest_ns = state
            .segments
            .iter()
            .map(|segment| segment.max_time_ns)
            .chain(begun_ns)
            .max()
            .unwrap_or(0)
            .max(state.written_ns);
        Some(Footprint {
            bytes: segment_bytes + journal_bytes + state.kept.bytes,
            segment_count: state.segments.len(),
            oldest_ns: state
                .segments
                .front()
                .map_or(newest_ns, |oldest| oldest.max_time_ns),
            newest_ns,
            max_age_s: Some(max_age_s.unwrap_or(u64::MAX)),
        })
    }

    /// Whether what is on disk is known.
    pub fn is_open(&self) -> bool {
        self.state().is_open
    }

    /// Whether a session runs.
    pub fn is_active(&self) -> bool {
        !self.state().sessions.is_empty()
    }

    /// Whether neither an entry nor a session is left.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.state();
        state.is_at_rest() && state.segments.is_empty()
    }

    /// Removes the oldest segment, but never the newest one; returns its size.
    ///
    /// # Errors
    /// The disk refused; the segment stays.
    pub fn drop_oldest_segment(&self) -> Result<Option<u64>> {
        self.open()?;
        // What the cutter does to segments is never done twice at a time.
        let _cutting = self.cutting();
        let state = self.state();
        let oldest: Option<SegmentFacts> = match state.segments.len() {
            0 | 1 => None,
            _ => state.segments.front().cloned(),
        };
        drop(state);
        let Some(oldest) = oldest else {
            return Ok(None);
        };
        let removed = self.disk.remove_file(&oldest.path);
        if !is_missing(&removed) {
            removed.map_err(Error::io("remove", &oldest.path))?;
        }
        self.state().segments.pop_front();
        Ok(Some(oldest.bytes))
    }

    /// The next sequence number of a stream at rest.
    pub(crate) fn next_sequence_at_rest(&self) -> Option<u64> {
        let state = self.state();
        state.is_at_rest().then(|| state.next_sequence())
    }

    /// Lets no session begin from now on, if none has begun since this was the next sequence number. What readers have open
    /// they go on reading.
    pub(crate) fn retire(&self, next_sequence: u64) -> bool {
        let mut state = self.state();
        let can_go = state.is_at_rest() && state.next_sequence() == next_sequence;
        state.is_removed |= can_go;
        can_go
    }

    /// Takes `retire` back.
    pub(crate) fn reinstate(&self) {
        self.state().is_removed = false;
    }
}

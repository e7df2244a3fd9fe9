//! Keeping the store within the limits over all streams, a part at a time.
//!
//! The cutter's thread does this between two cuts: it *plans* from the census, which is in memory, and then *works* on the
//! plan for a while. What changes meanwhile is seen by the next plan.
//!
//! Which stream gives is decided in `store/budget.rs`; `docs/retention.md` tells the whole.

use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::store::{
    Budget, Cataloguing, Census, Held, PackedId, Removal, Scan, Store, StoreLimits,
};
use crate::stream::{Footprint, Stream};

/// How often ages are looked at, by the store's clock.
const AGE_EVERY_NS: u64 = 3_600_000_000_000;

/// How often the free space is looked at.
const FREE_EVERY: Duration = Duration::from_secs(10);

/// How often the oldest entry is looked for, since all streams are asked.
const OLDEST_EVERY: Duration = Duration::from_secs(10);

/// After a disk that refused, or a plan that was not enough, nothing is planned for so long.
const HOLD_OFF: Duration = Duration::from_secs(5);

/// A store that is trimmed gives so many parts of a hundred more, so that a busy one is not trimmed each second.
const SLACK_PERCENT: u64 = 1;

/// What a full disk is asked to give for new entries.
const ROOM_BYTES: u64 = 16 << 20;

/// When so many streams have come or gone the catalogue is brought up to date. As many more take a tenth of a second to list, and a
/// store of fewer needs no catalogue.
const CATALOGUE_AFTER: usize = 1000;

/// What has gone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deleted {
    pub(super) segments: u64,
    pub(super) bytes: u64,
}

/// What all streams hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Total {
    pub(super) bytes: u64,
    pub(super) streams: u64,
    pub(super) segments: u64,
    /// When the newest entry of the oldest segment came; 0 where there is none.
    pub(super) oldest_s: u64,
}

/// The budget of one plan, and whose the places in it are.
#[derive(Debug)]
struct Trim {
    budget: Budget,
    ids: Vec<PackedId>,
    /// Somebody waits for it.
    makes_room: bool,
}

/// One look at the ages of all streams.
#[derive(Debug)]
struct Walk {
    /// The stream that was looked at last.
    behind: Option<PackedId>,
    /// Streams whose own limits nobody knows are opened.
    opens_all: bool,
}

/// One round in which the catalogue is brought up to date.
#[derive(Debug)]
struct CatalogueRound {
    cataloguing: Cataloguing,
    /// The stream that was taken up last.
    behind: Option<PackedId>,
}

/// What the cutter knows of the store's streams, and what it has to do about them.
#[derive(Debug)]
pub(super) struct Retention {
    limits: StoreLimits,
    census: Census,
    scan: Option<Scan>,
    is_scanned: bool,
    /// Ended streams above the number that there may be, the oldest one last.
    surplus: Vec<PackedId>,
    trim: Option<Trim>,
    walk: Option<Walk>,
    catalogue_round: Option<CatalogueRound>,
    /// A part of a plan is carried out, or the first look; there may be more to plan.
    plans_again: bool,
    aged_ns: i64,
    /// When the free space is looked at next, and when something is planned next.
    free_at: Instant,
    plan_at: Instant,
    /// When the newest entry of the oldest segment came, and when that is looked for again.
    oldest_s: u64,
    oldest_at: Instant,
    error: Option<Error>,
    deleted: Deleted,
}

impl Retention {
    pub(super) fn new(now_ns: i64, now: Instant) -> Self {
        Self {
            limits: StoreLimits::default(),
            census: Census::default(),
            scan: None,
            is_scanned: false,
            surplus: Vec::new(),
            trim: None,
            walk: None,
            catalogue_round: None,
            plans_again: false,
            aged_ns: now_ns,
            free_at: now,
            plan_at: now,
            oldest_s: 0,
            oldest_at: now,
            error: None,
            deleted: Deleted::default(),
        }
    }

    /// Sets the limits; what they demand is begun at once.
    pub(super) fn set_limits(&mut self, limits: StoreLimits, now: Instant) {
        self.limits = limits;
        self.surplus.clear();
        self.trim = None;
        self.look_at_ages();
        self.free_at = now;
        self.plan_at = if self.is_scanned { now } else { self.plan_at };
    }

    /// Looks at the ages that can be told from the census, the store's limit on ended streams among them; and at all streams
    /// if that is under way.
    fn look_at_ages(&mut self) {
        self.walk = Some(Walk {
            behind: None,
            opens_all: self.walk.as_ref().is_some_and(|walk| walk.opens_all),
        });
    }

    /// Looks at all streams, whose own limits may be others now.
    pub(super) fn look_at_all(&mut self) {
        self.census.forget_ages();
        self.walk = Some(Walk {
            behind: None,
            opens_all: true,
        });
    }

    /// Notes what a stream holds now.
    pub(super) fn note(&mut self, stream: &Stream) {
        // Of one that has not been opened the scan knows more.
        if stream.is_open() {
            self.census
                .set(stream.container_id(), stream.footprint().as_ref());
        }
    }

    /// What all streams hold.
    pub(super) fn held(&mut self, now: Instant) -> Total {
        if self.is_scanned && now >= self.oldest_at {
            self.oldest_at = now + OLDEST_EVERY;
            self.oldest_s = self.census.oldest_s().unwrap_or(0).into();
        }
        Total {
            bytes: self.census.bytes(),
            streams: self.census.count() as u64,
            segments: self.census.segment_count(),
            oldest_s: self.oldest_s,
        }
    }

    /// What has gone since the last call.
    pub(super) fn take_deleted(&mut self) -> Deleted {
        std::mem::take(&mut self.deleted)
    }

    /// More is to be done at once.
    pub(super) fn is_busy(&self) -> bool {
        if self.is_scanned {
            self.has_plan()
        } else {
            self.scan.is_some() || Instant::now() >= self.plan_at
        }
    }

    fn has_plan(&self) -> bool {
        self.is_over() || self.walk.is_some() || self.catalogue_round.is_some() || self.plans_again
    }

    /// The store has more than the limits allow, and it is known what goes.
    fn is_over(&self) -> bool {
        !self.surplus.is_empty() || self.trim.is_some()
    }

    /// Somebody waits for what is being done.
    pub(super) fn makes_room(&self) -> bool {
        self.trim.as_ref().is_some_and(|trim| trim.makes_room)
    }

    /// Looks what has to be done, unless something is being done. `is_full`: somebody needs room on a full disk.
    pub(super) fn plan(&mut self, store: &Store, now_ns: i64, now: Instant, is_full: bool) {
        if !self.is_scanned || self.makes_room() || (self.is_over() && !is_full) {
            return;
        }
        self.plans_again = false;
        if now_ns.abs_diff(self.aged_ns) >= AGE_EVERY_NS {
            self.aged_ns = now_ns;
            self.walk = Some(Walk {
                behind: None,
                opens_all: true,
            });
        }
        if self.catalogue_round.is_none() && self.census.turnover() >= CATALOGUE_AFTER {
            self.census.forget_turnover();
            self.catalogue_round = store.begin_cataloguing().map(|cataloguing| CatalogueRound {
                cataloguing,
                behind: None,
            });
        }
        if now < self.plan_at && !is_full {
            return;
        }
        let most = self.limits.max_streams.unwrap_or(u64::MAX);
        let surplus = (self.census.count() as u64).saturating_sub(most);
        let allowed_bytes = self.allowed_bytes(store, now, is_full);
        if surplus == 0 && allowed_bytes.is_none() {
            return;
        }
        let active = active_streams(store);
        if surplus > 0 {
            let surplus = usize::try_from(surplus).unwrap_or(usize::MAX);
            self.surplus = self.oldest_ended(surplus, &active);
            if self.surplus.len() < surplus {
                self.plan_at = now + HOLD_OFF;
            }
        }
        // What goes for the number of streams may be enough.
        if let (true, Some(allowed_bytes)) = (self.surplus.is_empty() || is_full, allowed_bytes) {
            self.trim = Some(self.begin_trim(allowed_bytes, &active, is_full));
        }
    }

    /// What the store has to be trimmed to, if it has to.
    fn allowed_bytes(&mut self, store: &Store, now: Instant, is_full: bool) -> Option<u64> {
        let held_bytes = self.census.bytes();
        let budget = self
            .limits
            .max_bytes
            .filter(|&most| held_bytes > most)
            .map(|most| most - most / 100 * SLACK_PERCENT);
        // As much as is to be kept free the store may hold, or others that fill the disk could make it give all.
        let least = self.limits.min_free_bytes.unwrap_or(u64::MAX);
        let missing = self.missing_bytes(store, now, is_full);
        let rest = held_bytes.saturating_sub(missing).max(least);
        budget
            .into_iter()
            .chain((rest < held_bytes).then_some(rest))
            .min()
    }

    /// How much more should be free.
    fn missing_bytes(&mut self, store: &Store, now: Instant, is_full: bool) -> u64 {
        let Some(least) = self.limits.min_free_bytes else {
            return 0;
        };
        if now < self.free_at && !is_full {
            return 0;
        }
        self.free_at = now + FREE_EVERY;
        let free = store.free_bytes().unwrap_or_else(|error| {
            self.error = Some(error);
            u64::MAX
        });
        let missing = least.saturating_sub(free);
        if is_full {
            missing.max(ROOM_BYTES)
        } else {
            missing
        }
    }

    fn begin_trim(
        &self,
        allowed_bytes: u64,
        active: &BTreeSet<PackedId>,
        makes_room: bool,
    ) -> Trim {
        let held = self
            .census
            .iter()
            .map(|(id, known)| Held {
                bytes: known.bytes,
                oldest_s: known.oldest_s,
                can_give: known.segment_count > 1 || !active.contains(id),
            })
            .collect();
        Trim {
            budget: Budget::new(allowed_bytes, held),
            ids: self.census.iter().map(|(id, _)| id.clone()).collect(),
            makes_room,
        }
    }

    /// So many ended streams whose newest entries are the oldest; the oldest one comes last.
    fn oldest_ended(&self, count: usize, active: &BTreeSet<PackedId>) -> Vec<PackedId> {
        let mut oldest: BinaryHeap<(u32, &PackedId)> = BinaryHeap::with_capacity(count + 1);
        for (id, known) in self.census.iter().filter(|(id, _)| !active.contains(id)) {
            oldest.push((known.newest_s, id));
            if oldest.len() > count {
                oldest.pop();
            }
        }
        let sorted = oldest.into_sorted_vec();
        sorted.into_iter().rev().map(|(_, id)| id.clone()).collect()
    }

    /// Does a part of the plan, at least one step. `cut` lets a stream heed its own limits.
    ///
    /// # Errors
    /// What the disk refused, once all else is done.
    pub(super) fn work(
        &mut self,
        store: &Store,
        now_ns: i64,
        until: Instant,
        mut cut: impl FnMut(&Arc<Stream>),
    ) -> Result<()> {
        let mut now = Instant::now();
        loop {
            let done = if self.is_scanned {
                self.step(store, now_ns, now, &mut cut)
            } else {
                self.step_scan(store, now)
            };
            match done {
                Ok(true) => {}
                Ok(false) => break,
                // What lies behind it is done all the same.
                Err(error) => self.error = Some(error),
            }
            now = Instant::now();
            if now >= until {
                break;
            }
        }
        if self.is_busy() {
            return Ok(());
        }
        match self.error.take() {
            Some(error) => {
                self.plan_at = now + HOLD_OFF;
                Err(error)
            }
            None => Ok(()),
        }
    }

    /// `Ok(false)`: nothing more is to be done now.
    fn step_scan(&mut self, store: &Store, now: Instant) -> Result<bool> {
        let Some(scan) = &mut self.scan else {
            if now < self.plan_at {
                return Ok(false);
            }
            // A store that cannot be opened is known to be at fault; it is tried again.
            self.plan_at = now + HOLD_OFF;
            self.scan = Scan::begin(store).ok();
            return Ok(self.scan.is_some());
        };
        if scan.step(store, &mut self.census)? {
            return Ok(true);
        }
        self.scan = None;
        self.is_scanned = true;
        self.census.pack();
        self.look_at_ages();
        self.plan_at = now;
        self.plans_again = true;
        Ok(true)
    }

    /// One stream's part; `Ok(false)`: the plan is carried out.
    fn step(
        &mut self,
        store: &Store,
        now_ns: i64,
        now: Instant,
        cut: &mut impl FnMut(&Arc<Stream>),
    ) -> Result<bool> {
        // ORDER: somebody may wait for it.
        if let Some(mut trim) = self.trim.take() {
            let Some(place) = trim.budget.next() else {
                if trim.budget.is_exceeded() {
                    self.plan_at = now + HOLD_OFF;
                }
                return Ok(true);
            };
            let gave = self.give(store, &trim, place, cut);
            let now_held = self.held_after(&trim, place, gave.as_ref().is_ok_and(|gave| *gave));
            trim.budget.gave(place, now_held);
            self.trim = Some(trim);
            gave?;
        } else if let Some(id) = self.surplus.pop() {
            self.plans_again = self.surplus.is_empty();
            let stream = store.stream(&id.to_string())?;
            if !self.remove(store, stream, cut)? {
                self.plan_at = now + HOLD_OFF;
            }
        } else if let Some(walk) = self.walk.take() {
            self.step_walk(store, walk, now_ns, cut)?;
        } else if let Some(round) = self.catalogue_round.take() {
            self.step_catalogue(store, round, now_ns);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Writes down what one stream holds. What the disk refuses is read from the streams' files when it is wanted: no fault.
    fn step_catalogue(&mut self, store: &Store, mut round: CatalogueRound, now_ns: i64) {
        let Some((id, _)) = self.census.next_after(round.behind.as_ref()) else {
            let _ = round.cataloguing.end(store.disk());
            return;
        };
        let _ = store.catalogue(&mut round.cataloguing, id, now_ns);
        round.behind = Some(id.clone());
        self.catalogue_round = Some(round);
    }

    /// Takes a stream's oldest segment, or all of an ended one that has no other; `false`: it cannot give.
    fn give(
        &mut self,
        store: &Store,
        trim: &Trim,
        place: usize,
        cut: &mut impl FnMut(&Arc<Stream>),
    ) -> Result<bool> {
        let Some(id) = trim.ids.get(place) else {
            return Ok(false);
        };
        let stream = store.stream(&id.to_string())?;
        let dropped = stream.drop_oldest_segment();
        self.note(&stream);
        if let Some(bytes) = dropped? {
            self.deleted.segments += 1;
            self.deleted.bytes += bytes;
            store.forget_if_idle(stream);
            return Ok(true);
        }
        self.remove(store, stream, cut)
    }

    /// What a stream holds after it was asked to give.
    fn held_after(&self, trim: &Trim, place: usize, has_given: bool) -> Held {
        let known = trim.ids.get(place).and_then(|id| self.census.get(id));
        known.map_or(
            Held {
                bytes: 0,
                oldest_s: 0,
                can_give: false,
            },
            |known| Held {
                bytes: known.bytes,
                oldest_s: known.oldest_s,
                // Whether it may give its last segment is found out when it is asked.
                can_give: has_given,
            },
        )
    }

    /// Removes an ended stream because a limit demands it; `false`: something runs in it after all.
    fn remove(
        &mut self,
        store: &Store,
        stream: Arc<Stream>,
        cut: &mut impl FnMut(&Arc<Stream>),
    ) -> Result<bool> {
        let removed = self.take_away(store, stream, cut)?;
        if let Some(held) = removed {
            self.deleted.segments += held.segment_count as u64;
            self.deleted.bytes += held.bytes;
        }
        Ok(removed.is_some())
    }

    /// Removes an ended stream because somebody has asked for it.
    ///
    /// # Errors
    /// The disk refused, or the id cannot name a folder.
    pub(super) fn remove_asked(
        &mut self,
        store: &Store,
        container_id: &str,
        mut cut: impl FnMut(&Arc<Stream>),
    ) -> Result<Removal> {
        let stream = store.stream(container_id)?;
        if !stream.is_active() && !store.has_stream(container_id)? {
            store.forget_if_idle(stream);
            return Ok(Removal::Missing);
        }
        let removed = self.take_away(store, stream, &mut cut)?;
        Ok(removed.map_or(Removal::InUse, |_| Removal::Removed))
    }

    /// Removes an ended stream, and tells what it held; `None`: something runs in it after all.
    fn take_away(
        &mut self,
        store: &Store,
        stream: Arc<Stream>,
        cut: &mut impl FnMut(&Arc<Stream>),
    ) -> Result<Option<Footprint>> {
        stream.open()?;
        if !stream.is_active() && stream.next_sequence_at_rest().is_none() {
            // An earlier worker has left a journal.
            cut(&stream);
        }
        let held = stream.footprint().unwrap_or_default();
        let removed = store.remove(&stream);
        self.note(&stream);
        store.forget_if_idle(stream);
        Ok(removed?.then_some(held))
    }

    /// Looks at the age of one stream.
    fn step_walk(
        &mut self,
        store: &Store,
        mut walk: Walk,
        now_ns: i64,
        cut: &mut impl FnMut(&Arc<Stream>),
    ) -> Result<()> {
        let Some((id, known)) = self.census.next_after(walk.behind.as_ref()) else {
            return Ok(());
        };
        let (id, known) = (id.clone(), *known);
        walk.behind = Some(id.clone());
        let opens_all = walk.opens_all;
        self.walk = Some(walk);
        let is_old = self
            .limits
            .keep_ended_s
            .is_some_and(|keep_s| known.is_older(keep_s, now_ns));
        let is_due = known.may_be_due(now_ns) && (opens_all || !known.is_unopened());
        if !is_old && !is_due {
            return Ok(());
        }
        let stream = store.stream(&id.to_string())?;
        if is_due {
            cut(&stream);
            self.note(&stream);
        }
        let is_over = is_old && !stream.is_active();
        if is_over || stream.is_empty() {
            self.remove(store, stream, cut)?;
        } else {
            store.forget_if_idle(stream);
        }
        Ok(())
    }
}

/// The streams in which a session runs.
fn active_streams(store: &Store) -> BTreeSet<PackedId> {
    store
        .loaded()
        .iter()
        .filter(|stream| stream.is_active())
        .map(|stream| PackedId::new(stream.container_id()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::Retention;
    use crate::disk::SystemDisk;
    use crate::store::{Store, StoreLimits};
    use crate::sync_log::SyncWhen;

    /// A look at few streams is over in one turn. Nothing was planned after it until the thread woke for something else.
    #[test]
    fn limits_that_came_before_the_first_look_are_heeded_when_it_is_over() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::new(
            data.path().to_owned(),
            Arc::new(SystemDisk),
            [0; 16],
            SyncWhen::default(),
        );
        let containers = data.path().join("containers");
        for id in ["a", "b", "c"] {
            store.disk().create_folder(&containers.join(id)).unwrap();
        }
        let mut retention = Retention::new(0, Instant::now());
        let limits = StoreLimits {
            max_streams: Some(2),
            ..StoreLimits::default()
        };
        retention.set_limits(limits, Instant::now());
        while retention.is_busy() {
            let now = Instant::now();
            retention.plan(&store, 0, now, false);
            retention.work(&store, 0, now, |_| ()).unwrap();
        }
        assert_eq!(store.disk().list(&containers).unwrap().len(), 2);
    }
}

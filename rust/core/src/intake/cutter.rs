//! The thread that cuts blocks: at once where a block is full, and by time.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::retention::Retention;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::journal::Generation;
use crate::stats::{Counters, add};
use crate::store::{Removal, Store, StoreLimits};
use crate::stream::{CutWhen, Stream, Tools};

/// Once a second: a busy stream's rest is cut, a stream that failed is tried again.
const TICK: Duration = Duration::from_secs(1);

/// A stream with so much that is not cut when the second is over is cut then.
const TICK_BLOCK_BYTES: u64 = 256 << 10;

/// How often streams that nobody uses are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// LIMIT: with more streams in memory, each with an open file, they are forgotten every second for a minute: containers that live
/// for a moment may come faster than the minute goes, and some of them may not be cut yet.
const FORGET_ABOVE: usize = 500;

/// How long a part of retention's work takes: a block that is due waits no longer. After more than that was spent on cutting
/// it is as long, or a busy cutter would leave it no time, and the store would grow.
const TURN: Duration = Duration::from_millis(10);

/// LIMIT: with many busy streams the last round ends here. dockerd gives a plugin ten seconds to end, and kills it then.
const LAST_ROUND: Duration = Duration::from_secs(4);

/// So many streams are synced together in it: fewer would be slower, and with more a slow disk would make it longer.
const LAST_TOGETHER: usize = 16;

/// What the cutter goes by.
#[derive(Clone, Copy, Debug)]
pub struct CutterSettings {
    /// A quiet stream's journal becomes a block after so long.
    pub block_after: Duration,
}

/// What waits for the cutter.
#[derive(Debug, Default)]
struct Queue {
    due: VecDeque<(Arc<Stream>, CutWhen)>,
    /// Streams with journal bytes that are not due yet, and since when.
    pending: HashMap<String, (Arc<Stream>, Instant)>,
    /// New limits over all streams.
    limits: Option<StoreLimits>,
    /// The options of streams may be others now: of those in memory, and of all the others, too.
    heeds_options: bool,
    looks_at_all: bool,
    /// Streams that somebody wants to be removed, and where the answers go.
    removals: VecDeque<(String, SyncSender<Result<Removal>>)>,
    is_shut_down: bool,
}

/// What the thread does next.
enum Next {
    Cut(Arc<Stream>, CutWhen),
    LookAtTime,
    End,
}

#[derive(Debug)]
pub(super) struct CutterThread {
    store: Arc<Store>,
    clock: Clock,
    counters: Arc<Counters>,
    settings: CutterSettings,
    queue: Mutex<Queue>,
    bell: Condvar,
    /// How often somebody found the disk full, and how many of them have been answered: there is room, or none can be made.
    rooms_asked: AtomicU64,
    rooms_answered: AtomicU64,
    /// How the last cut went.
    fault: Fault,
}

impl CutterThread {
    pub(super) fn new(
        store: Arc<Store>,
        clock: Clock,
        counters: Arc<Counters>,
        settings: CutterSettings,
    ) -> Self {
        Self {
            store,
            clock,
            counters,
            settings,
            queue: Mutex::default(),
            bell: Condvar::new(),
            rooms_asked: AtomicU64::new(0),
            rooms_answered: AtomicU64::new(0),
            fault: Fault::default(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a cut now.
    pub(super) fn request(&self, stream: &Arc<Stream>, when: CutWhen) {
        let mut queue = self.queue();
        match queue
            .due
            .iter_mut()
            .find(|(due, _)| Arc::ptr_eq(due, stream))
        {
            Some((_, known)) if when == CutWhen::All => *known = CutWhen::All,
            Some(_) => return,
            None => queue.due.push_back((Arc::clone(stream), when)),
        }
        drop(queue);
        self.bell.notify_one();
    }

    /// Notes that a stream has journal bytes.
    pub(super) fn note(&self, stream: &Arc<Stream>, now: Instant) {
        let mut queue = self.queue();
        if !queue.pending.contains_key(stream.container_id()) {
            queue
                .pending
                .insert(stream.container_id().to_owned(), (Arc::clone(stream), now));
            // The thread sleeps for ever when nothing is pending.
            self.bell.notify_one();
        }
    }

    /// Sets the limits over all streams.
    pub(super) fn set_limits(&self, limits: StoreLimits) {
        self.queue().limits = Some(limits);
        self.bell.notify_one();
    }

    /// Lets streams heed other default options: those in memory at once, and all others afterwards if `all` is set.
    pub(super) fn heed_options(&self, all: bool) {
        let mut queue = self.queue();
        queue.heeds_options = true;
        queue.looks_at_all |= all;
        drop(queue);
        self.bell.notify_one();
    }

    /// Asks that retention makes room on a full disk; returns which question this is.
    pub(super) fn ask_for_room(&self) -> u64 {
        let queue = self.queue();
        let question = self.rooms_asked.fetch_add(1, Ordering::Relaxed) + 1;
        drop(queue);
        self.bell.notify_one();
        question
    }

    /// Whether retention has done what it can for a question.
    pub(super) fn has_answered(&self, question: u64) -> bool {
        self.rooms_answered.load(Ordering::Relaxed) >= question
    }

    fn is_asked(&self) -> bool {
        self.rooms_asked.load(Ordering::Relaxed) > self.rooms_answered.load(Ordering::Relaxed)
    }

    /// Removes an ended stream, and waits until that is done.
    ///
    /// # Errors
    /// The store was closed, the disk refused, or the id cannot name a folder.
    pub(super) fn remove(&self, container_id: &str) -> Result<Removal> {
        let (done, answer) = sync_channel(1);
        let mut queue = self.queue();
        if queue.is_shut_down {
            return Err(Error::Closed);
        }
        queue.removals.push_back((container_id.to_owned(), done));
        drop(queue);
        self.bell.notify_one();
        answer.recv().unwrap_or(Err(Error::Closed))
    }

    pub(super) fn shut_down(&self) {
        let mut queue = self.queue();
        queue.is_shut_down = true;
        // Whoever waits for one of them is told that the store is closed.
        queue.removals.clear();
        drop(queue);
        self.bell.notify_one();
    }

    pub(super) fn run(&self, closing: SyncSender<Arc<Generation>>) {
        let mut tools = Tools::closing_elsewhere(closing);
        let mut ticked = Instant::now();
        let mut forgot = ticked;
        let mut crowded_at: Option<Instant> = None;
        let mut retention = Retention::new(self.clock.now_ns(), ticked);
        loop {
            let is_crowded = crowded_at.is_some() || self.is_crowded();
            let next = self.wait(ticked, retention.is_busy(), is_crowded);
            let woken = Instant::now();
            match next {
                Next::Cut(stream, when) => {
                    self.cut(&stream, when, &mut tools);
                    retention.note(&stream);
                }
                Next::LookAtTime => {}
                Next::End => break,
            }
            let now = Instant::now();
            if now.duration_since(ticked) >= TICK {
                ticked = now;
                self.tick(now, &mut tools);
                for (stream, _) in self.pending() {
                    retention.note(&stream);
                }
                if self.is_crowded() {
                    crowded_at = Some(now);
                }
                crowded_at = crowded_at.filter(|at| now.duration_since(*at) < FORGET_EVERY);
                if crowded_at.is_some() || now.duration_since(forgot) >= FORGET_EVERY {
                    forgot = now;
                    self.store.forget_idle();
                }
            }
            self.remove_asked(&mut retention, &mut tools);
            self.retain(&mut retention, woken.elapsed(), &mut tools);
        }
        self.cut_last(&mut tools);
        self.store.close();
    }

    /// Cuts all that there is, as far as time allows; the next worker goes on with the rest, which survives a power cut.
    fn cut_last(&self, tools: &mut Tools) {
        let began = Instant::now();
        let mut rest = self.store.loaded();
        while !rest.is_empty() && began.elapsed() < LAST_ROUND {
            let streams = rest.split_off(rest.len().saturating_sub(LAST_TOGETHER));
            for stream in &streams {
                self.cut(stream, CutWhen::All, tools);
            }
            self.count_error(&self.store.sync(&streams));
        }
        self.count_error(&self.store.sync(&rest));
    }

    fn is_crowded(&self) -> bool {
        self.store.loaded_count() > FORGET_ABOVE
    }

    /// Waits until a stream is due, or something by time.
    fn wait(&self, ticked: Instant, is_busy: bool, is_crowded: bool) -> Next {
        let mut queue = self.queue();
        loop {
            if queue.is_shut_down {
                return Next::End;
            }
            if let Some((stream, when)) = queue.due.pop_front() {
                return Next::Cut(stream, when);
            }
            let is_wanted = queue.limits.is_some()
                || queue.heeds_options
                || !queue.removals.is_empty()
                || self.is_asked();
            if is_busy || is_wanted {
                return Next::LookAtTime;
            }
            let until_tick = TICK.saturating_sub(ticked.elapsed());
            let has_nothing =
                queue.pending.is_empty() && self.store.may_grow().is_ok() && !is_crowded;
            let sleep = if has_nothing {
                FORGET_EVERY
            } else {
                until_tick
            };
            let (woken, timeout) = self
                .bell
                .wait_timeout(queue, sleep)
                .unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if timeout.timed_out() && queue.due.is_empty() {
                return Next::LookAtTime;
            }
        }
    }

    /// Cuts what has waited long enough, and makes the rest survive a power cut.
    fn tick(&self, now: Instant, tools: &mut Tools) {
        for (stream, since) in self.pending() {
            let is_old = now.duration_since(since) >= self.settings.block_after;
            if is_old || stream.uncut_bytes() >= TICK_BLOCK_BYTES || stream.has_failed() {
                self.cut(&stream, CutWhen::All, tools);
            }
        }
        let unsynced: Vec<Arc<Stream>> = self
            .pending()
            .into_iter()
            .map(|(stream, _)| stream)
            .collect();
        self.count_error(&self.store.sync(&unsynced));
        self.queue()
            .pending
            .retain(|_, (stream, _)| !has_nothing_due(stream));
        self.store.restore_ballast();
    }

    fn pending(&self) -> Vec<(Arc<Stream>, Instant)> {
        self.queue().pending.values().cloned().collect()
    }

    fn cut(&self, stream: &Arc<Stream>, when: CutWhen, tools: &mut Tools) {
        let mut result = stream.cut(when, self.clock.now_ns(), tools);
        let full = result.as_ref().err().filter(|error| error.is_full());
        if let Some(full) = full {
            self.ask_for_room();
            if self.store.give_up_ballast(full) {
                result = stream.cut(when, self.clock.now_ns(), tools);
            }
        }
        let counted = tools.take_counted();
        add(&self.counters.blocks_total, counted.blocks);
        add(&self.counters.block_frame_bytes_total, counted.frame_bytes);
        add(
            &self.counters.block_stored_bytes_total,
            counted.stored_bytes,
        );
        add(&self.counters.damaged_runs_total, counted.damaged_runs);
        add(&self.counters.damaged_bytes_total, counted.damaged_bytes);
        add(
            &self.counters.retention_deleted_segments_total,
            counted.deleted_segments,
        );
        add(
            &self.counters.retention_deleted_bytes_total,
            counted.deleted_bytes,
        );
        self.count_error(&result);
        let mut queue = self.queue();
        if has_nothing_due(stream) {
            queue.pending.remove(stream.container_id());
        } else {
            // What is left came after what was cut, or is synced with others.
            queue.pending.insert(
                stream.container_id().to_owned(),
                (Arc::clone(stream), Instant::now()),
            );
        }
    }

    /// Why blocks cannot be written.
    pub(super) fn fault(&self) -> Option<String> {
        self.fault.get()
    }

    fn count_error(&self, result: &Result<()>) {
        self.fault.note(result);
        if result.is_err() {
            add(&self.counters.storage_errors_total, 1);
        }
    }

    /// Removes one of the streams that somebody wants to be removed, so that no cut waits for the others.
    fn remove_asked(&self, retention: &mut Retention, tools: &mut Tools) {
        let Some((container_id, done)) = self.queue().removals.pop_front() else {
            return;
        };
        let removed = retention.remove_asked(&self.store, &container_id, |stream| {
            self.cut(stream, CutWhen::All, tools);
        });
        // Who has asked may have gone.
        let _ = done.send(removed);
    }

    /// Does a part of what the limits over all streams demand, so that no cut waits for the rest. `worked` is what has been
    /// cut for since the last part.
    fn retain(&self, retention: &mut Retention, worked: Duration, tools: &mut Tools) {
        let now = Instant::now();
        let mut queue = self.queue();
        let limits = queue.limits.take();
        let heeds_options = std::mem::take(&mut queue.heeds_options);
        let looks_at_all = std::mem::take(&mut queue.looks_at_all);
        drop(queue);
        let question = self.rooms_asked.load(Ordering::Relaxed);
        if let Some(limits) = limits {
            retention.set_limits(limits, now);
        }
        if heeds_options {
            for stream in self.store.loaded() {
                self.request(&stream, CutWhen::Full);
            }
        }
        if looks_at_all {
            retention.look_at_all();
        }
        retention.plan(&self.store, self.clock.now_ns(), now, self.is_asked());
        let until = now + worked.max(TURN);
        let result = retention.work(&self.store, self.clock.now_ns(), until, |stream| {
            // What an ended stream has in its journal will not become more.
            let when = if stream.is_active() {
                CutWhen::Full
            } else {
                CutWhen::All
            };
            self.cut(stream, when, tools);
        });
        if !retention.makes_room() {
            // ORDER: before whoever asked uses the room.
            self.store.restore_ballast();
            self.rooms_answered.store(question, Ordering::Relaxed);
        }
        if result.is_err() {
            self.count_error(&result);
        }
        let deleted = retention.take_deleted();
        add(
            &self.counters.retention_deleted_segments_total,
            deleted.segments,
        );
        add(&self.counters.retention_deleted_bytes_total, deleted.bytes);
        let held = retention.held(now);
        for (gauge, value) in [
            (&self.counters.store_bytes, held.bytes),
            (&self.counters.store_streams, held.streams),
            (&self.counters.store_segments, held.segments),
            (&self.counters.store_oldest_seconds, held.oldest_s),
        ] {
            gauge.store(value, Ordering::Relaxed);
        }
    }
}

/// Whether a stream need not be looked at before there is more of it. Asked with the queue held: who appends and notes it meanwhile
/// is not overlooked.
fn has_nothing_due(stream: &Stream) -> bool {
    !stream.has_failed() && stream.is_in_synced_blocks()
}

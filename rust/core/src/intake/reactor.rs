//! One thread, all FIFOs.
//!
//! dockerd does one write for each entry. Waking for each would cost it and us a context switch an entry; so after a
//! wake the reactor takes what is there and then holds off for a millisecond while more gathers (docs/decisions/0001-hold-off.md).
//! The first entry after a quiet time is taken at once.
//!
//! What is taken is in a file when the call that took it returns. Only then is it looked at, to publish whole frames to
//! readers and to the cutter.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, epoll, poll};
use rustix::io::Errno;

use super::attached::{Attached, Shared, show};
use super::earlier::{Earlier, Found};
use super::poller::{MAX_EVENTS, Poller, UNWATCHED_LOOK, ready, timespec};
use super::{Command, Inbox};
use crate::error::Result;
use crate::stream::Session;

/// How long FIFOs gather after each round that found something.
const HOLD_OFF: Duration = Duration::from_millis(1);

/// When two sessions of one container both have something, the one that is being taken goes on until it has been quiet for
/// so long: a change costs a new generation. It only happens when dockerd died and left a FIFO behind.
const SESSION_CHANGE: Duration = Duration::from_millis(50);

/// How often the reactor wakes while a FIFO may shrink or is not watched, or a session waits for the store or is not found yet.
const UPKEEP: Duration = Duration::from_secs(1);

/// LIMIT: so often nothing may come out of a FIFO that holds something when its session ends. Whatever refuses, the next try
/// drops what is there.
const MAX_FAILURES: usize = 8;

/// What one round over a FIFO came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    Empty,
    Taken,
    /// No writer is left.
    EndOfFile,
}

#[derive(Debug)]
pub(super) struct Reactor {
    inbox: Arc<Inbox>,
    poller: Poller,
    attached: HashMap<u64, Attached>,
    earlier: Earlier,
    next_key: u64,
    /// Sessions in which something was found that nobody has been shown yet.
    unshown: HashSet<u64>,
    /// Something may be due by time.
    needs_upkeep: bool,
    shared: Shared,
}

/// Whoever asks for something from now on is told that the store is closed.
impl Drop for Reactor {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

fn has_session(attached: &HashMap<u64, Attached>, session: &Session) -> bool {
    attached
        .values()
        .any(|attached| attached.session_id() == session.id)
}

impl Reactor {
    pub(super) fn new(inbox: Arc<Inbox>, earlier: Earlier, shared: Shared) -> io::Result<Self> {
        let poller = Poller::new(&*inbox, Arc::clone(&shared.faults))?;
        Ok(Self {
            inbox,
            poller,
            attached: HashMap::new(),
            earlier,
            next_key: 0,
            unshown: HashSet::new(),
            needs_upkeep: false,
            shared,
        })
    }

    pub(super) fn run(mut self) {
        let mut events = Vec::with_capacity(MAX_EVENTS);
        let mut is_busy = false;
        let mut upkeep_at: Option<Instant> = None;
        loop {
            if is_busy {
                self.hold_off(HOLD_OFF);
            }
            let timeout = match upkeep_at {
                _ if is_busy => Some(Duration::ZERO),
                at => at.map(|at| at.saturating_duration_since(Instant::now())),
            };
            is_busy = self.look(&mut events, timeout);
            if !self.obey() {
                return;
            }
            let now = Instant::now();
            if upkeep_at.is_some_and(|at| now >= at) {
                self.keep_up(now);
                upkeep_at = None;
            }
            if self.needs_upkeep && upkeep_at.is_none() {
                upkeep_at = Some(now + UPKEEP);
            }
        }
    }

    /// Lets FIFOs gather; callers are answered meanwhile.
    fn hold_off(&self, duration: Duration) {
        let mut wait_for = [PollFd::new(&*self.inbox, PollFlags::IN)];
        match poll(&mut wait_for, Some(&timespec(duration))) {
            // EINTR only shortens the time.
            Ok(_) | Err(Errno::INTR) => {}
            // Whatever refuses, the thread must not go round and round.
            Err(_) => std::thread::sleep(duration),
        }
    }

    /// Waits for FIFOs that hold something, and takes it; says whether there was any.
    fn look(&mut self, events: &mut Vec<epoll::Event>, timeout: Option<Duration>) -> bool {
        let unwatched = if self.poller.wait(events, timeout) {
            self.poller.unwatched()
        } else {
            self.hold_off(UNWATCHED_LOOK);
            self.keys(|attached| !attached.is_over())
        };
        // One that holds something and gives nothing is ready again at once.
        let mut is_busy = ready(events).next().is_some();
        for key in ready(events).chain(unwatched) {
            is_busy |= self.is_others_turn(key)
                || self.waits_for_room(key)
                || self.round(key) != Round::Empty;
        }
        self.show();
        is_busy
    }

    /// Does what callers have asked; `false`: end.
    fn obey(&mut self) -> bool {
        for command in self.inbox.receive() {
            // ORDER: a caller is answered when what was taken for it is shown.
            // A caller that has gone away needs no answer.
            match command {
                Command::Attach {
                    session,
                    stream,
                    fifo,
                    fifo_path,
                    done,
                } => {
                    let is_free = self
                        .keys(|other| other.file() == session.facts.file)
                        .is_empty();
                    // A look for earlier sessions may have come between its record and this.
                    let is_found = has_session(&self.attached, &session);
                    if is_free {
                        let attached =
                            Attached::new(session, stream, fifo, fifo_path, None, &mut self.shared);
                        self.attach(attached);
                    }
                    let _ = done.send(is_free || is_found);
                }
                Command::Drain { container_id, done } => {
                    let is_wanted = |attached: &Attached| {
                        container_id
                            .as_deref()
                            .is_none_or(|id| id == attached.container_id())
                    };
                    for key in self.keys(is_wanted) {
                        self.round(key);
                    }
                    self.show();
                    let _ = done.send(());
                }
                Command::Stop { file, done } => {
                    let found = self.find(&file);
                    let keys = self.keys(|attached| attached.file() == file);
                    for &key in &keys {
                        self.empty(key);
                        self.end(key, false);
                    }
                    let _ = done.send(found.map(|()| !keys.is_empty()));
                }
                Command::Look { done } => {
                    self.look_for_earlier();
                    let _ = done.send(());
                }
                Command::Shutdown => {
                    for key in self.keys(|_| true) {
                        self.round(key);
                    }
                    self.show();
                    return false;
                }
            }
        }
        true
    }

    fn keys(&self, is_wanted: impl Fn(&Attached) -> bool) -> Vec<u64> {
        let mut keys: Vec<u64> = self
            .attached
            .iter()
            .filter(|(_, attached)| is_wanted(attached))
            .map(|(&key, _)| key)
            .collect();
        // In the order of their start, so that an old FIFO's rest comes before a new one's.
        keys.sort_unstable();
        keys
    }

    /// Looks for sessions that earlier workers had and that are not found yet.
    fn look_for_earlier(&mut self) {
        let attached = &self.attached;
        let is_attached = |session: &Session| has_session(attached, session);
        let now_ns = self.shared.clock.now_ns();
        let looked = self.earlier.look(&self.shared.store, now_ns, is_attached);
        self.shared
            .faults
            .unfound
            .note(&looked.passing.map_or(Ok(()), Err));
        if let Some(error) = looked.lasting {
            self.shared.faults.unrecorded.note_error(&error);
        }
        for found in looked.found {
            self.take_up(found);
        }
        self.needs_upkeep |= !self.earlier.is_done();
    }

    /// The session of a FIFO that is not found yet is looked for now: who ends it removes the FIFO next.
    fn find(&mut self, file: &str) -> Result<()> {
        if !self.earlier.is_done() {
            self.look_for_earlier();
        }
        if let Some(found) =
            self.earlier
                .find(file, &self.shared.store, self.shared.clock.now_ns())?
        {
            self.take_up(found);
            if self.earlier.is_done() {
                self.shared.faults.unfound.note(&Ok(()));
            }
        }
        Ok(())
    }

    fn take_up(&mut self, found: Found) {
        let Found {
            session,
            stream,
            fifo,
            fifo_path,
            dropped,
        } = found;
        let attached = Attached::new(session, stream, fifo, fifo_path, dropped, &mut self.shared);
        self.attach(attached);
    }

    fn attach(&mut self, attached: Attached) {
        let key = self.next_key;
        self.next_key += 1;
        self.needs_upkeep = true;
        self.poller.add(key, attached.fifo(), attached.fifo_path());
        self.attached.insert(key, attached);
        self.count_sessions();
        // A FIFO that an earlier worker left may have no writer any more, which no event tells.
        self.round(key);
        self.show();
    }

    /// Shows what the rounds before it have found: one sync for all.
    fn show(&mut self) {
        let unshown = std::mem::take(&mut self.unshown);
        if unshown.is_empty() {
            return;
        }
        let mut found: Vec<&mut Attached> = self
            .attached
            .iter_mut()
            .filter(|(key, _)| unshown.contains(key))
            .map(|(_, attached)| attached)
            .collect();
        show(&mut found, &mut self.shared);
    }

    /// Another session of the same container is being taken.
    fn is_others_turn(&self, key: u64) -> bool {
        let Some(this) = self.attached.get(&key) else {
            return false;
        };
        this.has_the_turn_since().is_none()
            && self.attached.values().any(|other| {
                let since = other.has_the_turn_since();
                since.is_some_and(|since| since.elapsed() < SESSION_CHANGE)
                    && other.container_id() == this.container_id()
            })
    }

    fn waits_for_room(&self, key: u64) -> bool {
        self.attached
            .get(&key)
            .is_some_and(|attached| attached.waits_for_room(&self.shared))
    }

    /// Takes what one FIFO holds now. What comes in meanwhile waits for the next round: a busy writer would be followed entry by
    /// entry, which costs it and us more than all the rest, and would keep the other FIFOs waiting.
    fn round(&mut self, key: u64) -> Round {
        let Some(mut attached) = self.attached.remove(&key) else {
            return Round::Empty;
        };
        let held_bytes = attached.held_bytes();
        let mut taken_bytes = 0;
        let mut round = Round::Empty;
        loop {
            if attached.waits_for_room(&self.shared) {
                break;
            }
            if attached.needs_generation(Instant::now()) {
                self.begin(&mut attached);
            }
            match attached.take(&mut self.shared) {
                Ok(0) => {
                    round = Round::EndOfFile;
                    break;
                }
                Ok(bytes) => {
                    taken_bytes += bytes;
                    round = Round::Taken;
                }
                Err(_) => break,
            }
            if taken_bytes >= held_bytes {
                break;
            }
        }
        if taken_bytes > 0 {
            attached.taken(taken_bytes, &mut self.shared);
            self.unshown.insert(key);
        }
        // A FIFO may have grown, or the store may have refused.
        self.needs_upkeep |= taken_bytes > 0;
        self.attached.insert(key, attached);
        if round == Round::EndOfFile {
            self.end(key, true);
        }
        round
    }

    /// Takes all that a FIFO holds, since nobody will come back for it. A call that fails leaves it there at first.
    fn empty(&mut self, key: u64) {
        let mut failures = 0;
        while failures < MAX_FAILURES {
            let Some(attached) = self.attached.get_mut(&key) else {
                return;
            };
            attached.stop_waiting();
            let holds_some = attached.held_bytes() > 0;
            match self.round(key) {
                Round::Taken => {}
                Round::Empty if holds_some => failures += 1,
                Round::Empty | Round::EndOfFile => return,
            }
        }
    }

    /// Only one session of a container has an open generation: the chain is in the order of arrival.
    fn begin(&mut self, attached: &mut Attached) {
        for other in self
            .attached
            .values_mut()
            .filter(|other| other.container_id() == attached.container_id())
        {
            other.yield_turn(&mut self.shared);
        }
        attached.begin(&mut self.shared);
    }

    fn end(&mut self, key: u64, remove_fifo: bool) {
        let Some(mut attached) = self.attached.remove(&key) else {
            return;
        };
        if attached.has_rest(&mut self.shared) {
            self.begin(&mut attached);
        }
        if let Some(untold) = attached.end(remove_fifo, &mut self.shared) {
            // Nothing more comes out of it, and the event that says so would come for ever.
            self.poller.remove(key, untold.fifo());
            self.attached.insert(key, untold);
            self.needs_upkeep = true;
        } else {
            self.poller.forget(key);
        }
        self.count_sessions();
    }

    /// Does what is due by time.
    fn keep_up(&mut self, now: Instant) {
        self.needs_upkeep = false;
        if !self.earlier.is_done() {
            self.look_for_earlier();
        }
        for key in self.poller.unwatched() {
            if let Some(attached) = self.attached.get(&key) {
                self.poller.add(key, attached.fifo(), attached.fifo_path());
            }
        }
        self.needs_upkeep |= !self.poller.unwatched().is_empty();
        let mut is_refused = false;
        for key in self.keys(Attached::is_over) {
            self.end(key, false);
        }
        for key in self.keys(|_| true) {
            let Some(mut attached) = self.attached.remove(&key) else {
                continue;
            };
            attached.count_dropped(&self.shared);
            let is_known = attached.is_known(&self.shared);
            if attached.is_retry_due(now) {
                self.begin(&mut attached);
            }
            is_refused |= attached.is_refused();
            self.needs_upkeep |= attached.shrink_if_idle(now, &mut self.shared)
                | attached.close_if_cut(now, &mut self.shared)
                || attached.is_refused()
                || !is_known;
            self.attached.insert(key, attached);
        }
        if !is_refused {
            self.shared.faults.dropping.note(&Ok(()));
        }
        let used_bytes = self.shared.budget.used_bytes() as u64;
        self.shared
            .counters
            .pipe_budget_used_bytes
            .store(used_bytes, Ordering::Relaxed);
    }

    fn count_sessions(&self) {
        self.shared
            .counters
            .sessions
            .store(self.attached.len() as u64, Ordering::Relaxed);
    }
}

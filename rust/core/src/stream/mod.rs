//! One container's entries in order.
//!
//! ```text
//! sequence numbers   ---------------------------------------------------------------->
//!                    | segment | segment | segment (open) | cut | generation | generation |
//!                      sealed    sealed    blocks so far          closed       growing
//! ```
//!
//! Three parties meet here, and none waits for another's I/O: the reactor adds generations at the right end and
//! publishes entries in the last one; the cutter turns the leftmost generation into blocks; readers walk from left to
//! right. What they share is `State`, behind a lock that nobody holds while touching a file.
//!
//! INVARIANT: entries are a pure function of blocks and journal bytes. The sequence number of an entry is the first one of
//! its block or generation plus the entries before it there, whoever counts.

mod check;
mod container;
mod cutter;
mod found;
mod options;
mod quarantine;
mod reader;
mod recover;
mod repair;
mod retention;
mod session;
mod snapshot;
mod summed;
mod watch;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use check::{Checked, Finding, Kind, LoggedBytes, check_folder};
pub use cutter::{Counted, CutWhen, Tools};
pub(crate) use found::LOSS_JUMP;
pub use options::{DefaultOptions, GivenOptions, Limits, Options};
pub use reader::{Given, Progress, Query, Reader};
pub use recover::Resumed;
pub use repair::{
    mend_generation, name_generation, read_known_power_cuts, remake_facts, remake_segment,
};
pub use retention::Footprint;
pub(crate) use session::record_file_name;
pub use session::{Session, SessionFacts};
pub(crate) use snapshot::read_facts;
pub use snapshot::{Description, Snapshot};
pub use watch::Watcher;

use serde::{Deserialize, Serialize};

use crate::block::BlockHeader;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::journal::{BootId, Generation, GenerationHeader, JournalWriter};
use crate::segment::{BlockPlace, SegmentWriter};
use crate::sync_log::SyncWhen;
use found::FoundSegment;
use options::Asked;
use quarantine::Kept;
use watch::Watch;

/// Which start of the machine this is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Boot {
    /// Its number.
    pub id: BootId,
    /// How many power cuts the store has seen: what was not synced before the last one may be gone or damaged.
    pub power_cuts: u64,
}

/// All of one container.
#[derive(Debug)]
pub struct Stream {
    container_id: String,
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    boot: Boot,
    defaults: Arc<DefaultOptions>,
    sync: SyncWhen,
    state: Mutex<State>,
    /// What only the cutter uses. Held during I/O, so neither the reactor nor a reader ever takes it.
    cutting: Mutex<Cutting>,
    watch: Watch,
    /// The last cut did not end well, so another is due.
    has_failed: AtomicBool,
    /// Blocks may not be synced: what the sync log has of them must stay.
    has_unsynced_blocks: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    is_open: bool,
    /// Its folder is gone or about to go: no session begins here any more.
    is_removed: bool,
    /// Oldest first. Only the last one may be open.
    segments: VecDeque<SegmentFacts>,
    /// Generations that do not lie wholly in blocks, oldest first.
    chain: VecDeque<Arc<Generation>>,
    /// Generations that lie in blocks but for a torn frame at their end, which stands nowhere else.
    torn: Vec<Arc<Generation>>,
    last_block: Option<LastBlock>,
    /// How far the first of them lies in blocks.
    cut: CutPoint,
    /// LIMIT: behind the last number there is none. A file that bears it is in the way then, which creating another says.
    next_generation: u64,
    /// Running sessions, in the order of their start.
    sessions: Vec<Arc<Session>>,
    /// Ended sessions whose journal may not lie in synced blocks yet.
    ended_sessions: Vec<Arc<Session>>,
    /// Sessions that have printed, and whose facts may not stand in the folder yet.
    unwritten_sessions: Vec<u64>,
    /// What the newest session asked for.
    asked: Asked,
    /// What lies beside the entries.
    kept: Kept,
    /// When a block was last written.
    written_ns: i64,
    /// No entry gets a lower sequence number from now on.
    sequence_floor: u64,
    /// That is not written down yet.
    is_floor_due: bool,
}

/// The newest block there ever was: how far the journal lies in blocks.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct LastBlock {
    /// Whose entries it has.
    session: u64,
    /// Which generation it came from.
    generation: u64,
    /// How far it reaches, as a position in the session.
    position_to: u64,
    /// The sequence number behind it.
    end_sequence: u64,
}

impl LastBlock {
    fn new(header: &BlockHeader) -> Self {
        Self {
            session: header.session,
            generation: header.generation,
            position_to: header.position_to,
            end_sequence: header.end_sequence(),
        }
    }
}

/// Everything before this point lies in blocks.
#[derive(Clone, Copy, Debug, Default)]
struct CutPoint {
    /// Offset in the first generation of the chain.
    offset: u64,
    /// The sequence number there.
    sequence: u64,
}

#[derive(Clone, Debug)]
struct SegmentFacts {
    path: Arc<Path>,
    bytes: u64,
    first_sequence: u64,
    end_sequence: u64,
    entry_count: u64,
    max_time_ns: i64,
    /// The blocks of an open segment, or of a damaged one; those of a sealed one are in its index.
    open_blocks: Option<Arc<Vec<BlockPlace>>>,
}

#[derive(Debug, Default)]
struct Cutting {
    segment: Option<SegmentWriter>,
    /// The newest segment of an earlier worker, until it could be taken up.
    left: Option<FoundSegment>,
    /// Generations that lie in blocks which may not be synced yet.
    to_remove: VecDeque<Arc<Generation>>,
    logged: Option<Logged>,
    /// The folder's own name has been synced.
    is_named: bool,
}

/// How far the sync log holds the journal.
#[derive(Clone, Copy, Debug)]
struct Logged {
    epoch: u64,
    generation: u64,
    offset: u64,
    sequence: u64,
}

impl SegmentFacts {
    fn new(path: &Path, bytes: u64, blocks: &[BlockPlace], is_open: bool) -> Self {
        Self {
            path: path.into(),
            bytes,
            first_sequence: blocks.first().map_or(0, |block| block.first_sequence),
            end_sequence: blocks.last().map_or(0, BlockPlace::end_sequence),
            entry_count: blocks.iter().map(BlockPlace::counted_entries).sum(),
            max_time_ns: blocks
                .iter()
                .map(|block| block.max_time_ns)
                .max()
                .unwrap_or(i64::MIN),
            open_blocks: is_open.then(|| Arc::new(blocks.to_vec())),
        }
    }
}

impl State {
    /// The torn frame of a session stands elsewhere now, or will never be whole.
    fn forget_torn(&self, session: u64) {
        for generation in self
            .chain
            .iter()
            .chain(&self.torn)
            .filter(|generation| generation.header().session == session)
        {
            generation.set_torn_rest(false);
        }
    }

    /// What is known of the sessions that are cut now may not stand in the folder.
    fn expect_facts(&mut self) {
        for generation in &self.chain {
            let session = generation.header().session;
            if !self.unwritten_sessions.contains(&session) {
                self.unwritten_sessions.push(session);
            }
        }
    }

    /// The sequence number of the next entry.
    fn next_sequence(&self) -> u64 {
        let next = self
            .chain
            .back()
            .map_or(self.cut.sequence, |generation| generation.end_sequence());
        next.max(self.sequence_floor)
    }

    /// Where the entries of a generation of the chain that lie in no block begin.
    fn uncut_point(&self, index: usize, generation: &Generation) -> CutPoint {
        if index == 0 && self.cut.offset > 0 {
            return self.cut;
        }
        CutPoint {
            offset: 0,
            sequence: generation.header().first_sequence,
        }
    }

    /// The sequence number of the oldest entry, or of the next one where there is none.
    fn oldest_sequence(&self) -> u64 {
        self.segments
            .front()
            .map_or(self.cut.sequence, |segment| segment.first_sequence)
    }

    fn uncut_bytes(&self) -> u64 {
        let published: u64 = self
            .chain
            .iter()
            .map(|generation| generation.boundary())
            .sum();
        published.saturating_sub(self.cut.offset)
    }
}

impl Stream {
    /// A stream in `folder`, not opened yet. The first sequence number counts only where there is nothing on disk.
    pub fn new(
        container_id: &str,
        folder: PathBuf,
        disk: Arc<dyn Disk>,
        boot: Boot,
        defaults: Arc<DefaultOptions>,
        first_sequence: u64,
        sync: SyncWhen,
    ) -> Self {
        let cut = CutPoint {
            offset: 0,
            sequence: first_sequence,
        };
        Self {
            container_id: container_id.to_owned(),
            folder,
            disk,
            boot,
            defaults,
            sync,
            state: Mutex::new(State {
                cut,
                ..State::default()
            }),
            cutting: Mutex::default(),
            watch: Watch::default(),
            has_failed: AtomicBool::new(false),
            has_unsynced_blocks: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cutting(&self) -> MutexGuard<'_, Cutting> {
        self.cutting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose stream it is.
    pub fn container_id(&self) -> &str {
        &self.container_id
    }

    /// Its folder, which is there only once a byte has come.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A session begins. Its options apply to the whole stream from now on. A second beginning changes nothing.
    ///
    /// `false`: the stream was removed meanwhile; the store has another one.
    pub fn begin_session(&self, session: &Arc<Session>) -> bool {
        let mut state = self.state();
        if state.is_removed {
            return false;
        }
        if state.sessions.iter().all(|other| other.id != session.id) {
            // One that could not be told to the stream before may come late.
            let place = state
                .sessions
                .partition_point(|other| other.facts.started_ns <= session.facts.started_ns);
            state.sessions.insert(place, Arc::clone(session));
            if let Some(newest) = state.sessions.last() {
                state.asked = newest.facts.asked();
            }
        }
        true
    }

    /// The torn frame of a session stands in its tally now.
    pub fn forget_torn(&self, session: &Session) {
        self.state().forget_torn(session.id);
    }

    /// Nothing more will come from a session, but the stream cannot be told yet what was dropped of it. Its followers end.
    pub fn end_followers(&self, session: &Session) {
        let end_sequence = self.state().next_sequence();
        let _ = session.end_sequence.set(end_sequence);
        self.watch.ring();
    }

    /// A session has ended, with all its entries published, one for a torn rest among them. Its followers end.
    pub fn end_session(&self, session: &Arc<Session>) {
        let mut state = self.state();
        let end_sequence = state.next_sequence();
        state.forget_torn(session.id);
        state.sessions.retain(|other| other.id != session.id);
        state.ended_sessions.push(Arc::clone(session));
        drop(state);
        // A session ends once; a second end changes nothing.
        let _ = session.end_sequence.set(end_sequence);
        self.watch.ring();
    }

    /// Begins a generation at the end of the chain. The one before must be closed.
    ///
    /// # Errors
    /// The disk refused, or the stream could not be opened.
    pub fn begin_generation(
        &self,
        session: &Arc<Session>,
        start: u64,
        initial: &[u8],
        now_ns: i64,
    ) -> Result<JournalWriter> {
        self.open()?;
        if self.state().is_floor_due {
            self.write_floor()?;
        }
        let mut state = self.state();
        let number = state.next_generation;
        state.next_generation = number.saturating_add(1);
        let header = GenerationHeader {
            number,
            session: session.id,
            start,
            first_sequence: state.next_sequence(),
            created_ns: now_ns,
            initial_bytes: 0,
            boot_id: self.boot.id,
        };
        drop(state);
        self.disk
            .create_folder(&self.folder)
            .map_err(Error::io("create", &self.folder))?;
        let writer = JournalWriter::create(&*self.disk, &self.folder, header, initial)?;
        let mut state = self.state();
        state.forget_torn(session.id);
        state.chain.push_back(Arc::clone(writer.generation()));
        if start == 0 {
            state.unwritten_sessions.push(session.id);
        }
        Ok(writer)
    }

    /// Whether all published entries of a generation lie in blocks.
    pub fn is_cut(&self, generation: &Generation) -> bool {
        let state = self.state();
        match state.chain.front() {
            Some(first) => {
                let (first, this) = (first.header().number, generation.header().number);
                this < first || (this == first && state.cut.offset == generation.boundary())
            }
            None => true,
        }
    }

    /// What it may hold now.
    fn limits(&self) -> Limits {
        let asked = self.state().asked;
        asked.limits(&self.defaults.get())
    }

    /// Wakes followers; returns how many journal bytes wait for the cutter.
    pub fn published(&self) -> u64 {
        self.watch.ring();
        self.state().uncut_bytes()
    }

    /// The session whose end a follower waits for: the newest that runs.
    fn running_session(&self) -> Option<Arc<Session>> {
        self.state().sessions.last().cloned()
    }

    /// Whether blocks wait for a sync.
    fn has_unsynced_blocks(&self) -> bool {
        self.sync != SyncWhen::Off && self.has_unsynced_blocks.load(Ordering::Relaxed)
    }

    /// Whether all of it, if it is still there, lies in blocks that are synced where anything is.
    pub fn is_in_synced_blocks(&self) -> bool {
        let state = self.state();
        state.is_removed || (state.uncut_bytes() == 0 && !self.has_unsynced_blocks())
    }

    /// Journal bytes that are in no block yet.
    pub fn uncut_bytes(&self) -> u64 {
        self.state().uncut_bytes()
    }

    /// The last cut did not end well.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Nothing of it is in memory only, so it can be forgotten and opened again.
    pub fn is_idle(&self) -> bool {
        let state = self.state();
        state.sessions.is_empty()
            && state.ended_sessions.is_empty()
            && state.chain.is_empty()
            && state.torn.is_empty()
    }
}

//! All streams of one data folder.
//!
//! ```text
//! DATA/format                      "logboom store 1\n"
//! DATA/lock                        held (flock) by the one worker that may write
//! DATA/ballast                     room for cutting on a full disk
//! DATA/first-sequence              where a stream begins that has no folder; only ever raised
//! DATA/power-cuts                  how many power cuts the store has seen
//! DATA/sync/                       the sync log
//! DATA/catalogue/                  what ended streams hold, to be listed quickly
//! DATA/containers/<container id>/  a stream
//! DATA/containers/.removed-<id>/   a stream that is being removed
//! ```
//!
//! A data folder that a newer version has written is left alone; all this is in `DATA-format1` then.
//!
//! A store that cannot be opened is a *fault*, not an end: streams stay unopened, which makes readers fail with the fault
//! and the intake drop and count, and each later call tries again.

mod ballast;
mod budget;
mod catalogue;
mod census;
mod limits;
mod record;
mod removal;
mod root;
mod verify;
mod view;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub use budget::{Budget, Held};
pub use catalogue::Cataloguing;
pub use census::{Census, PackedId, Scan};
pub use limits::StoreLimits;
pub use record::{
    Records, new_session_id, read_records, record_folder, remove_record, write_record,
};
pub use removal::Removal;
pub use verify::{Place, SetAside, repair, verify};
pub use view::{Listed, StoreView};

use crate::disk::{Disk, MAX_CONTAINER_ID_BYTES, is_container_id, is_missing, list_folder};
use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::journal::{self, BootId};
use crate::stream::{Boot, DefaultOptions, Options, Session, Stream};
use crate::sync_log::{FILE_BYTES, Found, Mark, SyncLog, SyncWhen};
use ballast::Ballast;
use root::Root;

const CONTAINERS: &str = "containers";
const SYNC: &str = "sync";
const CATALOGUE: &str = "catalogue";

/// Checks what names a folder: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, at most 128 characters.
///
/// # Errors
/// It could name something else, or nothing.
pub fn check_container_id(container_id: &str) -> Result<()> {
    if is_container_id(container_id) {
        return Ok(());
    }
    let shown: String = container_id.chars().take(80).collect();
    Err(Error::invalid(
        "ContainerID",
        format!(
            "{shown:?} is no container id: 1 to {MAX_CONTAINER_ID_BYTES} letters, digits, '_', '.' or '-', a letter or digit first"
        ),
    ))
}

/// What is known once the store has been opened.
#[derive(Debug)]
struct Opened {
    folder: PathBuf,
    newer: Option<String>,
}

/// Which streams there are.
#[derive(Debug)]
pub struct Store {
    data: PathBuf,
    disk: Arc<dyn Disk>,
    boot_id: BootId,
    defaults: Arc<DefaultOptions>,
    sync: SyncWhen,
    log_file_bytes: u64,
    root: Mutex<Option<Root>>,
    /// Of the root, for those who must not wait for who holds it during I/O.
    opened: OnceLock<Opened>,
    sync_log: Mutex<Option<SyncLog>>,
    /// A file of it tells that the store is open.
    has_log: AtomicBool,
    ballast: Ballast,
    fault: Fault,
    is_closed: AtomicBool,
    streams: Mutex<HashMap<String, Arc<Stream>>>,
    /// Held while a stream is removed.
    removing: Mutex<()>,
}

impl Store {
    /// The store in a data folder, not opened yet.
    pub fn new(data: PathBuf, disk: Arc<dyn Disk>, boot_id: BootId, sync: SyncWhen) -> Self {
        Self {
            data,
            disk,
            boot_id,
            defaults: Arc::default(),
            sync,
            log_file_bytes: FILE_BYTES,
            root: Mutex::default(),
            opened: OnceLock::new(),
            sync_log: Mutex::default(),
            has_log: AtomicBool::new(false),
            ballast: Ballast::default(),
            fault: Fault::default(),
            is_closed: AtomicBool::new(false),
            streams: Mutex::default(),
            removing: Mutex::default(),
        }
    }

    /// The same, with files of the sync log that become so large.
    #[must_use]
    pub fn with_log_file_bytes(mut self, log_file_bytes: u64) -> Self {
        self.log_file_bytes = log_file_bytes;
        self
    }

    /// What all files go through.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The options of containers that give none.
    pub fn default_options(&self) -> Options {
        self.defaults.get()
    }

    /// Sets them for all streams; returns what was set before.
    pub fn set_default_options(&self, options: Options) -> Option<Options> {
        self.defaults.set(options)
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<String, Arc<Stream>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The data folder, or the one beside it.
    fn root_folder(&self) -> PathBuf {
        let root = self.root();
        let folder = root.as_ref().map_or(&*self.data, Root::folder);
        folder.to_owned()
    }

    fn containers(&self) -> PathBuf {
        self.root_folder().join(CONTAINERS)
    }

    fn folder(&self, container_id: &str) -> PathBuf {
        self.containers().join(container_id)
    }

    fn root(&self) -> MutexGuard<'_, Option<Root>> {
        self.root.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sync_log(&self) -> MutexGuard<'_, Option<SyncLog>> {
        self.sync_log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock, reads the format, and makes journals anew after a power cut; once that has succeeded it does nothing.
    ///
    /// # Errors
    /// The fault that keeps the store closed.
    pub fn open(&self) -> Result<()> {
        let mut root = self.root();
        if root.is_some() {
            return Ok(());
        }
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        let opened = self.open_root();
        self.fault.note(&opened);
        let found = opened?;
        self.opened.get_or_init(|| Opened {
            folder: found.folder().to_owned(),
            newer: found.newer(),
        });
        *root = Some(found);
        Ok(())
    }

    fn open_root(&self) -> Result<Root> {
        let mut root = Root::open(&self.data, &*self.disk)?;
        let found = Found::look(&*self.disk, &root.folder().join(SYNC), self.boot_id)?;
        // ORDER: before the files go that tell of the power cut.
        if found.is_after_power_cut {
            root.count_power_cut(&*self.disk)?;
        }
        let containers = root.folder().join(CONTAINERS);
        let log = found.begin(&*self.disk, &containers, self.sync, self.log_file_bytes)?;
        self.has_log.store(log.has_begun(), Ordering::Release);
        *self.sync_log() = Some(log);
        self.ballast.take(&*self.disk, root.folder());
        Ok(root)
    }

    /// The store as its files are, for whoever only looks.
    ///
    /// # Errors
    /// The store cannot be opened.
    pub fn view(&self, fifo_root: PathBuf) -> Result<StoreView> {
        self.open()?;
        let root = self.root();
        let folder = root.as_ref().map_or(&*self.data, Root::folder).to_owned();
        Ok(StoreView::new(
            Arc::clone(&self.disk),
            folder,
            Some(fifo_root),
        ))
    }

    /// Begins to write down anew what ended streams hold; `None`: the store is not open.
    pub fn begin_cataloguing(&self) -> Option<Cataloguing> {
        let root = self.root();
        let root = root.as_ref()?;
        Some(Cataloguing::begin(root.folder(), root.power_cuts()))
    }

    /// Takes up the next stream in it.
    ///
    /// # Errors
    /// The disk refused; it can go on with the one behind.
    pub fn catalogue(&self, to: &mut Cataloguing, id: &PackedId, now_ns: i64) -> Result<()> {
        to.add(&self.disk, id, now_ns)
    }

    /// A cut has met a full disk. Gives up the room that is kept for cutting, and what the sync log has to spare; `false`: there
    /// is neither.
    pub fn give_up_ballast(&self, full: &Error) -> bool {
        // ORDER: the ballast first, so that journals take nothing of either.
        let had_ballast = self.ballast.give_up(&*self.disk, &self.root_folder(), full);
        let mut sync_log = self.sync_log();
        let had_spare = sync_log
            .as_mut()
            .is_some_and(|log| log.give_up_spare(&*self.disk));
        had_ballast || had_spare
    }

    /// Takes that room again if it is missing, as far as the disk allows.
    pub fn restore_ballast(&self) {
        if self.may_grow().is_err() {
            self.ballast.take(&*self.disk, &self.root_folder());
        }
    }

    /// Whether journals may take new space, which they may not while that room is missing.
    ///
    /// # Errors
    /// What the disk said when it was full.
    pub fn may_grow(&self) -> io::Result<()> {
        self.ballast.check()
    }

    /// What kept the store from being opened at the last try.
    pub fn fault(&self) -> Option<String> {
        self.fault.get()
    }

    /// Says that a newer version has written the data folder, and where entries are kept meanwhile.
    pub fn newer(&self) -> Option<String> {
        self.opened.get().and_then(|opened| opened.newer.clone())
    }

    /// The folder that everything is in: the data folder, or the one beside it; `None` until it could be opened.
    pub fn opened_folder(&self) -> Option<&Path> {
        self.opened.get().map(|opened| &*opened.folder)
    }

    /// Whether a container has a folder.
    ///
    /// # Errors
    /// The store cannot be opened or looked at.
    pub fn has_stream(&self, container_id: &str) -> Result<bool> {
        check_container_id(container_id)?;
        self.open()?;
        let path = self.folder(container_id);
        let listed = list_folder(&*self.disk, &path);
        if is_missing(&listed) {
            return Ok(false);
        }
        listed.map_err(Error::io("list", &path)).map(|_| true)
    }

    /// A container's stream. It may be new and have no folder.
    ///
    /// # Errors
    /// The store cannot be opened, or the id cannot name a folder.
    pub fn stream(&self, container_id: &str) -> Result<Arc<Stream>> {
        check_container_id(container_id)?;
        self.open()?;
        if let Some(stream) = self.streams().get(container_id) {
            return Ok(Arc::clone(stream));
        }
        let (first_sequence, power_cuts) = self
            .root()
            .as_ref()
            .map_or((0, 0), |root| (root.first_sequence(), root.power_cuts()));
        let boot = Boot {
            id: self.boot_id,
            power_cuts,
        };
        let stream = Stream::new(
            container_id,
            self.folder(container_id),
            Arc::clone(&self.disk),
            boot,
            Arc::clone(&self.defaults),
            first_sequence,
            self.sync,
        );
        let mut streams = self.streams();
        // Another call may have been quicker; there must be one stream only.
        let stream = streams
            .entry(container_id.to_owned())
            .or_insert_with(|| Arc::new(stream));
        Ok(Arc::clone(stream))
    }

    /// The stream of a session, which has begun there.
    ///
    /// # Errors
    /// The store cannot be opened, or the id cannot name a folder.
    pub fn stream_of(&self, session: &Arc<Session>) -> Result<Arc<Stream>> {
        loop {
            let stream = self.stream(&session.facts.container_id)?;
            // A stream that is removed at this moment is in the map no more when the next look is over.
            if stream.begin_session(session) {
                return Ok(stream);
            }
        }
    }

    /// What is free on the store's file system, without what is reserved for root.
    ///
    /// # Errors
    /// The disk refused.
    pub fn free_bytes(&self) -> Result<u64> {
        self.disk
            .free_bytes(&self.data)
            .map_err(Error::io("look how much is free at", &self.data))
    }

    /// Makes what these streams have survive a power cut. All other streams lie in synced blocks.
    ///
    /// # Errors
    /// The disk refused for one of them; the others are safe all the same.
    pub fn sync(&self, streams: &[Arc<Stream>]) -> Result<()> {
        if self.sync == SyncWhen::Off {
            return Ok(());
        }
        let mut result = Ok(());
        let mut safe = Vec::new();
        // ORDER: all are begun before the first is waited for.
        for stream in streams {
            stream.begin_writing();
        }
        for stream in streams {
            match stream.sync_blocks() {
                Ok(()) => safe.push(stream),
                Err(error) => result = result.and(Err(error)),
            }
        }
        // ORDER: after the segments. Under `always` the reactor waits for the log.
        let mut sync_log = self.sync_log();
        let Some(log) = &mut *sync_log else {
            return result;
        };
        let mut bytes = Vec::new();
        for stream in safe {
            result = result.and(stream.log_unsynced(log, &mut bytes));
        }
        result = result.and(log.sync());
        if result.is_ok() {
            log.tidy(&*self.disk, |id, mark| self.is_in_blocks(id, mark));
        }
        result
    }

    /// When entries are made to survive a power cut.
    pub fn sync_when(&self) -> SyncWhen {
        self.sync
    }

    /// Begins the sync log where the disk refused that when the store was opened.
    ///
    /// ORDER: before the first journal, or nothing would tell the next worker of a power cut.
    ///
    /// # Errors
    /// The disk refused, or the store is not open.
    pub fn begin_log(&self) -> Result<()> {
        if !self.has_log.load(Ordering::Acquire) {
            let mut sync_log = self.sync_log();
            sync_log.as_mut().ok_or(Error::Closed)?.begin(&*self.disk)?;
            self.has_log.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Lets the caller add to the sync log, and syncs it.
    ///
    /// # Errors
    /// The disk refused, or the store is not open.
    pub fn log(&self, add: impl FnOnce(&mut SyncLog, &dyn Disk) -> Result<()>) -> Result<()> {
        let mut sync_log = self.sync_log();
        let log = sync_log.as_mut().ok_or(Error::Closed)?;
        add(log, &*self.disk)?;
        log.sync()
    }

    fn is_in_blocks(&self, container_id: &str, mark: Mark) -> bool {
        let loaded = self.streams().get(container_id).cloned();
        match loaded {
            Some(stream) => stream.is_in_blocks(mark),
            // One that an earlier worker has left, or one that was forgotten with all in blocks.
            None => !self.has_journal(container_id),
        }
    }

    /// Whether a container's folder has journal files, or cannot be looked at.
    fn has_journal(&self, container_id: &str) -> bool {
        let listed = list_folder(&*self.disk, &self.folder(container_id));
        !is_missing(&listed)
            && listed.map_or(true, |files| {
                files
                    .iter()
                    .any(|file| journal::parse_file_name(&file.name).is_some())
            })
    }

    /// Gives up the lock. When all streams lie in synced blocks the sync log goes as well, so that the next opening finds a
    /// store that was closed.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        let is_all_safe = self
            .streams()
            .values()
            .all(|stream| stream.is_in_synced_blocks());
        let log = self.sync_log().take();
        if let (Some(log), true, true) = (log, is_all_safe, self.sync != SyncWhen::Off) {
            log.remove(&*self.disk, |id, mark| self.is_in_blocks(id, mark));
        }
        *self.root() = None;
    }

    /// The streams in memory: those with a session, and those used lately.
    pub fn loaded(&self) -> Vec<Arc<Stream>> {
        self.streams().values().cloned().collect()
    }

    /// How many streams are in memory.
    pub fn loaded_count(&self) -> usize {
        self.streams().len()
    }

    /// Forgets streams that nobody uses; they are opened again when they are wanted.
    pub fn forget_idle(&self) {
        self.streams()
            .retain(|_, stream| Arc::strong_count(stream) > 1 || !stream.is_idle());
    }

    /// Forgets a stream that the caller alone uses.
    #[expect(clippy::needless_pass_by_value, reason = "the caller gives it up")]
    pub fn forget_if_idle(&self, stream: Arc<Stream>) {
        let mut streams = self.streams();
        let is_known = streams
            .get(stream.container_id())
            .is_some_and(|known| Arc::ptr_eq(known, &stream));
        if is_known && Arc::strong_count(&stream) == 2 && stream.is_idle() {
            streams.remove(stream.container_id());
        }
    }
}

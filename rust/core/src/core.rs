//! The whole core behind one door: sessions in, readers out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::value::RawValue;

use crate::clock::Clock;
use crate::disk::{Disk, Stalls, SystemDisk, WatchedDisk};
use crate::error::{Error, Result};
use crate::intake::{
    CutterSettings, Intake, IntakeSettings, Traffic, fifo_path, open_fifo, remove_orphan,
};
use crate::journal::BootId;
use crate::replay::Replay;
use crate::stats::{Counters, Durations};
use crate::store::{
    Removal, Store, StoreLimits, StoreView, check_container_id, new_session_id, record_folder,
    remove_record, write_record,
};
use crate::stream::{
    GivenOptions, Options, Query, Reader, Session, SessionFacts, record_file_name,
};
use crate::sync_log::SyncWhen;

/// Where dockerd makes FIFOs, below the FIFO root.
const FIFO_FOLDER: &str = "run/docker/logging";

/// LIMIT: a FIFO of no session is not looked at before nobody has written to it for so long. dockerd opens one milliseconds
/// after it has made it, and tries for 15 s to begin its session.
const ORPHAN_AGE: Duration = Duration::from_secs(3600);

/// Where it is counted what is dropped, below the FIFO root: in memory, which takes it whatever the disks do, and which
/// outlives a worker.
const TALLY_FOLDER: &str = "dev/shm/logboom";

/// What the core goes by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder.
    pub data: PathBuf,
    /// Put before every path that dockerd names; `/` in the plugin.
    pub fifo_root: PathBuf,
    /// A quiet session's journal becomes a block after so long.
    pub block_after: Duration,
    /// What all FIFOs together may hold above the kernel's default.
    pub pipe_budget_bytes: u64,
    /// How many containers' names have counters of their own.
    pub named_containers: usize,
    /// When entries are made to survive a power cut.
    pub sync: SyncWhen,
    /// How large a file of the sync log becomes (`sync_log::FILE_BYTES`).
    pub log_file_bytes: u64,
    /// The time.
    pub clock: Clock,
}

/// A running core.
#[derive(Debug)]
pub struct Core {
    settings: Settings,
    store: Arc<Store>,
    intake: Intake,
    counters: Arc<Counters>,
    stalls: Arc<Stalls>,
    syncs: Arc<Durations>,
    is_closed: AtomicBool,
}

/// Which start of the machine this is (Linux, `Documentation/admin-guide/sysctl/kernel.rst`).
pub(crate) fn boot_id(disk: &dyn Disk) -> Result<BootId> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    // A file of procfs has no size, so it is read by its known length: a UUID.
    let mut text = [0; 36];
    let file = disk
        .open(path, crate::disk::OpenMode::Read)
        .map_err(Error::io("open", path))?;
    file.read_exact_at(&mut text, 0)
        .map_err(Error::io("read", path))?;
    let digits = text
        .iter()
        .filter_map(|&byte| char::from(byte).to_digit(16))
        .collect::<Vec<u32>>();
    let mut id = BootId::default();
    for (byte, pair) in id.iter_mut().zip(digits.chunks(2)) {
        *byte = pair.iter().fold(0, |byte, &digit| {
            (byte << 4) | u8::try_from(digit).unwrap_or(0)
        });
    }
    Ok(id)
}

impl Core {
    /// Starts the intake and finds the sessions of earlier workers again.
    ///
    /// A store that cannot be used is no error here but a `fault`: containers must start whatever its state.
    ///
    /// # Errors
    /// No thread or file descriptor is left.
    pub fn open(settings: Settings) -> Result<Self> {
        Self::open_on(settings, Arc::new(SystemDisk))
    }

    /// `open` on a disk of the caller's.
    ///
    /// # Errors
    /// No thread or file descriptor is left.
    pub fn open_on(settings: Settings, disk: Arc<dyn Disk>) -> Result<Self> {
        let boot_id = boot_id(&*disk)?;
        let syncs = Arc::new(Durations::default());
        let disk = Arc::new(WatchedDisk::new(disk, Arc::clone(&syncs)));
        let store = Store::new(settings.data.clone(), disk, boot_id, settings.sync)
            .with_log_file_bytes(settings.log_file_bytes);
        let store = Arc::new(store);
        let stalls = Arc::new(Stalls::default());
        let counters = Arc::new(Counters::default());
        let intake_settings = IntakeSettings {
            fifo_root: settings.fifo_root.clone(),
            pipe_budget_bytes: settings.pipe_budget_bytes,
            named_containers: settings.named_containers,
            tally_folder: settings.fifo_root.join(TALLY_FOLDER),
            cutter: CutterSettings {
                block_after: settings.block_after,
            },
        };
        let intake = Intake::start(
            Arc::clone(&store),
            settings.clock.clone(),
            Arc::clone(&counters),
            &stalls,
            intake_settings,
        )?;
        let core = Self {
            settings,
            store,
            intake,
            counters,
            stalls,
            syncs,
            is_closed: AtomicBool::new(false),
        };
        // An error is kept as the store's fault, and tried again by whoever needs the store.
        let _ = core.store.open();
        core.intake.look_for_earlier()?;
        core.remove_orphans();
        Ok(core)
    }

    fn record_folder(&self) -> PathBuf {
        record_folder(&self.settings.fifo_root)
    }

    /// Removes FIFOs whose session has never begun: dockerd leaves one behind when it is refused, or the worker dies meanwhile.
    fn remove_orphans(&self) {
        let folder = self.settings.fifo_root.join(FIFO_FOLDER);
        let age_ns = i64::try_from(ORPHAN_AGE.as_nanos()).unwrap_or(i64::MAX);
        let old_ns = self.settings.clock.now_ns().saturating_sub(age_ns);
        // What cannot be listed stays; nothing depends on it.
        for listed in self.store.disk().list(&folder).unwrap_or_default() {
            if listed.modified_ns < old_ns {
                remove_orphan(&folder.join(&listed.name));
            }
        }
    }

    fn check_open(&self) -> Result<()> {
        if self.is_closed.load(Ordering::Relaxed) {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    /// Keeps what comes out of a FIFO from now on. The session is written down when this returns, or a `fault` says why not.
    ///
    /// # Errors
    /// `InvalidArgument`, `SessionExists`, or `Closed`.
    pub fn start_session(
        &self,
        file: &str,
        container_id: &str,
        facts: &str,
        given: GivenOptions,
    ) -> Result<()> {
        self.check_open()?;
        check_container_id(container_id)?;
        let facts: Box<RawValue> = serde_json::from_str(facts)
            .map_err(|error| Error::invalid("facts", error.to_string()))?;
        let fifo_path = fifo_path(&self.settings.fifo_root, file)?;
        let fifo = open_fifo(&fifo_path)?;
        let id = new_session_id()?;
        let facts = SessionFacts {
            session: format!("{id:016x}"),
            file: file.to_owned(),
            container_id: container_id.to_owned(),
            started_ns: self.settings.clock.now_ns(),
            limits: given.over(&self.store.default_options()).limits(),
            given: Some(given),
            facts,
        };
        let session = Arc::new(Session::new(
            id,
            facts,
            self.record_folder().join(record_file_name(id)),
        ));
        // A session that is not written down is lost to the next worker, but a container that does not start is worse.
        self.intake
            .note_record(&write_record(self.store.disk(), &session));
        let stream = self.store.stream(container_id).ok();
        if self
            .intake
            .attach(Arc::clone(&session), stream, fifo, fifo_path)?
        {
            return Ok(());
        }
        remove_record(self.store.disk(), &session);
        Err(Error::SessionExists {
            file: file.to_owned(),
            container_id: container_id.to_owned(),
        })
    }

    /// Takes what a FIFO still holds and ends its session; `false` when no session has it.
    ///
    /// # Errors
    /// The core was closed, or an earlier worker had the session and its FIFO cannot be opened.
    pub fn stop_session(&self, file: &str) -> Result<bool> {
        self.intake.stop(file)
    }

    /// Takes what all FIFOs hold right now.
    ///
    /// # Errors
    /// The core was closed.
    pub fn drain(&self) -> Result<()> {
        self.intake.drain()
    }

    /// A reader whose start and end are fixed now. What was written to the container's FIFOs before is seen, unless the disk
    /// stalls: then what had been taken before is.
    ///
    /// # Errors
    /// `InvalidArgument`, or what keeps the stream from being read.
    pub fn read(&self, container_id: &str, query: &Query) -> Result<Replay> {
        self.check_open()?;
        check_container_id(container_id)?;
        self.intake
            .drain_unless(|| self.stall_seconds().is_some(), container_id)?;
        let stream = self.store.stream(container_id)?;
        Reader::open(&stream, query).map(Replay::new)
    }

    /// Whether the store holds anything of a container.
    ///
    /// # Errors
    /// `InvalidArgument`, or what keeps the store from being looked at.
    pub fn has_log(&self, container_id: &str) -> Result<bool> {
        self.store.has_stream(container_id)
    }

    /// Removes a container's stream, unless a session runs in it. It is gone for good when this returns; its numbers do not come
    /// again, and readers go on with what they have open.
    ///
    /// # Errors
    /// `InvalidArgument`, `Closed`, or the disk refused.
    pub fn remove(&self, container_id: &str) -> Result<Removal> {
        self.check_open()?;
        check_container_id(container_id)?;
        self.intake.remove(container_id)
    }

    /// The store as its files are, for whoever lists and describes streams.
    ///
    /// # Errors
    /// The core was closed, or what keeps the store from being looked at.
    pub fn view(&self) -> Result<StoreView> {
        self.check_open()?;
        self.store.view(self.settings.fifo_root.clone())
    }

    /// Sets the limits over all streams. They are enforced in the background from now on; without a call there are none.
    pub fn set_store_limits(&self, limits: StoreLimits) {
        self.intake.set_limits(limits);
    }

    /// Sets the options of containers that give none; without a call there is no limit. Each stream keeps by those that its newest
    /// session did not give: running ones at once, ended ones in the background.
    pub fn set_default_options(&self, options: Options) {
        let before = self.store.set_default_options(options);
        if before != Some(options) {
            // When a worker starts, all streams that nobody uses are looked at within the hour as ever.
            self.intake.heed_options(before.is_some());
        }
    }

    /// The first of `faults`, as a sentence.
    pub fn fault(&self) -> Option<String> {
        self.faults()
            .into_iter()
            .next()
            .map(|(_, sentence)| sentence)
    }

    /// What keeps entries from being stored or read, or sessions from being found again: each with its name and a sentence.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let stall = self
            .stall_seconds()
            .map(|seconds| format!("the disk has not answered for {seconds} s"));
        [
            ("disk-stalled", stall),
            ("store", self.store.fault()),
            ("intake", self.intake.fault()),
            ("session-records", self.intake.session_fault()),
            // The last: it stays, and must hide nothing that comes and goes.
            ("newer-format", self.store.newer()),
        ]
        .into_iter()
        .filter_map(|(name, fault)| fault.map(|sentence| (name, sentence)))
        .collect()
    }

    /// The folder that the store is in; the data folder until it could be opened.
    pub fn folder(&self) -> &Path {
        self.store.opened_folder().unwrap_or(&self.settings.data)
    }

    /// How long the disk has not answered the intake; `None`: it does.
    pub fn stall_seconds(&self) -> Option<u64> {
        self.stalls.look().lasting.map(|lasting| lasting.as_secs())
    }

    /// What has been counted since the start.
    pub fn statistics(&self) -> Vec<(&'static str, u64)> {
        let stalled = self.stalls.look();
        for (counter, value) in [
            (&self.counters.disk_stalls_total, stalled.count),
            (
                &self.counters.disk_stall_seconds_total,
                stalled.total.as_secs(),
            ),
        ] {
            counter.store(value, Ordering::Relaxed);
        }
        self.counters.snapshot()
    }

    /// What came from whom since the start.
    pub fn traffic(&self) -> &Traffic {
        self.intake.traffic()
    }

    /// How long each sync has taken since the start.
    pub fn syncs(&self) -> &Durations {
        &self.syncs
    }

    /// Takes what all FIFOs hold, cuts and syncs it, and ends the threads. Sessions stay for the next worker.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.intake.shut_down();
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.close();
    }
}

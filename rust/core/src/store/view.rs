//! A store as another process sees it: nothing is locked, changed or kept, and no thread is started.
//!
//! It can be used while a worker runs, of which it sees what lies in files; what still is in a FIFO comes later.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::catalogue::{Catalogue, Row};
use super::record::{read_records, record_folder};
use super::root::{read_power_cuts, readable_folder};
use super::{CONTAINERS, check_container_id};
use crate::disk::{Disk, SystemDisk, is_missing};
use crate::error::{Error, Result};
use crate::stream::{Description, Footprint, Session, SessionFacts, Snapshot, read_facts};

/// One stream of a store, or a container that runs and has not printed yet.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Whose entries it has.
    pub container_id: String,
    /// A session of it runs; `None` where that cannot be seen.
    pub is_active: Option<bool>,
    /// When its oldest session that is known of began.
    pub first_started_ns: Option<i64>,
    /// When its newest session began.
    pub last_started_ns: Option<i64>,
    /// What is known of the container, as its newest session gave it.
    pub facts: Option<String>,
    /// What it holds, where that is known without a look at its segments.
    pub held: Option<Description>,
}

/// A container's sessions that are written down beside FIFOs.
#[derive(Debug, Default)]
struct Recorded {
    sessions: Vec<SessionFacts>,
    /// One of the FIFOs is there.
    is_active: bool,
}

/// The files of a store.
#[derive(Clone, Debug)]
pub struct StoreView {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    fifo_root: Option<PathBuf>,
}

impl StoreView {
    /// A store's files on the machine's own file system.
    ///
    /// Where FIFOs are is needed to know which sessions run.
    ///
    /// # Errors
    /// There is no store in the folder, or one of a newer version.
    pub fn open(data: &Path, fifo_root: Option<PathBuf>) -> Result<Self> {
        Self::open_on(Arc::new(SystemDisk), data, fifo_root)
    }

    /// `open` on a disk of the caller's.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_on(disk: Arc<dyn Disk>, data: &Path, fifo_root: Option<PathBuf>) -> Result<Self> {
        let folder = readable_folder(data, &*disk)?;
        Ok(Self::new(disk, folder, fifo_root))
    }

    pub(super) fn new(disk: Arc<dyn Disk>, folder: PathBuf, fifo_root: Option<PathBuf>) -> Self {
        Self {
            disk,
            folder,
            fifo_root,
        }
    }

    /// Where it is: the data folder, or the one beside it where a newer version has written the data folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn stream_folder(&self, container_id: &str) -> PathBuf {
        self.folder.join(CONTAINERS).join(container_id)
    }

    /// The ids of all streams, sorted. One folder is listed.
    ///
    /// # Errors
    /// The disk refused.
    pub fn stream_ids(&self) -> Result<Vec<String>> {
        let mut ids = self.find_ids()?;
        ids.sort_unstable();
        Ok(ids)
    }

    /// The ids of all streams, in no order.
    fn find_ids(&self) -> Result<Vec<String>> {
        let folder = self.folder.join(CONTAINERS);
        let listed = self.disk.list(&folder);
        if is_missing(&listed) {
            return Ok(Vec::new());
        }
        let names = listed
            .map_err(Error::io("list", &folder))?
            .into_iter()
            .map(|listed| listed.name);
        Ok(names
            .filter(|name| check_container_id(name).is_ok())
            .collect())
    }

    /// All streams with what is known of their containers, and the containers that run and have printed nothing, by id. One small
    /// file is read for each that is not in the catalogue.
    ///
    /// # Errors
    /// The disk refused.
    pub fn list(&self) -> Result<Vec<Listed>> {
        self.list_page("", usize::MAX)
    }

    /// At most so many of them, the first that come behind an id. Only their files are read.
    ///
    /// # Errors
    /// The disk refused.
    pub fn list_page(&self, after: &str, most: usize) -> Result<Vec<Listed>> {
        let recorded = self.recorded()?;
        let mut ids = self.find_ids()?;
        let active = recorded.iter().flatten().filter(|(_, here)| here.is_active);
        let active: Vec<&String> = active.map(|(id, _)| id).collect();
        // One that runs and has printed comes twice.
        let enough = most.saturating_add(active.len());
        ids.extend(active.into_iter().cloned());
        ids.retain(|id| &**id > after);
        // Only what is on the page is sorted.
        if enough < ids.len() {
            ids.select_nth_unstable(enough);
            ids.truncate(enough);
        }
        ids.sort_unstable();
        ids.dedup();
        ids.truncate(most);
        // Without the number of power cuts nothing that was written down can be trusted.
        let power_cuts = read_power_cuts(&self.folder, &*self.disk).ok();
        let mut catalogue = power_cuts.map(|count| Catalogue::new(&self.folder, count));
        let list = |container_id: String| {
            let is_recorded = recorded
                .as_ref()
                .map(|recorded| recorded.contains_key(&container_id));
            if is_recorded != Some(true) {
                let catalogue = catalogue.as_mut();
                let row = catalogue.and_then(|known| known.find(&*self.disk, &container_id));
                if let Some(row) = row {
                    // What has no record does not run.
                    return catalogued(container_id, is_recorded, row);
                }
            }
            let folder = self.stream_folder(&container_id);
            let mut sessions = read_facts(&*self.disk, &folder, &container_id);
            let is_active = recorded.as_ref().map(|recorded| {
                recorded.get(&container_id).is_some_and(|here| {
                    // The cutter may not have written them into the folder yet.
                    sessions.extend(here.sessions.iter().cloned());
                    here.is_active
                })
            });
            listed(container_id, is_active, &sessions)
        };
        Ok(ids.into_iter().map(list).collect())
    }

    /// The sessions that are written down beside FIFOs, by container.
    fn recorded(&self) -> Result<Option<BTreeMap<String, Recorded>>> {
        let Some(fifo_root) = &self.fifo_root else {
            return Ok(None);
        };
        let mut recorded: BTreeMap<String, Recorded> = BTreeMap::new();
        let mut fifos = Fifos::default();
        let sessions = read_records(&*self.disk, &record_folder(fifo_root))?.sessions;
        for Session { facts, .. } in sessions {
            let path = fifo_root.join(facts.file.trim_start_matches('/'));
            let here = recorded.entry(facts.container_id.clone()).or_default();
            here.is_active |= fifos.is_there(&*self.disk, &path);
            here.sessions.push(facts);
        }
        Ok(Some(recorded))
    }

    /// How much a stream's files hold; two that are equal are the same files, but for what is done within one tick of the file
    /// system's clock. `None`: it has no folder.
    ///
    /// # Errors
    /// `InvalidArgument`, or the disk refused.
    pub fn footprint(&self, container_id: &str) -> Result<Option<Footprint>> {
        check_container_id(container_id)?;
        Footprint::of_folder(&*self.disk, &self.stream_folder(container_id))
    }

    /// What a stream holds, by its files as they are now; `None`: it has no folder.
    ///
    /// # Errors
    /// `InvalidArgument`, or the disk refused.
    pub fn describe(&self, container_id: &str) -> Result<Option<Description>> {
        let snapshot = self.snapshot(container_id)?;
        snapshot.map(|snapshot| snapshot.describe()).transpose()
    }

    /// A stream as its files are now; `None`: it has no folder.
    ///
    /// # Errors
    /// `InvalidArgument`, or the disk refused.
    pub fn snapshot(&self, container_id: &str) -> Result<Option<Snapshot>> {
        check_container_id(container_id)?;
        Snapshot::take(&self.disk, self.stream_folder(container_id), container_id)
    }
}

fn listed(container_id: String, is_active: Option<bool>, sessions: &[SessionFacts]) -> Listed {
    let started = || sessions.iter().map(|session| session.started_ns);
    let newest = sessions.iter().max_by_key(|session| session.started_ns);
    Listed {
        container_id,
        is_active,
        first_started_ns: started().min(),
        last_started_ns: started().max(),
        facts: newest.map(|session| session.facts.get().to_owned()),
        held: None,
    }
}

fn catalogued(container_id: String, is_active: Option<bool>, row: Row) -> Listed {
    Listed {
        container_id,
        is_active,
        first_started_ns: Some(row.first_started_ns),
        last_started_ns: Some(row.last_started_ns),
        facts: Some(row.facts),
        held: Some(row.held),
    }
}

/// Which FIFOs there are. They are only listed: to open one makes a reader of it.
#[derive(Debug, Default)]
struct Fifos {
    folders: HashSet<PathBuf>,
    paths: HashSet<PathBuf>,
}

impl Fifos {
    fn is_there(&mut self, disk: &dyn Disk, path: &Path) -> bool {
        if let Some(folder) = path.parent() {
            if self.folders.insert(folder.to_owned()) {
                // A folder that cannot be listed holds none that could be read.
                let listed = disk.list(folder).unwrap_or_default();
                let paths = listed.into_iter().map(|listed| folder.join(listed.name));
                self.paths.extend(paths);
            }
        }
        self.paths.contains(path)
    }
}

//! Sessions that earlier workers had.
//!
//! dockerd tells of a session once, so each is looked for until it has been found: a file descriptor may be missing now and be there in
//! a second. What its container prints stays in the FIFO meanwhile.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use super::dropped::{Dropped, tally_path};
use super::fifo::{fifo_path, find_fifo};
use crate::error::{Error, Result};
use crate::store::{Records, Store, read_records, record_folder};
use crate::stream::{Session, Stream};

/// A session that has been found, and where it goes on.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) session: Arc<Session>,
    pub(super) stream: Option<Arc<Stream>>,
    pub(super) fifo: OwnedFd,
    pub(super) fifo_path: PathBuf,
    /// What of it was dropped, where the stream has not been told.
    pub(super) dropped: Option<Dropped>,
}

/// What a look came to.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) found: Vec<Found>,
    /// Why some are looked for again.
    pub(super) passing: Option<Error>,
    /// Why one cannot be found again at all.
    pub(super) lasting: Option<Error>,
}

/// The sessions that are not found yet.
#[derive(Debug)]
pub(super) struct Earlier {
    fifo_root: PathBuf,
    tally_folder: PathBuf,
    has_looked: bool,
    /// All that is written down has been read.
    is_read: bool,
    /// Sessions whose FIFOs or tallies could not be opened, and their streams, in the order of their start.
    waiting: Vec<(Arc<Session>, Option<Arc<Stream>>)>,
}

impl Earlier {
    /// Nothing has been looked for yet.
    pub(super) fn new(fifo_root: PathBuf, tally_folder: PathBuf) -> Self {
        Self {
            fifo_root,
            tally_folder,
            has_looked: false,
            is_read: false,
            waiting: Vec::new(),
        }
    }

    /// All that could be found has been.
    pub(super) fn is_done(&self) -> bool {
        self.is_read && self.waiting.is_empty()
    }

    /// Looks for all that are not found yet. One that cannot be found keeps none from being found. The first look comes before any
    /// session of this worker.
    pub(super) fn look(
        &mut self,
        store: &Store,
        now_ns: i64,
        is_attached: impl Fn(&Session) -> bool,
    ) -> Looked {
        let mut looked = Looked::default();
        let is_first = !std::mem::replace(&mut self.has_looked, true);
        if !self.is_read {
            match read_records(store.disk(), &record_folder(&self.fifo_root)) {
                Ok(records) => {
                    if is_first {
                        records.remove_unfinished(store.disk());
                    }
                    self.take_records(records, store, is_attached, &mut looked);
                }
                Err(error) => {
                    self.is_read = !error.may_pass();
                    looked.note(error);
                }
            }
        }
        for (session, stream) in std::mem::take(&mut self.waiting) {
            match self.open(&session, stream.clone(), store, now_ns) {
                Ok(found) => looked.found.push(found),
                Err(error) => {
                    if error.may_pass() {
                        self.waiting.push((session, stream));
                    }
                    looked.note(error);
                }
            }
        }
        looked
    }

    fn take_records(
        &mut self,
        records: Records,
        store: &Store,
        is_attached: impl Fn(&Session) -> bool,
        looked: &mut Looked,
    ) {
        if let Some(path) = records.damaged.first() {
            let what = "no session can be found again by it, and its container waits once its FIFO is full; start the container again";
            looked.note(Error::corrupt(path, 0, what));
        }
        self.is_read = records.unread.is_none();
        looked.passing = records.unread;
        for session in records.sessions {
            let is_waiting = self.waiting.iter().any(|(other, _)| other.id == session.id);
            if !is_waiting && !is_attached(&session) {
                let session = Arc::new(session);
                // ORDER: each stream knows all its sessions before anything of it is cut, or facts are lost.
                let stream = store.stream_of(&session).ok();
                self.waiting.push((session, stream));
            }
        }
    }

    /// Looks for the session of a FIFO, if it is not found yet.
    ///
    /// # Errors
    /// The FIFO cannot be opened, or what was dropped is not known.
    pub(super) fn find(&mut self, file: &str, store: &Store, now_ns: i64) -> Result<Option<Found>> {
        let is_its = |(session, _): &(Arc<Session>, _)| session.facts.file == file;
        let Some(place) = self.waiting.iter().position(is_its) else {
            return Ok(None);
        };
        let (session, stream) = self.waiting.remove(place);
        let found = self.open(&session, stream.clone(), store, now_ns);
        if found.is_err() {
            self.waiting.insert(place, (session, stream));
        }
        found.map(Some)
    }

    /// A session whose FIFO is gone is over: it ends as one does whose writer has gone.
    fn open(
        &self,
        session: &Arc<Session>,
        stream: Option<Arc<Stream>>,
        store: &Store,
        now_ns: i64,
    ) -> Result<Found> {
        let fifo_path = fifo_path(&self.fifo_root, &session.facts.file)?;
        let tally = tally_path(&self.tally_folder, session);
        Ok(Found {
            session: Arc::clone(session),
            stream,
            fifo: find_fifo(&fifo_path)?,
            fifo_path,
            dropped: Dropped::recover(store.disk(), &tally, now_ns)?,
        })
    }
}

impl Looked {
    /// Keeps the first error of each kind.
    fn note(&mut self, error: Error) {
        let place = if error.may_pass() {
            &mut self.passing
        } else {
            &mut self.lasting
        };
        place.get_or_insert(error);
    }
}

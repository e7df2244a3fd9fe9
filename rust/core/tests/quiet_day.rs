//! A day of containers that print a line a minute, in simulated time: what lies on the disk has a bound, and so has what is
//! written to it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test looks at files from outside"
)]

mod mortal;
mod support;

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use logboom_core::journal::JournalWriter;
use logboom_core::replay::Replay;
use logboom_core::store::Store;
use logboom_core::stream::{CutWhen, Query, Reader, Session, SessionFacts, Stream, Tools};
use logboom_core::sync_log::SyncWhen;
use mortal::MortalDisk;
use rustix::pipe::{PipeFlags, pipe_with};
use support::{Host, Line, frame, line, list, read_to_end};

const CONTAINERS: u64 = 20;
const DAY_S: u64 = 24 * 3600;
const LINE_EVERY_S: u64 = 60;
/// `LOGBOOM_BLOCK_SECONDS`.
const BLOCK_AFTER_S: u64 = 300;
const S: i64 = 1_000_000_000;

/// A session as the reactor has it.
struct Quiet {
    id: String,
    stream: Arc<Stream>,
    session: Arc<Session>,
    fifo: OwnedFd,
    dockerd: File,
    writer: Option<JournalWriter>,
    /// Since when it has journal bytes.
    pending_s: Option<u64>,
    chunk: Vec<u8>,
}

fn time_ns(second: u64) -> i64 {
    i64::try_from(second).unwrap() * S
}

fn text(id: &str, second: u64) -> Line {
    line(
        time_ns(second),
        format!("{id} is well, after {second} s: nothing to do"),
    )
}

impl Quiet {
    fn begin(number: u64, store: &Store) -> Self {
        let id = format!("quiet-{number}");
        let facts = SessionFacts {
            session: format!("{number:016x}"),
            file: format!("/{id}"),
            container_id: id.clone(),
            started_ns: 0,
            given: None,
            limits: Host::limits(),
            facts: serde_json::value::RawValue::from_string("{}".to_owned()).unwrap(),
        };
        let session = Arc::new(Session::new(number, facts, Path::new("/record").to_owned()));
        let (fifo, dockerd) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        Self {
            stream: store.stream_of(&session).unwrap(),
            id,
            session,
            fifo,
            dockerd: dockerd.into(),
            writer: None,
            pending_s: None,
            chunk: Vec::new(),
        }
    }

    /// What dockerd and then the reactor do.
    fn print(&mut self, second: u64) {
        self.dockerd
            .write_all(&frame(&text(&self.id, second)))
            .unwrap();
        let stream = Arc::clone(&self.stream);
        let is_wanted = self
            .writer
            .as_ref()
            .is_none_or(|writer| writer.is_full(|| stream.is_cut(writer.generation())));
        if is_wanted {
            let position = self
                .writer
                .as_ref()
                .map_or(0, JournalWriter::boundary_position);
            let torn = self.writer.take().map(|writer| writer.close().unwrap());
            let torn = torn.unwrap_or_default();
            let begun = stream.begin_generation(&self.session, position, &torn, time_ns(second));
            self.writer = Some(begun.unwrap());
        }
        let writer = self.writer.as_mut().unwrap();
        // Until it would block: one call takes no more than there is space for.
        while writer.take(self.fifo.as_fd(), || Ok(())).is_ok() {}
        writer.find(&mut self.chunk).unwrap();
        assert_eq!(writer.show(), 1);
        self.pending_s.get_or_insert(second);
    }

    /// What the cutter does once a second.
    fn look_at_time(&mut self, second: u64, tools: &mut Tools) {
        if self
            .pending_s
            .is_some_and(|since| second >= since + BLOCK_AFTER_S)
        {
            self.cut(second, tools);
        }
    }

    fn cut(&mut self, second: u64, tools: &mut Tools) {
        self.stream
            .cut(CutWhen::All, time_ns(second), tools)
            .unwrap();
        assert_eq!(self.stream.uncut_bytes(), 0);
        self.pending_s = None;
    }
}

fn bytes_below(folder: &Path) -> u64 {
    let sizes = list(folder).into_iter().map(|name| {
        let path = folder.join(name);
        let metadata = fs::metadata(&path).unwrap();
        if metadata.is_dir() {
            bytes_below(&path)
        } else {
            metadata.len()
        }
    });
    sizes.sum()
}

#[test]
fn a_day_of_quiet_containers_leaves_few_files_and_little_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let disk = Arc::new(MortalDisk::default());
    let store = Store::new(data.clone(), disk, [1; 16], SyncWhen::default());
    store.open().unwrap();
    let mut containers: Vec<Quiet> = (0..CONTAINERS)
        .map(|number| Quiet::begin(number, &store))
        .collect();
    let mut tools = Tools::default();
    let (mut most_files, mut most_logs) = (0, 0);
    for second in 0..DAY_S {
        for (number, quiet) in (0..).zip(&mut containers) {
            if second % LINE_EVERY_S == number % LINE_EVERY_S {
                quiet.print(second);
            }
            quiet.look_at_time(second, &mut tools);
        }
        let pending: Vec<Arc<Stream>> = containers
            .iter()
            .filter(|quiet| quiet.pending_s.is_some())
            .map(|quiet| Arc::clone(&quiet.stream))
            .collect();
        store.sync(&pending).unwrap();
        if second % 3600 == 0 {
            let files = containers
                .iter()
                .map(|quiet| list(quiet.stream.folder()).len());
            most_files = most_files.max(files.max().unwrap());
            most_logs = most_logs.max(list(&data.join("sync")).len());
        }
    }
    // Facts, a segment, the journal and the one before it; a sync log until all in it lies in blocks, and the next.
    assert!(most_files <= 4, "{most_files} files of a stream");
    assert!(most_logs <= 2, "{most_logs} sync logs");
    for quiet in &mut containers {
        quiet.stream.end_session(&quiet.session);
        quiet.writer.take().unwrap().close().unwrap();
        quiet.cut(DAY_S, &mut tools);
        let reader = Reader::open(&quiet.stream, &Query::default()).unwrap();
        let seconds =
            (0..DAY_S).filter(|second| second % LINE_EVERY_S == quiet.session.id % LINE_EVERY_S);
        let printed: Vec<Line> = seconds.map(|second| text(&quiet.id, second)).collect();
        assert!(read_to_end(&mut Replay::new(reader)) == printed);
    }
    let counted = tools.take_counted();
    let lines = CONTAINERS * DAY_S / LINE_EVERY_S;
    let stored = bytes_below(&data.join("containers"));
    println!(
        "{lines} lines: {} bytes of frames, {stored} stored, {} blocks",
        counted.frame_bytes, counted.blocks
    );
    // One block for each five minutes, and no larger than what it was made of.
    assert!(counted.blocks <= CONTAINERS * (DAY_S / BLOCK_AFTER_S + 1));
    assert!(stored < counted.frame_bytes, "{stored}");
    store.close();
}

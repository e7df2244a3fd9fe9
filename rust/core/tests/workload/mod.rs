//! Everything that happens to a store in a few seconds, on a simulated disk.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logboom_core::store::StoreLimits;
use logboom_core::stream::{Limits, Query};
use logboom_core::sync_log::SyncWhen;

use crate::simulated::{Dice, SimulatedDisk};
use crate::support::{Container, Host, Line, frame, line, wait_until};

/// The streams. `job` is removed in the midst, and comes again.
pub const IDS: [&str; 3] = ["web", "db", "job"];

/// So little that files of the sync log follow one another, and begin again.
const LOG_FILE_BYTES: u64 = 2 << 10;

const DEADLINE: Duration = Duration::from_secs(60);

/// Whether a container has printed it; else it is one of Logboom's own.
pub fn is_printed(line: &Line) -> bool {
    !line.text.starts_with(b"logboom: ")
}

pub struct Workload {
    pub host: Host,
    pub disk: SimulatedDisk,
    /// What each container has printed, in order.
    pub printed: BTreeMap<&'static str, Vec<Line>>,
    /// What readers had been shown at each mark on the disk.
    pub marks: Vec<(&'static str, Vec<Line>)>,
    dice: Dice,
    time_ns: i64,
}

fn limits(segment_bytes: u64, stream_bytes: Option<u64>, compress: bool) -> Limits {
    Limits {
        segment_bytes,
        stream_bytes,
        compress,
        ..Host::limits()
    }
}

fn at_most(max_streams: Option<u64>) -> StoreLimits {
    StoreLimits {
        max_streams,
        ..StoreLimits::default()
    }
}

impl Workload {
    pub fn new(sync: SyncWhen) -> Self {
        let mut host = Host::new();
        host.core = None;
        host.sync = sync;
        host.log_file_bytes = LOG_FILE_BYTES;
        let disk = SimulatedDisk::with_folder(host.folder.path());
        host.start_on(Arc::new(disk.clone()));
        Self {
            host,
            disk,
            printed: BTreeMap::new(),
            marks: Vec::new(),
            dice: Dice(1),
            time_ns: 0,
        }
    }

    /// Lines that do not compress, each with a time of its own.
    pub fn lines(&mut self, count: usize, bytes: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        for _ in 0..count {
            self.time_ns += 1;
            let noise = (0..bytes).map(|_| b'0' + u8::try_from(self.dice.roll(75)).unwrap());
            let text: Vec<u8> = format!("{} ", self.time_ns).bytes().chain(noise).collect();
            lines.push(line(self.time_ns, text));
        }
        lines
    }

    fn write(&mut self, id: &'static str, container: &mut Container, lines: Vec<Line>) {
        for line in &lines {
            container.write(&frame(line));
        }
        self.printed.entry(id).or_default().extend(lines);
        self.host.core().drain().unwrap();
    }

    pub fn print(&mut self, id: &'static str, container: &mut Container, count: usize) {
        let lines = self.lines(count, 150);
        self.write(id, container, lines);
    }

    /// Reads a stream, and marks on the disk what it has.
    pub fn show(&mut self, id: &'static str) {
        let lines = self.host.read(id, &Query::default());
        let lines = lines.into_iter().filter(is_printed).collect();
        self.disk.mark(self.marks.len());
        self.marks.push((id, lines));
    }

    fn show_all(&mut self) {
        for id in IDS {
            self.show(id);
        }
    }

    /// Waits until the sync log has what was printed, if that takes its time.
    fn wait_for_sync(&self) {
        if self.host.sync != SyncWhen::EverySecond {
            return;
        }
        let before = self.disk.syncs(".sync");
        wait_until("a sync", || self.disk.syncs(".sync") > before);
    }

    fn wait_until_cut(&self, id: &str) {
        wait_until_cut(&self.disk, &self.host.stream_folder(id));
    }

    /// All of it.
    pub fn play(&mut self) {
        let small = limits(2_250, Some(9_000), true);
        let mut web = self.host.run_with("web", small);
        let mut db = self.host.run_with("db", limits(1_500, None, false));
        self.print("web", &mut web, 10);
        self.print("db", &mut db, 5);
        self.show_all();
        self.wait_for_sync();

        // A torn frame, and another session of the container meanwhile.
        let torn = self.lines(1, 300);
        let bytes = frame(&torn[0]);
        web.write(&bytes[..100]);
        self.print("db", &mut db, 3);
        self.host.core().drain().unwrap();
        let mut second = self.host.run_with("web", small);
        self.print("web", &mut second, 5);
        self.show_all();
        self.host.stop(&mut second);
        self.wait_for_sync();
        web.write(&bytes[100..]);
        self.printed.get_mut("web").unwrap().extend(torn);
        self.print("web", &mut web, 3);
        self.show("web");
        self.host.stop(&mut web);
        self.wait_until_cut("web");

        // Sessions come and go: segments are sealed, and the oldest ones go.
        for round in 0..5 {
            let mut web = self.host.run_with("web", small);
            self.print("web", &mut web, 12);
            self.show("web");
            if round == 2 {
                // It ends with the beginning of a frame.
                web.write(&bytes[..50]);
            }
            self.host.stop(&mut web);
            self.wait_until_cut("web");
        }
        let mut job = self.host.run_with("job", limits(10_000, None, true));
        self.print("job", &mut job, 3);
        self.show("job");
        self.host.stop(&mut job);
        self.wait_until_cut("job");

        // Bytes that are no frame.
        db.write(&[0; 40]);
        self.print("db", &mut db, 4);
        self.show("db");
        let mut web = self.host.run_with("web", small);
        self.print("web", &mut web, 4);
        self.show("web");
        self.wait_for_sync();

        // The disk is full for a while.
        self.disk.set_full(true);
        let mut third = self.host.run_with("web", small);
        self.print("web", &mut third, 4);
        wait_until("entries are dropped", || {
            self.host.counted("dropped_entries_total") == 4
        });
        self.disk.set_full(false);
        wait_until("that is told", || {
            let all = self.host.read_all("web");
            all.iter()
                .any(|line| line.text.starts_with(b"logboom: 4 entries ("))
        });
        self.print("web", &mut third, 2);
        self.show_all();
        self.host.stop(&mut third);
        self.print("db", &mut db, 1);
        self.wait_for_sync();

        // A stream is removed, and its container comes again.
        self.host.core().set_store_limits(at_most(Some(2)));
        let folder = self.host.stream_folder("job");
        wait_until("a stream goes", || self.disk.names(&folder).is_empty());
        self.host.core().set_store_limits(at_most(None));
        let mut job = self.host.run_with("job", limits(10_000, None, true));
        self.print("job", &mut job, 2);
        self.print("db", &mut db, 3);
        self.show_all();

        // The worker ends, and another goes on.
        self.host.core = None;
        self.host.start_on(Arc::new(self.disk.clone()));
        self.print("db", &mut db, 6);
        self.print("job", &mut job, 2);
        self.show_all();
        self.wait_for_sync();
        self.print("web", &mut web, 3);
        self.print("db", &mut db, 2);
        self.show_all();
        self.host.stop(&mut db);
        self.host.core = None;
    }
}

/// Waits until no journal is left in a folder.
pub fn wait_until_cut(disk: &SimulatedDisk, folder: &Path) {
    let begun = Instant::now();
    loop {
        let names = disk.names(folder);
        if !names.iter().any(|name| name.ends_with(".journal")) {
            return;
        }
        assert!(
            begun.elapsed() < DEADLINE,
            "never cut: {} has {names:#?}",
            folder.display()
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What a container has printed of what a core reads.
pub fn read_printed(host: &Host, id: &str) -> Vec<Line> {
    let lines = host.read_all(id);
    lines.into_iter().filter(is_printed).collect()
}

//! A stand-in for dockerd with an encoder of its own.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may panic, and says of what"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "small numbers"
)]
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "not the store's files"
)]

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use logboom_core::clock::Clock;
use logboom_core::disk::{Disk, SystemDisk};
use logboom_core::replay::Replay;
use logboom_core::store::StoreView;
use logboom_core::stream::{GivenOptions, Limits, Options, Progress, Query};
use logboom_core::sync_log::{FILE_BYTES, SyncWhen};
use logboom_core::{Core, Settings};
use rustix::fs::{FileType, Mode, mknodat};

/// How long a test waits for the cutter; the machine may be busy with other things.
const DEADLINE: Duration = Duration::from_secs(60);

/// A call that fails delays a check by a few seconds; more is a hang.
const LONGEST_CHECK: Duration = Duration::from_secs(40);

/// One entry as a test writes and expects it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub source: String,
    pub time_ns: i64,
    pub text: Vec<u8>,
    pub partial: bool,
    pub last: bool,
}

pub fn line(time_ns: i64, text: impl AsRef<[u8]>) -> Line {
    Line {
        source: "stdout".into(),
        time_ns,
        text: text.as_ref().to_vec(),
        partial: false,
        last: false,
    }
}

/// Numbered lines, each with its number as its time.
pub fn lines(times: Range<i64>) -> Vec<Line> {
    times
        .map(|time| line(time, format!("line {time}")))
        .collect()
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let byte = (value % 128) as u8;
        value /= 128;
        out.push(if value == 0 { byte } else { byte + 128 });
        if value == 0 {
            return;
        }
    }
}

fn read_varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            break;
        }
    }
    value
}

/// A frame as dockerd writes it.
pub fn frame(line: &Line) -> Vec<u8> {
    let mut message = vec![10];
    varint(line.source.len() as u64, &mut message);
    message.extend(line.source.as_bytes());
    message.push(16);
    varint(line.time_ns as u64, &mut message);
    if !line.text.is_empty() {
        message.push(26);
        varint(line.text.len() as u64, &mut message);
        message.extend(&line.text);
    }
    if line.partial {
        let id = [b'a'; 64];
        let mut metadata = if line.last { vec![8, 1] } else { vec![] };
        metadata.extend([18, 64]);
        metadata.extend(id);
        metadata.extend([24, 1]);
        message.extend([32, 1, 42, metadata.len() as u8]);
        message.extend(metadata);
    }
    let mut frame = (message.len() as u32).to_be_bytes().to_vec();
    frame.extend(message);
    frame
}

/// Frames of `ReadLogs` as entries, newlines taken off again.
pub fn decode_frames(mut bytes: &[u8]) -> Vec<Line> {
    let mut lines = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        let mut message = &bytes[4..4 + length];
        bytes = &bytes[4 + length..];
        let mut line = Line {
            source: String::new(),
            time_ns: 0,
            text: vec![],
            partial: false,
            last: false,
        };
        while !message.is_empty() {
            let tag = read_varint(&mut message);
            let number = read_varint(&mut message);
            let mut field: &[u8] = &[];
            if tag % 8 == 2 {
                (field, message) = message.split_at(number as usize);
            }
            match tag / 8 {
                1 => line.source = String::from_utf8(field.to_vec()).unwrap(),
                2 => line.time_ns = number as i64,
                3 => line.text = field.to_vec(),
                4 => line.partial = number != 0,
                5 => line.last = field.starts_with(&[8, 1]),
                _ => {}
            }
        }
        if !line.partial || line.last {
            assert_eq!(
                line.text.pop(),
                Some(b'\n'),
                "a whole line ends with its newline"
            );
        }
        lines.push(line);
    }
    lines
}

/// A core on a folder of its own.
pub struct Host {
    pub folder: tempfile::TempDir,
    pub core: Option<Core>,
    /// Of the cores that are started from now on.
    pub sync: SyncWhen,
    pub log_file_bytes: u64,
    next_fifo: u32,
}

/// A running session: dockerd's end of a FIFO.
pub struct Container {
    pub id: String,
    pub file: String,
    fifo: Option<File>,
    path: PathBuf,
}

impl Container {
    pub fn write(&mut self, bytes: &[u8]) {
        self.fifo.as_mut().unwrap().write_all(bytes).unwrap();
    }

    pub fn print(&mut self, lines: &[Line]) {
        for line in lines {
            self.write(&frame(line));
        }
    }

    /// dockerd dies: its end of the FIFO closes without a `StopLogging`.
    pub fn abandon(&mut self) {
        self.fifo = None;
    }
}

impl Host {
    pub fn new() -> Self {
        let mut host = Self {
            folder: tempfile::tempdir().unwrap(),
            core: None,
            sync: SyncWhen::default(),
            log_file_bytes: FILE_BYTES,
            next_fifo: 0,
        };
        host.start();
        host
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn stream_folder(&self, id: &str) -> PathBuf {
        self.data().join("containers").join(id)
    }

    pub fn start(&mut self) {
        self.start_on(Arc::new(SystemDisk));
    }

    /// What cores are started with.
    pub fn settings(&self) -> Settings {
        Settings {
            data: self.data(),
            fifo_root: self.folder.path().to_owned(),
            block_after: Duration::from_secs(300),
            pipe_budget_bytes: 8 << 20,
            named_containers: 100,
            sync: self.sync,
            log_file_bytes: self.log_file_bytes,
            clock: Clock::System,
        }
    }

    pub fn start_on(&mut self, disk: Arc<dyn Disk>) {
        let core = Core::open_on(self.settings(), disk);
        self.core = Some(core.unwrap());
    }

    pub fn restart(&mut self) {
        self.core = None;
        self.start();
    }

    pub fn core(&self) -> &Core {
        self.core.as_ref().unwrap()
    }

    pub fn limits() -> Limits {
        Limits {
            segment_bytes: 4 << 20,
            stream_bytes: None,
            max_age_s: None,
            compress: true,
        }
    }

    pub fn run(&mut self, id: &str) -> Container {
        self.run_with(id, Self::limits())
    }

    pub fn run_with(&mut self, id: &str, limits: Limits) -> Container {
        self.run_given(id, options_for(limits))
    }

    pub fn run_given(&mut self, id: &str, given: GivenOptions) -> Container {
        let container = self.make_fifo(id);
        self.core()
            .start_session(&container.file, id, r#"{"name":"web"}"#, given)
            .unwrap();
        container
    }

    pub fn make_fifo(&mut self, id: &str) -> Container {
        self.next_fifo += 1;
        let file = format!("/run/docker/logging/fifo{}", self.next_fifo);
        let path = self.folder.path().join(file.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        mknodat(
            rustix::fs::CWD,
            &path,
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let fifo = File::options().read(true).write(true).open(&path).unwrap();
        Container {
            id: id.to_owned(),
            file,
            fifo: Some(fifo),
            path,
        }
    }

    /// `StopLogging`, then dockerd closes and removes the FIFO.
    pub fn stop(&self, container: &mut Container) -> bool {
        let known = self.core().stop_session(&container.file).unwrap();
        container.fifo = None;
        let _ = fs::remove_file(&container.path);
        known
    }

    /// What the core has counted by a name.
    pub fn counted(&self, name: &str) -> u64 {
        let all = self.core().statistics();
        all.iter().find(|(known, _)| *known == name).unwrap().1
    }

    pub fn read(&self, id: &str, query: &Query) -> Vec<Line> {
        let mut replay = self.core().read(id, query).unwrap();
        read_to_end(&mut replay)
    }

    pub fn read_all(&self, id: &str) -> Vec<Line> {
        self.read(id, &Query::default())
    }

    /// A reader that waits for more.
    pub fn follow(&self, id: &str) -> Replay {
        let query = Query {
            follow: true,
            ..Query::default()
        };
        self.core().read(id, &query).unwrap()
    }

    /// The store as another process sees it.
    pub fn view(&self) -> StoreView {
        StoreView::open(&self.data(), Some(self.folder.path().to_owned())).unwrap()
    }

    /// Waits until the cutter has made `is_done` true.
    pub fn wait_until(&self, mut is_done: impl FnMut(&Path) -> bool, id: &str) {
        let folder = self.stream_folder(id);
        let began = Instant::now();
        while began.elapsed() < DEADLINE {
            if is_done(&folder) {
                return;
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        panic!("{} holds {:?}", folder.display(), list(&folder));
    }
}

/// Waits until something is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < DEADLINE, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Checks each of these, so many at once. None may fail, or hang.
pub fn check_each<T: Debug + Sync>(all: &[T], threads: usize, check: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    let checked = catch_unwind(AssertUnwindSafe(|| check(one)));
                    if checked.is_err() {
                        println!("{one:?}");
                    }
                    if checked.is_err() || begun.elapsed() > LONGEST_CHECK {
                        wrong.lock().unwrap().push((one, begun.elapsed()));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of them: {wrong:#?}", wrong.len());
}

/// Options that come to these limits; a stream without a limit gets one that it does not reach.
fn options_for(limits: Limits) -> GivenOptions {
    let max_file = limits
        .stream_bytes
        .map_or(u64::MAX, |bytes| bytes / limits.segment_bytes);
    let given = GivenOptions {
        max_size_bytes: Some(Some(limits.segment_bytes)),
        max_file: Some(max_file),
        max_age_s: Some(limits.max_age_s),
        compress: Some(limits.compress),
    };
    let found = given.over(&Options::default()).limits();
    let stream_bytes = limits.stream_bytes.or(found.stream_bytes);
    assert_eq!(
        found,
        Limits {
            stream_bytes,
            ..limits
        }
    );
    given
}

pub fn list(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .map(|entries| {
            entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect()
        })
        .unwrap_or_default();
    names.sort();
    names
}

/// What a reader gives until its end, which comes without anything new.
pub fn read_to_end(replay: &mut Replay) -> Vec<Line> {
    let mut frames = Vec::new();
    loop {
        match replay.next_frames(1 << 20, &mut frames) {
            Progress::More => {}
            Progress::Wait => panic!("a reader that must end waits"),
            Progress::End => return decode_frames(&frames),
        }
    }
}

pub fn wait_readable(replay: &Replay) {
    use std::os::fd::AsFd;
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(
        replay.as_fd(),
        rustix::event::PollFlags::IN,
    )];
    let timeout = rustix::event::Timespec {
        tv_sec: 20,
        tv_nsec: 0,
    };
    assert_eq!(
        rustix::event::poll(&mut fds, Some(&timeout)).unwrap(),
        1,
        "a follower was not woken"
    );
}

//! The store beside a plain list: random operations, and after each the same entries in both.
//!
//! A few dozen runs by default; `PROPTEST_CASES=2000 cargo test --release --test model` looks longer.
//!
//! A *kill* is played by copying the store, with the FIFOs linked beside it, at a moment that the threads of the core know nothing of,
//! and going on with the copy. It leaves what a worker that is killed would leave: `tests/crash` kills real ones.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may panic, and its files are not the store's"
)]

mod arbitrary;
mod support;

use std::cmp::Reverse;
use std::fs;
use std::path::Path;

use arbitrary::cases;
use logboom_core::block::Block;
use logboom_core::disk::SystemDisk;
use logboom_core::replay::Replay;
use logboom_core::segment::SegmentReader;
use logboom_core::stream::{Limits, Progress, Query};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{Container, Host, Line, decode_frames, frame, line, list, wait_readable};

const ID: &str = "web";

/// What can happen to a container. Its two sessions are those of a dockerd that died and of the one that came after.
#[derive(Clone, Debug)]
enum Operation {
    Start(usize),
    Stop(usize),
    /// Lines with these times and lengths; `is_taken`: they are out of the FIFO before the next operation.
    Print {
        session: usize,
        lines: Vec<(i64, usize)>,
        is_taken: bool,
    },
    /// Many lines that do not compress.
    PrintMany {
        session: usize,
        count: usize,
        bytes: usize,
    },
    /// The beginning of a frame, in thousandths of it.
    Tear {
        session: usize,
        line_bytes: usize,
        part: usize,
    },
    /// Bytes that are no frame, and a line.
    Damage {
        session: usize,
        bytes: usize,
    },
    Read(Query),
    Follow(Option<u64>),
    /// A new worker after one that ended well.
    Restart,
    /// A new worker after one that was killed.
    Kill,
    /// All that is in the journals of ended sessions lies in blocks afterwards.
    Settle,
}

fn any_query() -> impl Strategy<Value = Query> {
    let time = || proptest::option::weighted(0.4, 0_i64..1_200);
    let tail = proptest::option::weighted(0.6, prop_oneof![0_u64..5, 0_u64..60, 0_u64..10_000]);
    (tail, time(), time()).prop_map(|(tail, since_ns, until_ns)| Query {
        tail,
        since_ns,
        until_ns,
        follow: false,
    })
}

/// Operations of so many sessions at a time, which leave torn frames behind or not.
fn any_operation(sessions: usize, may_tear: bool) -> impl Strategy<Value = Operation> {
    let session = move || 0..sessions;
    let tear = move |(session, line_bytes, part)| {
        if may_tear {
            Operation::Tear {
                session,
                line_bytes,
                part,
            }
        } else {
            Operation::Restart
        }
    };
    let lines = vec(
        (
            0_i64..1_000,
            prop_oneof![8 => 0_usize..80, 1 => 0_usize..16_385],
        ),
        1..12,
    );
    prop_oneof![
        4 => session().prop_map(Operation::Start),
        3 => session().prop_map(Operation::Stop),
        12 => (session(), lines, any::<bool>())
            .prop_map(|(session, lines, is_taken)| Operation::Print { session, lines, is_taken }),
        2 => (session(), 100_usize..2_000, 10_usize..400)
            .prop_map(|(session, count, bytes)| Operation::PrintMany { session, count, bytes }),
        3 => (session(), 0_usize..12_000, 1_usize..1_000).prop_map(tear),
        1 => (session(), 1_usize..400).prop_map(|(session, bytes)| Operation::Damage { session, bytes }),
        6 => any_query().prop_map(Operation::Read),
        2 => proptest::option::of(0_u64..20).prop_map(Operation::Follow),
        2 => Just(Operation::Restart),
        3 => Just(Operation::Kill),
        1 => Just(Operation::Settle),
    ]
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (
        prop_oneof![2_000_u64..100_000, Just(4 << 20)],
        any::<bool>(),
    )
        .prop_map(|(segment_bytes, compress)| Limits {
            segment_bytes,
            stream_bytes: None,
            max_age_s: None,
            compress,
        })
}

/// The rules of `ReadLogs` on a list.
fn select(lines: &[Line], query: &Query) -> Vec<Line> {
    let tail = query.tail.map_or(lines.len(), |tail| {
        usize::try_from(tail).unwrap().min(lines.len())
    });
    lines[lines.len() - tail..]
        .iter()
        .skip_while(|line| {
            query
                .since_ns
                .is_some_and(|since_ns| line.time_ns < since_ns)
        })
        .take_while(|line| {
            query
                .until_ns
                .is_none_or(|until_ns| line.time_ns <= until_ns)
        })
        .cloned()
        .collect()
}

/// A run of numbers without order, so that text does not compress.
#[derive(Debug)]
struct Noise(u64);

impl Noise {
    fn text(&mut self, bytes: usize) -> Vec<u8> {
        (0..bytes)
            .map(|_| {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                b' ' + u8::try_from(self.0 >> 32 & 63).unwrap()
            })
            .collect()
    }
}

struct Session {
    container: Container,
    /// The rest of a torn frame, and the line that it will be.
    torn: Option<(Vec<u8>, Line)>,
    torn_bytes: usize,
    /// Its place in the order of starts.
    started: usize,
    /// Printed, but perhaps not taken.
    is_dirty: bool,
}

struct Follower {
    replay: Replay,
    frames: Vec<u8>,
    /// Which session it ends with.
    started: usize,
    /// Where in the list it began.
    from: usize,
}

struct Model {
    host: Host,
    limits: Limits,
    sessions: [Option<Session>; 2],
    started: usize,
    followers: Vec<Follower>,
    lines: Vec<Line>,
    /// With a limit on the stream's size: how many lines may be gone from the front.
    gone: usize,
    noise: Noise,
}

impl Model {
    fn new(limits: Limits) -> Self {
        Self {
            host: Host::new(),
            limits,
            sessions: [None, None],
            started: 0,
            followers: Vec::new(),
            lines: Vec::new(),
            gone: 0,
            noise: Noise(0x9e37_79b9_7f4a_7c15),
        }
    }

    fn play(&mut self, operation: Operation) {
        match operation {
            Operation::Start(session) => self.start(session),
            Operation::Stop(session) => self.stop(session),
            Operation::Print {
                session,
                lines,
                is_taken,
            } => {
                let lines: Vec<Line> = lines
                    .into_iter()
                    .map(|(time_ns, bytes)| line(time_ns, self.noise.text(bytes)))
                    .collect();
                self.print(session, &lines);
                if is_taken {
                    self.take();
                }
            }
            Operation::PrintMany {
                session,
                count,
                bytes,
            } => {
                let lines: Vec<Line> = (0..1_000)
                    .cycle()
                    .take(count)
                    .map(|time_ns| line(time_ns, self.noise.text(bytes)))
                    .collect();
                self.print(session, &lines);
            }
            Operation::Tear {
                session,
                line_bytes,
                part,
            } => self.tear(session, line_bytes, part),
            Operation::Damage { session, bytes } => self.damage(session, bytes),
            Operation::Read(query) => self.check(&query),
            Operation::Follow(tail) if self.limits.stream_bytes.is_none() => self.follow(tail),
            Operation::Follow(_) => {}
            Operation::Restart => {
                self.end_followers();
                self.host.core = None;
                self.begin_again();
            }
            Operation::Kill => self.kill(),
            Operation::Settle => self.settle(),
        }
    }

    fn start(&mut self, session: usize) {
        if self.sessions[session].is_some() {
            return;
        }
        self.take();
        let container = self.host.run_with(ID, self.limits);
        self.started += 1;
        self.sessions[session] = Some(Session {
            container,
            torn: None,
            torn_bytes: 0,
            started: self.started,
            is_dirty: false,
        });
    }

    /// What the other session printed comes before what this one will print.
    fn take_other(&mut self, session: usize) {
        if self.sessions[1 - session]
            .as_ref()
            .is_some_and(|other| other.is_dirty)
        {
            self.take();
        }
    }

    fn take(&mut self) {
        let query = Query {
            tail: Some(0),
            ..Query::default()
        };
        assert_eq!(self.host.read(ID, &query), []);
        for session in self.sessions.iter_mut().flatten() {
            session.is_dirty = false;
        }
    }

    fn print(&mut self, session: usize, lines: &[Line]) {
        self.take_other(session);
        let Some(session) = &mut self.sessions[session] else {
            return;
        };
        if let Some((rest, line)) = session.torn.take() {
            session.container.write(&rest);
            self.lines.push(line);
        }
        session.container.print(lines);
        session.is_dirty = true;
        self.lines.extend_from_slice(lines);
    }

    fn tear(&mut self, session: usize, line_bytes: usize, part: usize) {
        self.print(session, &[]);
        let text = self.noise.text(line_bytes);
        let Some(session) = &mut self.sessions[session] else {
            return;
        };
        let torn = line(500, text);
        let mut beginning = frame(&torn);
        let rest = beginning.split_off((beginning.len() * part / 1_000).max(1));
        session.container.write(&beginning);
        session.torn_bytes = beginning.len();
        session.torn = Some((rest, torn));
        session.is_dirty = true;
    }

    fn damage(&mut self, session: usize, bytes: usize) {
        self.print(session, &[]);
        let Some(found) = &mut self.sessions[session] else {
            return;
        };
        found.container.write(&vec![0xff; bytes]);
        self.lines.push(told_of(bytes));
        self.print(session, &[line(1, "behind damage")]);
    }

    fn stop(&mut self, session: usize) {
        self.take_other(session);
        let Some(mut session) = self.sessions[session].take() else {
            return;
        };
        if session.torn.is_some() {
            self.lines.push(told_of(session.torn_bytes));
        }
        assert!(self.host.stop(&mut session.container));
        // After a kill the FIFO is also where the copy is.
        let file = session.container.file.trim_start_matches('/');
        let _ = fs::remove_file(self.host.folder.path().join(file));
        let (ended, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.followers)
            .into_iter()
            .partition(|follower| follower.started == session.started);
        self.followers = others;
        for follower in ended {
            self.check_follower(follower);
        }
    }

    fn follow(&mut self, tail: Option<u64>) {
        self.take();
        let query = Query {
            tail,
            follow: true,
            ..Query::default()
        };
        let running = self.sessions.iter().flatten();
        let Some(started) = running.map(|session| session.started).max() else {
            return;
        };
        let replay = self.host.core().read(ID, &query).unwrap();
        let shown = tail.map_or(self.lines.len(), |tail| {
            usize::try_from(tail).unwrap().min(self.lines.len())
        });
        self.followers.push(Follower {
            replay,
            frames: Vec::new(),
            started,
            from: self.lines.len() - shown,
        });
    }

    fn check_follower(&self, mut follower: Follower) {
        loop {
            match follower.replay.next_frames(1 << 20, &mut follower.frames) {
                Progress::More => {}
                Progress::Wait => wait_readable(&follower.replay),
                Progress::End => break,
            }
        }
        self.check_followed(&follower, true);
    }

    /// With a limit on the stream's size, retention may have taken entries from under a follower.
    fn check_followed(&self, follower: &Follower, is_all: bool) {
        if self.limits.stream_bytes.is_none() {
            let found = decode_frames(&follower.frames);
            let expected = &self.lines[follower.from..];
            let most = if is_all { expected.len() } else { found.len() };
            self.assert_same(&found, &expected[..most.min(expected.len())]);
        }
    }

    /// A follower goes with its worker; what it has given until then is right.
    fn end_followers(&mut self) {
        for mut follower in std::mem::take(&mut self.followers) {
            while follower.replay.next_frames(1 << 20, &mut follower.frames) == Progress::More {}
            self.check_followed(&follower, false);
        }
    }

    fn begin_again(&mut self) {
        self.host.start();
        self.check(&Query::default());
    }

    fn kill(&mut self) {
        self.take();
        self.end_followers();
        let copy = tempfile::tempdir().unwrap();
        let old = self.host.folder.path();
        let run = Path::new("run/docker");
        // What goes last is copied first: the record of a session goes when its journal is gone.
        for folder in [run.join("logboom"), Path::new("data").to_owned()] {
            copy_store(&old.join(&folder), &copy.path().join(&folder));
        }
        fs::create_dir_all(copy.path().join(run).join("logging")).unwrap();
        for name in list(&old.join(run).join("logging")) {
            let name = run.join("logging").join(name);
            fs::hard_link(old.join(&name), copy.path().join(&name)).unwrap();
        }
        // The old worker ends on its own folder, where nobody looks any more.
        self.host.core = None;
        self.host.folder = copy;
        self.begin_again();
    }

    fn settle(&mut self) {
        if self.sessions.iter().all(Option::is_none) && !self.lines.is_empty() {
            self.host.wait_until(
                |folder| list(folder).iter().all(|name| !name.ends_with(".journal")),
                ID,
            );
            self.check(&Query::default());
            self.check_sequence_numbers();
        }
    }

    /// Entries of Logboom's own are told by their beginning: the rest names a file.
    fn assert_same(&self, found: &[Line], expected: &[Line]) {
        let is_same = |(found, expected): (&Line, &Line)| {
            if expected.text.starts_with(b"logboom: ") {
                found.source == "stderr" && found.text.starts_with(&expected.text)
            } else {
                found == expected
            }
        };
        let differs = found.iter().zip(expected).position(|pair| !is_same(pair));
        if let Some(at) = differs {
            panic!(
                "entry {at} is {}, not {}",
                describe(&found[at]),
                describe(&expected[at])
            );
        }
        assert_eq!(found.len(), expected.len(), "of {} lines", self.lines.len());
    }

    fn check(&mut self, query: &Query) {
        if self.limits.stream_bytes.is_some() {
            return self.check_end();
        }
        let found = self.host.read(ID, query);
        for session in self.sessions.iter_mut().flatten() {
            session.is_dirty = false;
        }
        // The time of damage is that of its generation, which is now.
        let is_timed = query.since_ns.is_some() || query.until_ns.is_some();
        let has_own = self
            .lines
            .iter()
            .any(|line| line.text.starts_with(b"logboom: "));
        if !(is_timed && has_own) {
            self.assert_same(&found, &select(&self.lines, query));
        }
    }

    /// Retention runs beside: what is left is the end of the list, and never more than before.
    fn check_end(&mut self) {
        // A reader from under which entries are removed says so, which is another test's matter.
        let kept = loop {
            let kept = self.host.read_all(ID);
            if !kept
                .iter()
                .any(|line| line.text.starts_with(b"logboom: up to "))
            {
                break kept;
            }
        };
        for session in self.sessions.iter_mut().flatten() {
            session.is_dirty = false;
        }
        let gone = self.lines.len() - kept.len();
        self.assert_same(&kept, &self.lines[gone..]);
        assert!(
            gone >= self.gone,
            "{gone} lines are gone, before it were {}",
            self.gone
        );
        self.gone = gone;
    }

    /// All blocks together: numbers follow one another, and no entry has two.
    fn check_sequence_numbers(&self) {
        let folder = self.host.stream_folder(ID);
        let mut next = None;
        let (mut stored, mut block) = (Vec::new(), Block::default());
        for name in list(&folder).iter().filter(|name| name.ends_with(".zst")) {
            let Ok(reader) = SegmentReader::open(&SystemDisk, &folder.join(name)) else {
                // Retention has removed it.
                assert!(self.limits.stream_bytes.is_some(), "{name}");
                next = None;
                continue;
            };
            for place in reader.contents().unwrap().blocks {
                let first = place.first_sequence;
                assert_eq!(first, next.unwrap_or(first), "{name}");
                reader.read_block(&place, &mut stored, &mut block).unwrap();
                assert_eq!(block.rows().count(), place.entry_count as usize);
                next = Some(place.end_sequence());
            }
        }
        assert_eq!(next, Some(self.lines.len() as u64));
    }

    fn finish(&mut self) {
        self.check(&Query::default());
        self.stop(0);
        self.stop(1);
        self.check(&Query::default());
        self.settle();
        self.host.restart();
        self.check(&Query::default());
    }
}

/// The line that stands for damage, as far as the model knows it.
fn told_of(bytes: usize) -> Line {
    line(
        0,
        format!("logboom: {bytes} bytes from dockerd are no log entry"),
    )
}

fn describe(line: &Line) -> String {
    let text: String = String::from_utf8_lossy(&line.text)
        .chars()
        .take(60)
        .collect();
    format!(
        "{:?} at {} with {} bytes",
        text,
        line.time_ns,
        line.text.len()
    )
}

/// Copies a folder in an order in which nothing is missed that goes meanwhile: entries move from journals to segments, and
/// journals are removed oldest first.
fn copy_store(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut names = list(from);
    names.sort_by_key(|name| Reverse((name.ends_with(".journal"), name.clone())));
    for name in names {
        let path = from.join(&name);
        if path.is_dir() {
            copy_store(&path, &to.join(&name));
        } else if let Err(error) = fs::copy(&path, to.join(&name)) {
            // It was removed meanwhile.
            assert_eq!(
                error.kind(),
                std::io::ErrorKind::NotFound,
                "{}",
                path.display()
            );
            let _ = fs::remove_file(to.join(&name));
        }
    }
    // What was made meanwhile, such as the first segment.
    for name in list(from) {
        if name.ends_with(".zst") {
            let _ = fs::copy(from.join(&name), to.join(&name));
        }
    }
}

fn play(limits: Limits, operations: Vec<Operation>) {
    let mut model = Model::new(limits);
    model.start(0);
    for operation in operations {
        model.play(operation);
    }
    model.finish();
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn one_session_after_another_is_kept_as_in_a_list(
        limits in any_limits(),
        operations in vec(any_operation(1, false), 1..40),
    ) {
        play(limits, operations);
    }

    #[test]
    fn with_a_limit_the_end_of_the_list_is_kept(
        segment_bytes in 4_000_u64..20_000,
        operations in vec(any_operation(1, false), 1..30),
    ) {
        let limits = Limits {
            segment_bytes,
            stream_bytes: Some(segment_bytes * 5),
            max_age_s: None,
            compress: true,
        };
        play(limits, operations);
    }
}

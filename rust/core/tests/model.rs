//! The store beside plain lists: random operations on two streams with several sessions each, and after each the same entries
//! in both.
//!
//! A few dozen runs by default; `PROPTEST_CASES=2000 cargo test --release --test model` looks longer.
//!
//! A *kill* is played by a disk that dies under the worker, at any of its changes. `tests/crash` kills real ones.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may panic, and its files are not the store's"
)]

mod arbitrary;
mod kept;
mod mortal;
mod numbers;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arbitrary::cases;
use logboom_core::disk::SystemDisk;
use logboom_core::replay::Replay;
use logboom_core::stream::{Limits, Progress, Query};
use mortal::MortalDisk;
use numbers::Numbers;
use proptest::collection::vec;
use proptest::prelude::*;
use support::{Container, Host, Line, decode_frames, frame, line, list, wait_readable};

const IDS: [&str; 2] = ["web", "db"];

/// The stream of each session that can run at a time.
const STREAM_OF: [usize; 5] = [0, 0, 0, 1, 1];

/// Times are so many of these, and each line has one of its own.
const TIME_STEP_NS: i64 = 1_000_000;

/// Lines from here on are not old before the year 2160.
const NEW_NS: i64 = 6_000_000_000_000_000_000;

/// A line of Logboom's own that has not been seen yet: its time and the end of its text are not known.
const UNSEEN_NS: i64 = i64::MIN;

/// Without a worker, so many bytes go into a FIFO without waiting.
const FIFO_BYTES: usize = 16 << 10;

/// A line to come: its time in steps, its length, and whether it is a piece of a longer one, or the last piece.
type Shape = (i64, usize, Option<bool>);

/// What can happen. A session that is not there is started.
#[derive(Clone, Debug)]
enum Operation {
    Stop(usize),
    /// `is_taken`: the lines are out of the FIFO before the next operation.
    Print {
        session: usize,
        lines: Vec<Shape>,
        is_taken: bool,
    },
    /// Many lines that do not compress.
    PrintMany {
        session: usize,
        count: usize,
        bytes: usize,
    },
    /// The beginning of a frame, or more of one that has begun: so many thousandths of what is left.
    Tear {
        session: usize,
        line_bytes: usize,
        part: usize,
    },
    /// Bytes that are no frame.
    Damage {
        session: usize,
        bytes: usize,
    },
    /// dockerd dies, and its FIFO goes with it or not.
    Abandon {
        session: usize,
        keeps_fifo: bool,
    },
    Read(usize, Query),
    Follow(usize, Option<u64>),
    /// All followers give what there is.
    Drink,
    /// The cutter is asked to cut all, and waited for or not.
    Cut {
        stream: usize,
        is_done: bool,
    },
    /// Nothing is cut before the next worker.
    Refuse,
    /// The worker ends well, and the next one does not begin before it is needed.
    Down,
    Restart,
    /// The worker is killed after so many changes of files, while it does something. So is the next one, when it looks at what it
    /// finds; the one behind that does not begin before it is needed.
    Kill {
        stir: Stir,
        changes: i64,
        next_changes: Option<i64>,
    },
    /// All sessions end, and all that is in the journal lies in blocks afterwards.
    Settle(usize),
}

/// What a worker is doing when it is killed.
#[derive(Clone, Debug)]
enum Stir {
    Cut(usize),
    Print(usize, Vec<Shape>),
    Stop(usize),
}

fn any_query() -> impl Strategy<Value = Query> {
    let time = || proptest::option::weighted(0.4, (0_i64..1_200).prop_map(|t| t * TIME_STEP_NS));
    let tail = proptest::option::weighted(0.6, prop_oneof![0_u64..5, 0_u64..60, 0_u64..10_000]);
    (tail, time(), time()).prop_map(|(tail, since_ns, until_ns)| Query {
        tail,
        since_ns,
        until_ns,
        ..Query::default()
    })
}

fn any_lines() -> impl Strategy<Value = Vec<Shape>> {
    let bytes = prop_oneof![8 => 0_usize..80, 1 => 0_usize..16_385];
    let piece = proptest::option::weighted(0.1, any::<bool>());
    vec((0_i64..1_000, bytes, piece), 1..12)
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let session = || prop_oneof![0..STREAM_OF.len(), 0..2_usize];
    let stream = || prop_oneof![4 => Just(0_usize), 1 => Just(1)];
    let torn = prop_oneof![8 => 0_usize..16_000, 1 => 60_000_usize..300_000];
    let stir = prop_oneof![
        stream().prop_map(Stir::Cut),
        (session(), any_lines()).prop_map(|(session, lines)| Stir::Print(session, lines)),
        session().prop_map(Stir::Stop),
    ];
    let damage = prop_oneof![8 => 1_usize..400, 1 => 200_000_usize..600_000];
    prop_oneof![
        4 => session().prop_map(Operation::Stop),
        12 => (session(), any_lines(), any::<bool>())
            .prop_map(|(session, lines, is_taken)| Operation::Print { session, lines, is_taken }),
        2 => (session(), 100_usize..1_500, 10_usize..300)
            .prop_map(|(session, count, bytes)| Operation::PrintMany { session, count, bytes }),
        6 => (session(), torn, 1_usize..1_000)
            .prop_map(|(session, line_bytes, part)| Operation::Tear { session, line_bytes, part }),
        1 => (session(), damage).prop_map(|(session, bytes)| Operation::Damage { session, bytes }),
        1 => (session(), any::<bool>())
            .prop_map(|(session, keeps_fifo)| Operation::Abandon { session, keeps_fifo }),
        6 => (stream(), any_query()).prop_map(|(stream, query)| Operation::Read(stream, query)),
        2 => (stream(), proptest::option::of(0_u64..20))
            .prop_map(|(stream, tail)| Operation::Follow(stream, tail)),
        1 => Just(Operation::Drink),
        3 => (stream(), any::<bool>()).prop_map(|(stream, is_done)| Operation::Cut { stream, is_done }),
        1 => Just(Operation::Refuse),
        1 => Just(Operation::Down),
        2 => Just(Operation::Restart),
        4 => (stir, 0_i64..30, proptest::option::weighted(0.3, 0_i64..12))
            .prop_map(|(stir, changes, next_changes)| Operation::Kill { stir, changes, next_changes }),
        1 => stream().prop_map(Operation::Settle),
    ]
}

fn any_segment_bytes() -> impl Strategy<Value = u64> {
    prop_oneof![Just(1_u64), 2_000_u64..100_000, Just(4 << 20)]
}

/// The rules of `ReadLogs` on a list.
fn select(lines: &[Line], query: &Query) -> Vec<Line> {
    let tail = query.tail.map_or(lines.len(), |tail| {
        usize::try_from(tail).unwrap().min(lines.len())
    });
    let is_old = |line: &&Line| query.since_ns.is_some_and(|since| line.time_ns < since);
    let is_early = |line: &&Line| query.until_ns.is_none_or(|until| line.time_ns <= until);
    lines[lines.len() - tail..]
        .iter()
        .skip_while(is_old)
        .take_while(is_early)
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

/// What stands at the end of a session and is no entry yet: damage, the beginning of a frame, or both.
#[derive(Clone, Default)]
struct Torn {
    damage_bytes: usize,
    frame_bytes: usize,
    /// What the frame lacks.
    rest: Vec<u8>,
    line: Option<Line>,
}

fn told_of(bytes: usize) -> Line {
    let text = format!("logboom: {bytes} bytes from dockerd are no log entry");
    line(UNSEEN_NS, text)
}

impl Torn {
    /// The entry that it becomes when the session ends.
    fn ended(&self) -> Line {
        told_of(self.damage_bytes + self.frame_bytes)
    }

    /// The entries that it becomes when the frame is whole, or when another one follows.
    fn completed(self) -> impl Iterator<Item = Line> {
        let bytes = Some(self.damage_bytes).filter(|&bytes| bytes > 0);
        bytes.map(told_of).into_iter().chain(self.line)
    }
}

struct Session {
    container: Container,
    /// Its place in the order of starts.
    started: usize,
    /// Printed, but not in the list: where they stand among the lines of other sessions is not known yet.
    pending: Vec<Line>,
    torn: Option<Torn>,
    /// Without a worker: how many bytes are in the FIFO, and what the session was like before them, if that is known.
    untaken_bytes: usize,
    taken: Option<(usize, Option<Torn>)>,
    /// Under this worker.
    has_printed: bool,
}

struct Follower {
    stream: usize,
    replay: Replay,
    frames: Vec<u8>,
    /// Which session it ends with.
    started: usize,
    /// Where in the list it began.
    from: usize,
}

#[derive(Default)]
struct Expected {
    /// All entries that ever were, in order.
    lines: Vec<Line>,
    /// With limits: how many are gone from the front, at least.
    gone: usize,
    /// What sessions that are over have left without a place in the list.
    ended: Vec<Vec<Line>>,
    numbers: Numbers,
    /// The FIFOs of sessions whose facts have been written down.
    files: Vec<String>,
}

struct Model {
    host: Host,
    disk: MortalDisk,
    limits: Limits,
    sessions: [Option<Session>; STREAM_OF.len()],
    started: usize,
    followers: Vec<Follower>,
    expected: [Expected; 2],
    noise: Noise,
    /// Every line has a time of its own.
    printed: i64,
}

impl Model {
    fn new(limits: Limits) -> Self {
        let mut host = Host::new();
        host.core = None;
        let disk = MortalDisk::default();
        host.start_on(Arc::new(disk.clone()));
        Self {
            host,
            disk,
            limits,
            sessions: Default::default(),
            started: 0,
            followers: Vec::new(),
            expected: Default::default(),
            noise: Noise(0x9e37_79b9_7f4a_7c15),
            printed: 0,
        }
    }

    fn has_limits(&self) -> bool {
        self.limits.stream_bytes.is_some() || self.limits.max_age_s.is_some()
    }

    fn play(&mut self, operation: Operation) {
        match operation {
            Operation::Stop(session) => self.stop(session),
            Operation::Print {
                session,
                lines,
                is_taken,
            } => {
                let lines: Vec<Line> = lines.into_iter().map(|shape| self.line(shape)).collect();
                self.print(session, lines);
                if is_taken && self.host.core.is_some() {
                    self.take(STREAM_OF[session]);
                }
            }
            Operation::PrintMany {
                session,
                count,
                bytes,
            } => {
                let lines = (0..1_000).cycle().take(count);
                let lines = lines.map(|time| self.line((time, bytes, None))).collect();
                self.print(session, lines);
            }
            Operation::Tear {
                session,
                line_bytes,
                part,
            } => self.tear(session, line_bytes, part),
            Operation::Damage { session, bytes } => self.damage(session, bytes),
            Operation::Abandon {
                session,
                keeps_fifo,
            } => self.abandon(session, keeps_fifo),
            Operation::Read(stream, query) => {
                self.up();
                self.check(stream, &query);
            }
            Operation::Follow(stream, tail) => self.follow(stream, tail),
            Operation::Drink => self.drink(),
            Operation::Cut { stream, is_done } => self.cut(stream, is_done),
            Operation::Refuse => self.disk.refuse_cuts(),
            Operation::Down => self.down(),
            Operation::Restart => {
                self.down();
                self.up();
            }
            Operation::Kill {
                stir,
                changes,
                next_changes,
            } => self.kill(stir, changes, next_changes),
            Operation::Settle(stream) => self.settle(stream),
        }
    }

    fn line(&mut self, (time, bytes, piece): Shape) -> Line {
        self.printed += 1;
        // Of what has an age every third line is old.
        let is_new = self.limits.max_age_s.is_some() && time % 3 > 0;
        let era_ns = if is_new { NEW_NS } else { 0 };
        Line {
            partial: piece.is_some(),
            last: piece == Some(true),
            ..line(
                era_ns + time * TIME_STEP_NS + self.printed,
                self.noise.text(bytes),
            )
        }
    }

    fn running(&self, stream: usize) -> impl Iterator<Item = &Session> {
        let sessions = self.sessions.iter().zip(STREAM_OF);
        sessions.filter_map(move |(session, of)| session.as_ref().filter(|_| of == stream))
    }

    fn running_mut(&mut self, stream: usize) -> impl Iterator<Item = &mut Session> {
        let sessions = self.sessions.iter_mut().zip(STREAM_OF);
        sessions.filter_map(move |(session, of)| session.as_mut().filter(|_| of == stream))
    }

    /// A session to write so many bytes to. With limits, entries may go before they are seen, so the order in which they are taken
    /// is kept known.
    fn session(&mut self, session: usize, bytes: usize) -> Option<&mut Session> {
        let stream = STREAM_OF[session];
        if self.host.core.is_none() {
            let has_room = self.sessions[session]
                .as_ref()
                .is_some_and(|found| found.untaken_bytes + bytes <= FIFO_BYTES);
            if !has_room || self.has_limits() {
                self.up();
            }
        }
        if self.has_limits() {
            let this = self.sessions[session].as_ref().map(|this| this.started);
            let is_others =
                |other: &Session| Some(other.started) != this && !other.pending.is_empty();
            if self.running(stream).any(is_others) {
                self.take(stream);
                self.place(stream);
            }
        }
        if self.sessions[session].is_none() {
            self.up();
            let container = self.host.run_with(IDS[stream], self.limits);
            self.started += 1;
            self.sessions[session] = Some(Session {
                container,
                started: self.started,
                pending: Vec::new(),
                torn: None,
                untaken_bytes: 0,
                taken: Some((0, None)),
                has_printed: false,
            });
        }
        let found = self.sessions[session].as_mut()?;
        if self.host.core.is_none() {
            found.untaken_bytes += bytes;
        } else {
            found.has_printed = true;
        }
        Some(found)
    }

    fn torn(&self, session: usize) -> Option<&Torn> {
        self.sessions[session].as_ref()?.torn.as_ref()
    }

    fn print(&mut self, session: usize, lines: Vec<Line>) {
        let mut bytes: Vec<u8> = self
            .torn(session)
            .map_or(Vec::new(), |torn| torn.rest.clone());
        bytes.extend(lines.iter().flat_map(frame));
        if let Some(found) = self.session(session, bytes.len()) {
            found.container.write(&bytes);
            found
                .pending
                .extend(found.torn.take().into_iter().flat_map(Torn::completed));
            found.pending.extend(lines);
        }
    }

    fn tear(&mut self, session: usize, line_bytes: usize, part: usize) {
        let mut torn = self.torn(session).cloned().unwrap_or_default();
        if torn.line.is_none() {
            // A frame that is much longer than dockerd's does not end damage.
            let most = if torn.damage_bytes > 0 {
                16_384
            } else {
                line_bytes
            };
            let line = self.line((500, line_bytes.min(most), None));
            torn.rest = frame(&line);
            torn.line = Some(line);
        }
        let bytes = (torn.rest.len() * part / 1_000)
            .max(1)
            .min(torn.rest.len() - 1);
        if let Some(found) = self.session(session, bytes) {
            let beginning: Vec<u8> = torn.rest.drain(..bytes).collect();
            torn.frame_bytes += bytes;
            found.container.write(&beginning);
            found.torn = Some(torn);
        }
    }

    fn damage(&mut self, session: usize, bytes: usize) {
        if self.torn(session).is_some_and(|torn| torn.line.is_some()) {
            self.print(session, Vec::new());
        }
        if let Some(found) = self.session(session, bytes) {
            found.container.write(&vec![0xff; bytes]);
            found.torn.get_or_insert_default().damage_bytes += bytes;
        }
    }

    fn stop(&mut self, session: usize) {
        self.up();
        self.see(STREAM_OF[session]);
        let Some(mut ended) = self.sessions[session].take() else {
            return;
        };
        assert!(self.host.stop(&mut ended.container));
        self.end(STREAM_OF[session], ended);
    }

    /// A session has ended under a worker, with all before seen.
    fn end(&mut self, stream: usize, mut session: Session) {
        session.pending.extend(session.torn.iter().map(Torn::ended));
        self.expected[stream].lines.append(&mut session.pending);
        let (ended, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.followers)
            .into_iter()
            .partition(|follower| follower.started == session.started);
        self.followers = others;
        for mut follower in ended {
            loop {
                match follower.replay.next_frames(1 << 20, &mut follower.frames) {
                    Progress::More => {}
                    Progress::Wait => wait_readable(&follower.replay),
                    Progress::End => break,
                }
            }
            self.check_follower(&follower);
        }
    }

    fn abandon(&mut self, session: usize, keeps_fifo: bool) {
        let stream = STREAM_OF[session];
        if self.sessions[session]
            .as_ref()
            .is_some_and(|found| found.taken.is_none())
        {
            self.up();
        }
        if self.host.core.is_some() {
            self.see(stream);
        }
        let Some(mut gone) = self.sessions[session].take() else {
            return;
        };
        gone.container.abandon();
        let file = gone.container.file.trim_start_matches('/');
        let fifo = self.host.folder.path().join(file);
        if self.host.core.is_some() {
            self.take(stream);
            assert!(!fifo.exists());
            return self.end(stream, gone);
        }
        // A FIFO that nobody has open holds nothing.
        let (taken, torn) = gone.taken.unwrap_or_default();
        gone.pending.truncate(taken);
        gone.pending.extend(torn.iter().map(Torn::ended));
        self.expected[stream].ended.push(gone.pending);
        if !keeps_fifo {
            fs::remove_file(fifo).unwrap();
        }
    }

    /// The worker takes all that was written to a stream.
    fn take(&mut self, stream: usize) {
        let query = Query {
            tail: Some(0),
            ..Query::default()
        };
        assert_eq!(self.host.read(IDS[stream], &query), []);
    }

    /// Puts the lines of the only session that has any at the end of the list; else they stay pending.
    fn place(&mut self, stream: usize) {
        let mut pending: Vec<Vec<Line>> = self
            .running(stream)
            .map(|session| session.pending.clone())
            .chain(self.expected[stream].ended.iter().cloned())
            .filter(|pending| !pending.is_empty())
            .collect();
        if pending.len() <= 1 {
            self.expected[stream]
                .lines
                .extend(pending.pop().into_iter().flatten());
            self.forget_pending(stream);
        }
    }

    fn forget_pending(&mut self, stream: usize) {
        self.expected[stream].ended.clear();
        for session in self.running_mut(stream) {
            session.pending.clear();
        }
    }

    /// Reads a stream whole, and compares it with the list. What is pending finds its place, and lines of Logboom's own their time.
    fn see(&mut self, stream: usize) {
        let found = self.read_settled(stream, &Query::default());
        self.place(stream);
        let pending: Vec<Vec<Line>> = self
            .running(stream)
            .map(|session| session.pending.clone())
            .chain(self.expected[stream].ended.iter().cloned())
            .collect();
        let expected = &mut self.expected[stream];
        let all = expected.lines.len() + pending.iter().map(Vec::len).sum::<usize>();
        assert!(
            found.len() <= all,
            "{} lines are there, {all} were printed; the last is {}",
            found.len(),
            describe(&found[found.len() - 1]),
        );
        let gone = all - found.len();
        if self.limits.stream_bytes.is_none() && self.limits.max_age_s.is_none() {
            let known = found.len().min(expected.lines.len());
            assert_same(&found[..known], &expected.lines[..known]);
            assert_eq!(gone, 0, "of {all} lines");
        }
        assert!(
            gone >= expected.gone,
            "{gone} lines are gone, before it were {}",
            expected.gone
        );
        let is_new = |line: &Line| line.time_ns >= NEW_NS;
        if self.limits.stream_bytes.is_none() {
            let oldest_new = expected.lines.iter().position(is_new);
            assert!(oldest_new.is_none_or(|at| gone <= at), "new lines are gone");
        } else {
            assert!(all == 0 || gone < all, "all lines are gone");
        }
        expected.gone = gone;
        let known = expected.lines.len();
        let seen = known.saturating_sub(gone);
        assert_same(&found[..seen], &expected.lines[known - seen..]);
        // The rest was pending.
        assert!(gone <= known, "lines are gone that nobody has seen");
        let mut standings = BTreeSet::from([vec![0; pending.len()]]);
        for line in &found[seen..] {
            standings = standings
                .iter()
                .flat_map(|standing| next_standings(&pending, standing, line))
                .collect();
            assert!(
                !standings.is_empty(),
                "no session goes on with {}",
                describe(line)
            );
        }
        expected.lines.truncate(known - seen);
        expected.lines.extend(found);
        self.forget_pending(stream);
    }

    /// What a query gives, read until retention took nothing from under it.
    fn read_settled(&self, stream: usize, query: &Query) -> Vec<Line> {
        loop {
            let found = self.host.read(IDS[stream], query);
            let is_cut_short =
                |line: &Line| line.text.starts_with(b"logboom: up to ") && line.source == "stderr";
            if !found.iter().any(is_cut_short) {
                return found;
            }
        }
    }

    fn check(&mut self, stream: usize, query: &Query) {
        // A query is tried on what nobody has looked at, if the list is known.
        self.place(stream);
        let is_known = |line: &Line| line.time_ns != UNSEEN_NS;
        let has_pending = self
            .running(stream)
            .any(|session| !session.pending.is_empty())
            || !self.expected[stream].ended.is_empty();
        if has_pending || self.has_limits() || !self.expected[stream].lines.iter().all(is_known) {
            self.see(stream);
        }
        loop {
            let gone = self.expected[stream].gone;
            let found = self.read_settled(stream, query);
            if self.has_limits() {
                self.see(stream);
            }
            if gone == self.expected[stream].gone {
                let wanted = select(&self.expected[stream].lines[gone..], query);
                assert_same(&found, &wanted);
                return assert_eq!(found.len(), wanted.len(), "lines for {query:?}");
            }
        }
    }

    fn follow(&mut self, stream: usize, tail: Option<u64>) {
        self.up();
        self.see(stream);
        let query = Query {
            tail,
            follow: true,
            ..Query::default()
        };
        let newest = self.running(stream).map(|session| session.started).max();
        let Some(started) = newest else {
            return self.check(stream, &query);
        };
        let expected = &self.expected[stream];
        let kept = expected.lines.len() - expected.gone;
        let shown = tail.map_or(kept, |tail| usize::try_from(tail).unwrap().min(kept));
        self.followers.push(Follower {
            stream,
            replay: self.host.core().read(IDS[stream], &query).unwrap(),
            frames: Vec::new(),
            started,
            from: expected.lines.len() - shown,
        });
    }

    fn drink(&mut self) {
        if self.host.core.is_some() {
            self.see(0);
            self.see(1);
            self.drink_and_check();
        }
    }

    fn drink_and_check(&mut self) {
        let mut followers = std::mem::take(&mut self.followers);
        for follower in &mut followers {
            while follower.replay.next_frames(1 << 20, &mut follower.frames) == Progress::More {}
            self.check_follower(follower);
        }
        self.followers = followers;
    }

    /// A follower has given all that is in the list. With limits it may have come too late for some.
    fn check_follower(&self, follower: &Follower) {
        let found = decode_frames(&follower.frames);
        let mut expected = self.expected[follower.stream].lines[follower.from..].iter();
        if self.has_limits() {
            for line in &found {
                assert!(
                    line.text.starts_with(b"logboom: up to ")
                        || expected.any(|expected| is_same(line, expected)),
                    "a follower gave {}",
                    describe(line)
                );
            }
        } else {
            assert_same(&found, expected.as_slice());
            assert_eq!(found.len(), expected.len(), "lines for a follower");
        }
    }

    /// A session that prints nothing makes the cutter cut all when it ends.
    fn cut(&mut self, stream: usize, is_done: bool) {
        self.up();
        let mut container = self.host.run_with(IDS[stream], self.limits);
        assert!(self.host.stop(&mut container));
        if is_done && !self.disk.is_refusing() {
            self.wait_for_cut();
            self.note_facts(stream);
        }
    }

    /// What has printed under this worker has been cut.
    fn note_facts(&mut self, stream: usize) {
        let printed = self.running(stream).filter(|session| session.has_printed);
        let files: Vec<String> = printed
            .map(|session| session.container.file.clone())
            .collect();
        let known = &mut self.expected[stream].files;
        let new: Vec<String> = files
            .into_iter()
            .filter(|file| !known.contains(file))
            .collect();
        known.extend(new);
    }

    /// The records of sessions go with their journals.
    fn wait_for_cut(&self) {
        let records = self.host.folder.path().join("run/docker/logboom");
        let running = self.sessions.iter().flatten().count();
        let is_over = |_: &Path| {
            self.disk.is_refusing()
                || self.disk.is_dead()
                || list(&records)
                    .iter()
                    .filter(|name| name.ends_with(".json"))
                    .count()
                    == running
        };
        self.host.wait_until(is_over, IDS[0]);
    }

    /// The worker ends well.
    fn down(&mut self) {
        if self.host.core.is_none() {
            return;
        }
        self.before_end();
        self.host.core = None;
        self.after_end();
    }

    fn kill(&mut self, stir: Stir, changes: i64, next_changes: Option<i64>) {
        if self.host.core.is_none() {
            return;
        }
        self.before_end();
        self.disk.die_after(changes);
        let mut printed = None;
        let stream = match stir {
            Stir::Cut(stream) => stream,
            Stir::Print(session, _) | Stir::Stop(session) => STREAM_OF[session],
        };
        match stir {
            Stir::Cut(_) => {}
            Stir::Print(session, shapes) => {
                let lines: Vec<Line> = shapes.into_iter().map(|shape| self.line(shape)).collect();
                let rest = self.torn(session).map_or(0, |torn| torn.rest.len());
                let bytes = rest + lines.iter().flat_map(frame).count();
                // Nobody may ever take it.
                if self.sessions[session].is_some() && bytes <= FIFO_BYTES {
                    self.print(session, lines);
                    self.host.core().drain().unwrap();
                    printed = Some((session, bytes));
                }
            }
            Stir::Stop(session) => {
                if let Some(mut ended) = self.sessions[session].take() {
                    self.host.stop(&mut ended.container);
                    ended.pending.extend(ended.torn.iter().map(Torn::ended));
                    self.expected[stream].ended.push(ended.pending);
                }
            }
        }
        let mut silent = self.host.run_with(IDS[stream], self.limits);
        self.host.stop(&mut silent);
        self.wait_for_cut();
        self.disk.die_after(0);
        self.host.core = None;
        self.after_end();
        if let Some((session, bytes)) = printed {
            // How much of it was taken is not known.
            if let Some(found) = &mut self.sessions[session] {
                found.taken = None;
                found.untaken_bytes = bytes;
            }
        }
        if let Some(changes) = next_changes {
            self.start();
            self.disk.die_after(changes);
            self.host.core().drain().unwrap();
            // A store that cannot be read is only so for a worker that is dead.
            let _ = self.host.core().read(IDS[stream], &Query::default());
            self.disk.die_after(0);
            self.host.core = None;
        }
    }

    /// Followers go with their worker; what they have given until then is right.
    fn before_end(&mut self) {
        for stream in 0..IDS.len() {
            if self.has_limits() || self.followers.iter().any(|other| other.stream == stream) {
                self.see(stream);
            } else {
                self.take(stream);
            }
        }
        self.drink_and_check();
        self.followers.clear();
    }

    fn after_end(&mut self) {
        for session in self.sessions.iter_mut().flatten() {
            session.taken = Some((session.pending.len(), session.torn.clone()));
            session.untaken_bytes = 0;
            session.has_printed = false;
        }
        self.note_numbers();
    }

    fn start(&mut self) {
        self.disk = MortalDisk::default();
        self.host.start_on(Arc::new(self.disk.clone()));
    }

    /// A worker runs, and finds all that was there.
    fn up(&mut self) {
        if self.host.core.is_none() {
            self.start();
            self.see(0);
            self.see(1);
        }
    }

    fn note_numbers(&mut self) {
        for (stream, expected) in self.expected.iter_mut().enumerate() {
            let folder = self.host.stream_folder(IDS[stream]);
            expected.numbers.note(&SystemDisk, &folder);
        }
    }

    /// All that is in the journal of a stream lies in blocks afterwards.
    fn settle(&mut self, stream: usize) {
        if self.disk.is_refusing() {
            self.down();
        }
        self.up();
        self.note_facts(stream);
        for (session, of) in STREAM_OF.into_iter().enumerate() {
            if of == stream {
                self.stop(session);
            }
        }
        let expected = &self.expected[stream];
        if expected.lines.is_empty() {
            return;
        }
        let is_cut = |folder: &Path| list(folder).iter().all(|name| !name.ends_with(".journal"));
        self.host.wait_until(is_cut, IDS[stream]);
        // Those of the newest sessions are kept.
        let is_known = |folder: &Path| {
            let facts = fs::read_to_string(folder.join("container.json")).unwrap_or_default();
            let mut newest = expected.files.iter().rev().take(8);
            newest.all(|file| facts.contains(&format!("\"{file}\"")))
        };
        self.host.wait_until(is_known, IDS[stream]);
        let folder = self.host.stream_folder(IDS[stream]);
        self.see(stream);
        let expected = &mut self.expected[stream];
        expected.numbers.note(&SystemDisk, &folder);
        expected.numbers.check(&expected.lines);
        for line in &expected.lines[expected.gone..] {
            check_damage(&folder, line, self.limits.stream_bytes);
        }
    }

    fn finish(&mut self) {
        self.up();
        self.see(0);
        self.see(1);
        self.settle(0);
        self.settle(1);
        self.down();
        self.up();
    }
}

/// Where a walk over pending lines can stand behind one more.
fn next_standings(pending: &[Vec<Line>], standing: &[usize], line: &Line) -> Vec<Vec<usize>> {
    let goes_on = |&index: &usize| {
        let next: Option<&Line> = pending[index].get(standing[index]);
        next.is_some_and(|next| is_same(line, next))
    };
    (0..pending.len())
        .filter(goes_on)
        .map(|index| {
            let mut next = standing.to_vec();
            next[index] += 1;
            next
        })
        .collect()
}

/// An entry of Logboom's own that nobody has seen yet is told by its beginning: the rest names a file.
fn is_same(found: &Line, expected: &Line) -> bool {
    if expected.time_ns == UNSEEN_NS {
        found.source == "stderr" && found.text.starts_with(&expected.text)
    } else {
        found == expected
    }
}

/// Of two lists of different lengths the shorter one is the beginning of the other.
fn assert_same(found: &[Line], expected: &[Line]) {
    let mut pairs = found.iter().zip(expected);
    if let Some(at) = pairs.position(|(found, expected)| !is_same(found, expected)) {
        panic!(
            "entry {at} is {}, not {}",
            describe(&found[at]),
            describe(&expected[at])
        );
    }
}

fn describe(line: &Line) -> String {
    let text = String::from_utf8_lossy(&line.text);
    let text: String = text.chars().take(60).collect();
    let (time_ns, bytes) = (line.time_ns, line.text.len());
    format!("{text:?} at {time_ns} with {bytes} bytes")
}

/// The bytes that an entry tells of are where it says; a limit on the stream may have taken them.
fn check_damage(folder: &Path, line: &Line, stream_bytes: Option<u64>) {
    let text = String::from_utf8_lossy(&line.text);
    if let Some((bytes, file)) = text
        .strip_prefix("logboom: ")
        .and_then(|text| text.split_once(" bytes from dockerd are no log entry; they are kept in "))
    {
        match folder.join(file).metadata() {
            Ok(kept) => assert_eq!(kept.len().to_string(), bytes, "{file}"),
            Err(error) => assert!(stream_bytes.is_some(), "{file}: {error}"),
        }
    }
}

fn play(limits: Limits, operations: Vec<Operation>) {
    let mut model = Model::new(limits);
    for operation in operations {
        model.play(operation);
    }
    model.finish();
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn streams_are_kept_as_in_a_list(
        segment_bytes in any_segment_bytes(),
        compress in any::<bool>(),
        operations in vec(any_operation(), 1..40),
    ) {
        let limits = Limits { segment_bytes, stream_bytes: None, max_age_s: None, compress };
        play(limits, operations);
    }

    #[test]
    fn with_a_limit_the_end_of_the_list_is_kept(
        segment_bytes in 4_000_u64..20_000,
        operations in vec(any_operation(), 1..30),
    ) {
        let limits = Limits {
            segment_bytes,
            stream_bytes: Some(segment_bytes * 5),
            max_age_s: None,
            compress: true,
        };
        play(limits, operations);
    }

    #[test]
    fn with_an_age_what_is_new_is_kept(
        segment_bytes in any_segment_bytes(),
        operations in vec(any_operation(), 1..30),
    ) {
        let limits = Limits {
            segment_bytes,
            stream_bytes: None,
            max_age_s: Some(3_600),
            compress: true,
        };
        play(limits, operations);
    }
}

//! The power is cut at every moment of a workload, and what the disk then has is whatever POSIX allows.
//!
//! Some hundred cuts by default; `LOGBOOM_TEST_CUTS=all cargo test --release --test power_cuts -- --nocapture` makes all of them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may panic, and says what it has counted"
)]

mod numbers;
mod simulated;
mod support;
mod synced;
mod workload;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logboom_core::block::Block;
use logboom_core::segment::SegmentReader;
use logboom_core::sync_log::SyncWhen;
use numbers::Numbers;
use simulated::{CUTS, Change, Cut, Dice, Power, SimulatedDisk, Tree, boot_id};
use support::{Host, Line, frame, line};
use synced::read_log;
use workload::{IDS, Workload, read_printed, wait_until_cut};

/// Without `LOGBOOM_TEST_CUTS=all`, so many stores are opened after a cut of the workload, and each so many'th is cut again.
const CASES: usize = 300;
const CUT_AGAIN: usize = 5;

/// With it, each moment is cut so often in each way that leaves something to chance.
const RANDOM_CUTS: usize = 8;

/// Entries that are printed after a cut are newer than those of the workload.
const NEW_NS: i64 = 1_000_000;

/// A line, by the time that it alone has.
type Key = (&'static str, i64);

/// A workload, and from which change on what is known of a line.
struct Recorded {
    sync: SyncWhen,
    changes: Vec<Change>,
    printed: BTreeMap<&'static str, Vec<Line>>,
    /// A sync that holds it has returned.
    synced: HashMap<Key, usize>,
    /// A reader has had it.
    shown: HashMap<Key, usize>,
    /// Retention takes it.
    removed: HashMap<Key, usize>,
    /// How often a file of the sync log has begun again.
    logs_again: usize,
}

#[derive(Debug, Default)]
struct Counted {
    cuts: usize,
    stores: usize,
    recoveries_cut: usize,
    entries: usize,
    lost_unsynced: usize,
}

fn id_of(path: &Path) -> Option<&'static str> {
    let folder = path.parent()?.file_name()?.to_str()?;
    IDS.into_iter().find(|id| *id == folder)
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| suffix == "zst")
}

fn lines_of_segment(tree: &Tree, number: usize, path: &Path) -> Vec<i64> {
    let disk = SimulatedDisk::new(tree.only(number, path), 0);
    let reader = SegmentReader::open(&disk, path).unwrap();
    let (mut stored, mut block, mut times) = (Vec::new(), Block::default(), Vec::new());
    for place in reader.contents().unwrap().blocks {
        // After a power cut it may be damaged.
        if reader.read_block(&place, &mut stored, &mut block).is_err() {
            continue;
        }
        times.extend(block.rows().map(|row| row.unwrap().entry.time_ns));
    }
    times
}

fn contains(content: &[u8], part: &[u8]) -> bool {
    content.windows(part.len()).any(|window| window == part)
}

impl Recorded {
    fn new(workload: &Workload) -> Self {
        let (changes, paths) = workload.disk.recorded();
        let mut recorded = Self {
            sync: workload.host.sync,
            changes: changes.clone(),
            printed: workload.printed.clone(),
            synced: HashMap::new(),
            shown: HashMap::new(),
            removed: HashMap::new(),
            logs_again: 0,
        };
        let mut power = Power::new(SimulatedDisk::with_folder(workload.host.folder.path()).tree());
        // Segments whose names have been synced, and those whose names have not been.
        let (mut named, mut unnamed) = (HashSet::new(), HashSet::new());
        for (index, change) in changes.iter().enumerate() {
            let path_of =
                |number: &usize| paths.get(number).map_or(Path::new(""), PathBuf::as_path);
            match change {
                Change::Mark(mark) => {
                    let (id, lines) = &workload.marks[*mark];
                    for line in lines {
                        recorded.shown.entry((id, line.time_ns)).or_insert(index);
                    }
                }
                Change::Sync(number) if is_segment(path_of(number)) => {
                    if named.contains(number) {
                        recorded.sync_segment(&power.live, *number, path_of(number), index);
                    } else {
                        unnamed.insert(*number);
                    }
                }
                // A new segment's name is synced after its content.
                Change::SyncFolder(folder) => {
                    let folder = power.live.names_in(*folder);
                    let synced: Vec<usize> = unnamed
                        .iter()
                        .copied()
                        .filter(|it| folder.contains(it))
                        .collect();
                    for number in synced {
                        unnamed.remove(&number);
                        recorded.sync_segment(&power.live, number, path_of(&number), index);
                        named.insert(number);
                    }
                }
                Change::Sync(number)
                    if path_of(number).extension().is_some_and(|it| it == "sync") =>
                {
                    for (id, logged) in read_log(power.live.file(*number)).unwrap() {
                        let (id, lines) = recorded.printed.get_key_value(&*id).unwrap();
                        for line in lines {
                            let key = (*id, line.time_ns);
                            if !recorded.synced.contains_key(&key)
                                && contains(&logged, &frame(line))
                            {
                                recorded.synced.insert(key, index);
                            }
                        }
                    }
                }
                Change::Remove { number, .. } if is_segment(path_of(number)) => {
                    let path = path_of(number);
                    for time_ns in lines_of_segment(&power.live, *number, path) {
                        let key = (id_of(path).unwrap(), time_ns);
                        recorded.removed.entry(key).or_insert(index);
                    }
                }
                Change::Rename { to, .. } if to.1.ends_with(".sync") => recorded.logs_again += 1,
                // The whole stream.
                Change::Rename { to, .. } if to.1.starts_with(".removed-") => {
                    let id = IDS.into_iter().find(|id| to.1.ends_with(id)).unwrap();
                    for line in &recorded.printed[id] {
                        let key = (id, line.time_ns);
                        if recorded.shown.contains_key(&key) {
                            recorded.removed.entry(key).or_insert(index);
                        }
                    }
                }
                _ => {}
            }
            power.advance(change);
        }
        recorded
    }

    fn is_so(when: &HashMap<Key, usize>, key: Key, moment: usize) -> bool {
        when.get(&key).is_some_and(|since| *since < moment)
    }

    fn sync_segment(&mut self, live: &Tree, number: usize, path: &Path, index: usize) {
        for time_ns in lines_of_segment(live, number, path) {
            let key = (id_of(path).unwrap(), time_ns);
            self.synced.entry(key).or_insert(index);
        }
    }

    /// What a store must give that was cut, but for what retention has taken since.
    fn check(&self, id: &'static str, lines: &[Line], found: &Found, counted: &mut Counted) {
        let (moment, cut) = (found.moment, found.cut);
        let Some(printed) = self.printed.get(id) else {
            return assert!(lines.iter().all(|line| line.time_ns >= NEW_NS));
        };
        let mut rest = lines.iter().filter(|line| line.time_ns < NEW_NS).peekable();
        let mut has_ended = None;
        for line in printed {
            let key = (id, line.time_ns);
            let is_removed =
                found.taken.contains(&line.time_ns) || Self::is_so(&self.removed, key, moment);
            if rest.next_if(|next| *next == line).is_some() {
                counted.entries += 1;
                assert!(
                    is_removed || has_ended.is_none() || self.sync == SyncWhen::Off,
                    "{id}: {key:?} is there, and {has_ended:?} before it is not"
                );
                continue;
            }
            let is_shown = Self::is_so(&self.shown, key, moment);
            let must_be_there = match (cut, self.sync) {
                (Cut::None, _) | (_, SyncWhen::Always) => is_shown,
                (_, SyncWhen::EverySecond) => Self::is_so(&self.synced, key, moment),
                (_, SyncWhen::Off) => false,
            };
            assert!(is_removed || !must_be_there, "{id}: {key:?} is lost");
            // What was dropped was never shown.
            if !is_removed && self.shown.contains_key(&key) {
                has_ended = has_ended.or(Some(key));
                counted.lost_unsynced += usize::from(is_shown);
            }
        }
        assert!(
            rest.peek().is_none(),
            "{id}: misread, doubled or out of order: {:?}",
            rest.map(|line| String::from_utf8_lossy(&line.text))
                .collect::<Vec<_>>()
        );
    }
}

/// A store after a cut.
#[derive(Clone)]
struct Found {
    tree: Tree,
    moment: usize,
    cut: Cut,
    boot: u32,
    /// Which entry had which number before the cut.
    numbers: BTreeMap<&'static str, Numbers>,
    /// Lines that retention has taken since the first cut.
    taken: HashSet<i64>,
}

struct Test {
    host: Host,
    recorded: Recorded,
    counted: Counted,
    /// The time of the next new entry.
    time_ns: i64,
}

impl Test {
    fn note(&self, numbers: &mut BTreeMap<&'static str, Numbers>, disk: &SimulatedDisk, boot: u32) {
        for id in IDS {
            let folder = self.host.stream_folder(id);
            let numbers = numbers.entry(id).or_default();
            numbers.note_of_boot(disk, &folder, Some(boot_id(boot)));
        }
    }

    /// Notes the lines in segments that were found and have been removed.
    fn note_taken(&self, found: &mut Found, now: &SimulatedDisk) {
        let before = SimulatedDisk::new(found.tree.clone(), 0);
        for folder in IDS.map(|id| self.host.stream_folder(id)) {
            let left = now.names(&folder);
            let gone = before.names(&folder).into_iter();
            for name in gone.filter(|name| is_segment(Path::new(name)) && !left.contains(name)) {
                let path = folder.join(name);
                let number = found.tree.find(&path).unwrap();
                found
                    .taken
                    .extend(lines_of_segment(&found.tree, number, &path));
            }
        }
    }

    fn cut(
        &self,
        power: &Power,
        moment: usize,
        cut: Cut,
        dice: &mut Dice,
        before: &Found,
    ) -> Found {
        let mut tree = power.cut(cut, dice);
        let mut numbers = before.numbers.clone();
        self.note(
            &mut numbers,
            &SimulatedDisk::new(power.live.clone(), 0),
            before.boot,
        );
        if cut != Cut::None {
            tree.forget(&self.host.folder.path().join("dev"));
        }
        // Session records are in memory, on most machines.
        if cut != Cut::None && dice.roll(4) > 0 {
            tree.forget(&self.host.folder.path().join("run"));
        }
        Found {
            tree,
            moment,
            cut: if before.cut == Cut::None {
                cut
            } else {
                before.cut
            },
            boot: before.boot + u32::from(cut != Cut::None),
            numbers,
            taken: before.taken.clone(),
        }
    }

    /// Opens a store after a cut, takes new entries into it, and opens it once more. Returns what the first worker did.
    fn open(&mut self, mut found: Found) -> Vec<Change> {
        let disk = SimulatedDisk::new(found.tree.clone(), found.boot);
        self.host.start_on(Arc::new(disk.clone()));
        // Of the records some may be torn, of sessions that have ended with the power.
        let mut faults = self.host.core().faults();
        faults.retain(|(name, _)| *name != "session-records");
        assert_eq!(faults, []);
        let mut expected = BTreeMap::new();
        for id in IDS {
            let lines = read_printed(&self.host, id);
            self.note_taken(&mut found, &disk);
            self.recorded.check(id, &lines, &found, &mut self.counted);
            expected.insert(id, lines);
        }
        for id in IDS {
            let mut container = self.host.run(id);
            let lines =
                [self.time_ns, self.time_ns + 1].map(|time| line(time, format!("new {time}")));
            self.time_ns += 2;
            container.print(&lines);
            let expected = expected.get_mut(id).unwrap();
            expected.extend(lines.clone());
            let now = read_printed(&self.host, id);
            // Retention may take the oldest.
            assert!(
                now.ends_with(&lines) && expected.ends_with(&now),
                "{id}: new entries"
            );
            *expected = now;
            self.host.stop(&mut container);
            let folder = self.host.stream_folder(id);
            wait_until_cut(&disk, &folder);
        }
        let (changes, _) = disk.recorded();
        self.host.core = None;
        self.note(&mut found.numbers, &disk, found.boot);
        let disk = SimulatedDisk::new(disk.tree(), found.boot);
        self.host.start_on(Arc::new(disk));
        for id in IDS {
            let now = read_printed(&self.host, id);
            assert!(
                expected[id].ends_with(&now) && now.len() >= 2,
                "{id}: opened again"
            );
        }
        self.host.core = None;
        self.counted.stores += 1;
        changes
    }

    fn run(mut self, takes_all: bool) {
        let changes = self.recorded.changes.clone();
        let folder = self.host.folder.path().to_owned();
        let mut power = Power::new(SimulatedDisk::with_folder(&folder).tree());
        let whole = Found {
            tree: Tree::default(),
            moment: 0,
            cut: Cut::None,
            boot: 1,
            numbers: BTreeMap::new(),
            taken: HashSet::new(),
        };
        let cases = changes.len() * CUTS.len();
        let mut dice = Dice(7);
        for (moment, change) in changes.iter().enumerate() {
            self.counted.cuts += 1;
            let rounds = CUTS.into_iter().flat_map(|cut| {
                let is_random = matches!(cut, Cut::Torn | Cut::Subset);
                let times = if takes_all && is_random {
                    RANDOM_CUTS
                } else {
                    1
                };
                std::iter::repeat_n(cut, times)
            });
            for cut in rounds {
                if !takes_all && dice.roll(cases) > CASES {
                    continue;
                }
                let seed = dice.roll(usize::MAX);
                let _shown = Context(format!(
                    "cut {cut:?} at {moment} before {change:?}, seed {seed}"
                ));
                let mut dice = Dice(seed as u64);
                let found = self.cut(&power, moment, cut, &mut dice, &whole);
                let recovery = self.open(found.clone());
                if takes_all || dice.roll(CUT_AGAIN) == 0 {
                    self.cut_again(found, &recovery, &mut dice);
                }
            }
            power.advance(change);
        }
        println!("{:?}: {:?}", self.recorded.sync, self.counted);
        let has_lost = self.counted.lost_unsynced > 0;
        assert_eq!(has_lost, self.recorded.sync != SyncWhen::Always);
        let is_logged = self.recorded.sync != SyncWhen::Off;
        assert_eq!(self.recorded.logs_again > 0, is_logged);
    }

    /// Cuts the power while the store is opened after a cut.
    fn cut_again(&mut self, mut before: Found, recovery: &[Change], dice: &mut Dice) {
        let mut power = Power::new(before.tree.clone());
        let moment = dice.roll(recovery.len());
        for change in &recovery[..moment] {
            power.advance(change);
        }
        let cut = CUTS[dice.roll(CUTS.len())];
        let _shown = Context(format!(
            "again: cut {cut:?} at {moment} before {:?}",
            recovery[moment]
        ));
        self.note_taken(&mut before, &SimulatedDisk::new(power.live.clone(), 0));
        let found = self.cut(&power, before.moment, cut, dice, &before);
        self.open(found);
        self.counted.recoveries_cut += 1;
    }
}

/// Says where a test was when it panicked.
struct Context(String);

impl Drop for Context {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.0);
        }
    }
}

fn cut_everywhere(sync: SyncWhen) {
    let mut workload = Workload::new(sync);
    workload.play();
    let test = Test {
        recorded: Recorded::new(&workload),
        host: workload.host,
        counted: Counted::default(),
        time_ns: NEW_NS,
    };
    test.run(std::env::var("LOGBOOM_TEST_CUTS").is_ok_and(|cuts| cuts == "all"));
}

#[test]
fn a_power_cut_takes_nothing_that_was_synced_and_nothing_is_misread() {
    cut_everywhere(SyncWhen::EverySecond);
}

#[test]
fn with_sync_always_a_power_cut_takes_nothing_that_was_shown() {
    cut_everywhere(SyncWhen::Always);
}

#[test]
fn with_sync_off_a_power_cut_may_take_anything_and_nothing_is_misread() {
    cut_everywhere(SyncWhen::Off);
}

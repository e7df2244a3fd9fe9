//! The sync log alone, on a simulated disk: whatever is cut, what was synced and lies in no block is made anew, and nothing that a file
//! held before it began again.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may panic, and says what it has counted"
)]

mod simulated;
mod synced;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use logboom_core::disk::{Disk, OpenMode};
use logboom_core::journal::GenerationHeader;
use logboom_core::store::{Place as Store, verify};
use logboom_core::sync_log::{Found, Mark, Place, SyncLog, SyncWhen};
use simulated::{CUTS, Change, Cut, Dice, Failure, Power, SimulatedDisk, Tree, boot_id};
use synced::{first_layout, read_first_layout};

const IDS: [&str; 3] = ["web", "db", "job"];
const HEADER_BYTES: u64 = 64;
const PAGE_BYTES: usize = 4096;

/// So little that a file is full after a few rounds.
const FILE_BYTES: u64 = 1_500;

/// What a stream prints in a round.
const MOST_BYTES: usize = 300;

/// How many times what a file holds the waiting ones may.
const SPARE_FILES: u64 = 2;

/// What fills one.
const FILE_FILLING_BYTES: usize = 1_500;

const ROUNDS: usize = 80;
const NOISE_BYTES: usize = ROUNDS * MOST_BYTES;

/// Where a stream is, as positions in its session.
#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    in_blocks: usize,
    synced: usize,
    logged: usize,
    printed: usize,
    epoch: u64,
}

type State = [Stream; IDS.len()];

fn folder() -> PathBuf {
    PathBuf::from("/data/sync")
}

fn containers() -> PathBuf {
    PathBuf::from("/data/containers")
}

/// What a stream's journal has: of no two streams the same, and nothing that can be packed.
fn journal_bytes(stream: usize, from: usize, to: usize) -> &'static [u8] {
    static ALL: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let noise = |stream| {
            let mut dice = Dice(stream as u64);
            let bytes = (0..NOISE_BYTES).map(|_| u8::try_from(dice.roll(256)).unwrap());
            bytes.collect()
        };
        (0..IDS.len()).map(noise).collect()
    });
    &all[stream][from..to]
}

fn new_disk() -> SimulatedDisk {
    SimulatedDisk::with_folder(Path::new("/data"))
}

fn append(log: &mut SyncLog, disk: &SimulatedDisk, stream: usize, from: usize, to: usize) -> bool {
    let place = Place {
        container_id: IDS[stream].to_owned(),
        header: GenerationHeader {
            number: 0,
            session: stream as u64,
            start: from as u64,
            first_sequence: from as u64,
            created_ns: 0,
            initial_bytes: 0,
            boot_id: boot_id(1),
        },
    };
    log.append(disk, &place, journal_bytes(stream, from, to))
        .is_ok()
}

/// Whether a mark lies in blocks.
fn is_in_blocks(state: &State, id: &str, mark: Mark) -> bool {
    let at = IDS.iter().position(|known| *known == id).unwrap();
    mark.position <= state[at].in_blocks as u64
}

fn begin(disk: &SimulatedDisk, boot: u32, sync: SyncWhen) -> SyncLog {
    let found = Found::look(disk, &folder(), boot_id(boot)).unwrap();
    found.begin(disk, &containers(), sync, FILE_BYTES).unwrap()
}

/// Logs, syncs and cuts blocks at random; returns what has to survive from each mark on. A call fails in one of so many rounds.
fn play(
    disk: &SimulatedDisk,
    sync: SyncWhen,
    dice: &mut Dice,
    failing: Option<usize>,
) -> Vec<State> {
    let mut state = State::default();
    let mut states = Vec::new();
    let mut note = |state: &State| {
        disk.mark(states.len());
        states.push(*state);
    };
    let mut log = begin(disk, 1, sync);
    note(&state);
    for _ in 0..ROUNDS {
        if failing.is_some_and(|rounds| dice.roll(rounds) == 0) {
            let at = disk.calls().len() + dice.roll(6);
            disk.fail(Failure { at, error: 1 });
        }
        for (at, stream) in state.iter_mut().enumerate() {
            if stream.epoch != log.epoch() {
                (stream.epoch, stream.logged) = (log.epoch(), stream.in_blocks);
            }
            // Records of one size are often where one was before.
            stream.printed += [0, 100, 100, MOST_BYTES][dice.roll(4)];
            let (from, to) = (stream.logged, stream.printed);
            if from < to && append(&mut log, disk, at, from, to) {
                stream.logged = to;
            }
        }
        if log.sync().is_ok() {
            for stream in state
                .iter_mut()
                .filter(|stream| stream.epoch == log.epoch())
            {
                stream.synced = stream.synced.max(stream.logged);
            }
        }
        note(&state);
        let stream = &mut state[dice.roll(IDS.len())];
        let uncut = stream.printed - stream.in_blocks;
        stream.in_blocks += [0, uncut, dice.roll(uncut + 1)][dice.roll(3)];
        // ORDER: blocks are synced before a file goes that has their entries.
        note(&state);
        log.tidy(disk, |id, mark| is_in_blocks(&state, id, mark));
    }
    states
}

fn content(disk: &SimulatedDisk, path: &Path) -> Option<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read).ok()?;
    let mut content = vec![0; usize::try_from(file.bytes().unwrap()).unwrap()];
    file.read_exact_at(&mut content, 0).unwrap();
    Some(content)
}

/// Where the journal of a stream begins that was made anew, and what it holds.
fn made_anew(disk: &SimulatedDisk, id: &str) -> Option<(usize, Vec<u8>)> {
    let path = containers().join(id).join("00000000000000000000.journal");
    let mut journal = content(disk, &path)?;
    let bytes = journal.split_off(PAGE_BYTES);
    let start = u64::from_le_bytes(journal[32..40].try_into().unwrap());
    Some((usize::try_from(start).unwrap_or(usize::MAX), bytes))
}

/// Opens the log after a power cut, and checks what is made anew.
fn check(tree: Tree, state: &State) {
    let disk = SimulatedDisk::new(tree, 2);
    assert!(
        Found::look(&disk, &folder(), boot_id(2))
            .unwrap()
            .is_after_power_cut
    );
    let _log = begin(&disk, 2, SyncWhen::EverySecond);
    for (at, stream) in state.iter().enumerate() {
        let (start, made) = made_anew(&disk, IDS[at]).unwrap_or_default();
        let end = start + made.len();
        assert_eq!(made, journal_bytes(at, start, end), "{}", IDS[at]);
        let must_be_there = stream.in_blocks < stream.synced;
        assert!(
            !must_be_there || (start <= stream.in_blocks && stream.synced <= end),
            "{}: {start} to {end} of {stream:?}",
            IDS[at]
        );
    }
}

/// Cuts the power at each change; returns how many cuts there were, and how often a file began again.
fn cut_everywhere(disk: &SimulatedDisk, states: &[State], dice: &mut Dice) -> (usize, usize) {
    let mut power = Power::new(new_disk().tree());
    let (mut cuts, mut begun_again) = (0, 0);
    let mut state = None;
    for change in disk.recorded().0 {
        if let Some(state) = state {
            for cut in CUTS.into_iter().filter(|cut| *cut != Cut::None) {
                check(power.cut(cut, dice), state);
                cuts += 1;
            }
        }
        match &change {
            Change::Mark(mark) => state = Some(&states[*mark]),
            Change::Rename { .. } => begun_again += 1,
            _ => {}
        }
        power.advance(&change);
    }
    (cuts, begun_again)
}

#[test]
fn after_a_power_cut_a_file_that_began_again_gives_nothing_of_its_former_life() {
    let (always, every_second) = (SyncWhen::Always, SyncWhen::EverySecond);
    for (seed, sync, failing) in [
        (1, every_second, None),
        (2, always, None),
        (3, every_second, Some(5)),
        (4, always, Some(5)),
    ] {
        let mut dice = Dice(seed);
        let disk = new_disk();
        let states = play(&disk, sync, &mut dice, failing);
        let (cuts, begun_again) = cut_everywhere(&disk, &states, &mut dice);
        println!("{cuts} cuts, {begun_again} files have begun again");
        assert!(begun_again > 5);
    }
}

/// A log with so many files that are full, and one that is not.
fn with_files(disk: &SimulatedDisk, count: usize) -> (SyncLog, usize) {
    let mut log = begin(disk, 1, SyncWhen::EverySecond);
    let mut end = 0;
    for _ in 0..count {
        assert!(append(&mut log, disk, 0, end, end + FILE_FILLING_BYTES));
        end += FILE_FILLING_BYTES;
        log.sync().unwrap();
    }
    assert!(append(&mut log, disk, 0, end, end + 1));
    log.sync().unwrap();
    (log, end)
}

fn put_in_blocks(log: &mut SyncLog, disk: &SimulatedDisk, end: usize) {
    log.tidy(disk, |_, mark| mark.position <= end as u64);
}

#[test]
fn files_that_wait_are_bounded_and_go_when_the_disk_is_full() {
    let disk = new_disk();
    let (mut log, end) = with_files(&disk, 5);
    put_in_blocks(&mut log, &disk, 0);
    assert_eq!(disk.names(&folder()).len(), 6, "they are wanted");
    put_in_blocks(&mut log, &disk, end);
    let names = disk.names(&folder());
    // Each is longer than what it is followed at, so that two of them are too much.
    assert_eq!(names.len(), 2);
    let waiting = content(&disk, &folder().join(&names[1])).unwrap();
    assert!(waiting.len() as u64 <= SPARE_FILES * FILE_BYTES);

    assert!(log.give_up_spare(&disk));
    assert_eq!(disk.names(&folder()).len(), 1);
    assert!(!log.give_up_spare(&disk));
    assert!(append(&mut log, &disk, 0, end + 1, end + 2));
    log.sync().unwrap();
}

/// `verify` called what was left of it damaged, and on a full disk there was one more for each try.
#[test]
fn a_file_that_could_not_be_begun_leaves_nothing() {
    let disk = new_disk();
    begin(&disk, 1, SyncWhen::EverySecond);
    let calls = disk.calls();
    let first = folder().join("00000000000000000000.sync");
    let created = calls.iter().position(|(_, path)| *path == first).unwrap();
    // To make it, its header, its sync, its name's.
    assert_eq!(calls.len() - created, 4);
    for (at, call) in calls.iter().enumerate().skip(created) {
        let disk = new_disk();
        disk.fail(Failure { at, error: 0 });
        let mut log = begin(&disk, 1, SyncWhen::EverySecond);
        assert!(!log.has_begun(), "{call:?}");
        assert_eq!(disk.names(&folder()), [""; 0], "{call:?}");
        assert!(append(&mut log, &disk, 0, 0, 100));
    }
}

#[test]
fn a_log_whose_folder_somebody_has_removed_begins_anew() {
    let disk = new_disk();
    let mut log = begin(&disk, 1, SyncWhen::EverySecond);
    assert!(append(&mut log, &disk, 0, 0, FILE_FILLING_BYTES));
    log.sync().unwrap();
    for name in disk.names(&folder()) {
        disk.remove_file(&folder().join(name)).unwrap();
    }
    disk.remove_folder(&folder()).unwrap();
    assert!(append(&mut log, &disk, 0, 0, 100));
    log.sync().unwrap();
    assert_eq!(disk.names(&folder()).len(), 1);
}

#[test]
fn a_file_whose_sync_failed_does_not_begin_again() {
    let disk = new_disk();
    let mut log = begin(&disk, 1, SyncWhen::EverySecond);
    assert!(append(&mut log, &disk, 0, 0, 100));
    // The write comes first.
    let at = disk.calls().len() + 1;
    disk.fail(Failure { at, error: 0 });
    log.sync().unwrap_err();
    assert!(append(&mut log, &disk, 0, 0, 100));
    log.sync().unwrap();
    assert_eq!(disk.names(&folder()).len(), 2);
    put_in_blocks(&mut log, &disk, 100);
    assert_eq!(disk.names(&folder()), ["00000000000000000001.sync"]);
}

#[test]
fn a_log_that_is_closed_with_all_in_blocks_leaves_no_file() {
    let disk = new_disk();
    let (mut log, end) = with_files(&disk, 3);
    put_in_blocks(&mut log, &disk, end);
    log.remove(&disk, |_, _| true);
    assert_eq!(disk.names(&folder()), [""; 0]);
}

#[test]
fn a_log_of_an_earlier_version_is_made_journals_of() {
    let (one, two) = (journal_bytes(0, 5, 9), journal_bytes(0, 9, 300));
    let other = journal_bytes(1, 0, 50);
    let records = [("web", 5, one), ("db", 0, other), ("web", 9, two)];
    for (boot, is_after_power_cut) in [(1, false), (2, true)] {
        let disk = new_disk();
        disk.create_folder(&folder()).unwrap();
        let path = folder().join("00000000000000000007.sync");
        let file = disk.open(&path, OpenMode::Create).unwrap();
        let mut log = first_layout(boot_id(1), &records);
        // A torn record.
        log.extend_from_within(32..50);
        file.write_all_at(&log, 0).unwrap();
        let found = Found::look(&disk, &folder(), boot_id(boot)).unwrap();
        assert_eq!(found.is_after_power_cut, is_after_power_cut);
        let mut log = found
            .begin(&disk, &containers(), SyncWhen::EverySecond, FILE_BYTES)
            .unwrap();
        if is_after_power_cut {
            let web = journal_bytes(0, 5, 300).to_vec();
            assert_eq!(made_anew(&disk, "web"), Some((5, web)));
            assert_eq!(made_anew(&disk, "db"), Some((0, other.to_vec())));
        } else {
            log.tidy(&disk, |id, mark| id == "db" && mark.position == 50);
            assert_eq!(made_anew(&disk, "web"), None);
            assert!(content(&disk, &path).is_some(), "it is wanted");
            log.tidy(&disk, |id, mark| id == "web" && mark.position == 300);
        }
        assert_eq!(content(&disk, &path), None);
    }
}

#[test]
fn an_earlier_version_learns_of_a_power_cut_and_finds_no_record() {
    let disk = new_disk();
    let (_log, _) = with_files(&disk, 1);
    let log = content(&disk, &folder().join("00000000000000000000.sync")).unwrap();
    // Its limit was 8 MiB.
    assert_eq!(read_first_layout(&log), (boot_id(1), u32::MAX));
}

#[test]
fn verify_tells_damage_from_what_a_file_held_before() {
    let disk = new_disk();
    let (mut log, mut end) = with_files(&disk, 1);
    put_in_blocks(&mut log, &disk, end);
    // The file that waits comes next, and gets two records of its new life.
    for bytes in [FILE_FILLING_BYTES, 10, 10] {
        assert!(append(&mut log, &disk, 0, end + 1, end + 1 + bytes));
        end += bytes;
        log.sync().unwrap();
    }
    let path = folder().join("00000000000000000002.sync");
    assert!(content(&disk, &path).unwrap().len() > FILE_FILLING_BYTES);
    let found = || {
        let place = Store {
            data: Path::new("/data"),
            records: Path::new("/run"),
        };
        let findings = verify(&disk, place).unwrap().findings;
        let places = findings.into_iter().map(|found| (found.path, found.offset));
        places.collect::<Vec<_>>()
    };
    assert_eq!(found(), []);
    let file = disk.open(&path, OpenMode::Write).unwrap();
    file.write_all_at(b"?", HEADER_BYTES + 30).unwrap();
    assert_eq!(found(), [(path, HEADER_BYTES)]);
}

//! When blocks are synced, and what stays until they are.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

mod simulated;
mod support;
mod workload;

use std::sync::Arc;
use std::time::Duration;

use logboom_core::Core;
use simulated::{Change, Cut, Dice, Power, SimulatedDisk};
use support::{Host, Line, frame, line, wait_until};
use workload::IDS;

/// Blocks are cut when a journal has waited so long.
const BLOCK_AFTER: Duration = Duration::from_secs(2);

/// A container may be noted on one side of a tick and another on the other; so often not.
const ROUNDS: usize = 5;

/// In so many ways the power is cut at each moment.
const CUTS: u64 = 20;

fn start(host: &mut Host, disk: &SimulatedDisk) {
    host.core = None;
    let settings = logboom_core::Settings {
        block_after: BLOCK_AFTER,
        ..host.settings()
    };
    host.core = Some(Core::open_on(settings, Arc::new(disk.clone())).unwrap());
}

fn has(lines: &[Line], wanted: &Line) -> bool {
    lines.iter().any(|line| line.text == wanted.text)
}

#[test]
fn the_disk_begins_to_write_all_blocks_of_a_tick_before_one_is_waited_for() {
    let mut host = Host::new();
    let disk = SimulatedDisk::with_folder(host.folder.path());
    start(&mut host, &disk);
    let mut containers = IDS.map(|id| host.run(id));
    let mut seen = 0;
    for round in 1..=ROUNDS {
        for container in &mut containers {
            container.write(&frame(&line(1, "a line")));
        }
        wait_until("a sync of each segment", || {
            disk.syncs(".zst") == round * IDS.len()
        });
        let (changes, paths) = disk.recorded();
        let is_segment = |number: &usize| {
            paths
                .get(number)
                .is_some_and(|path| path.extension() == Some("zst".as_ref()))
        };
        let order: String = changes[seen..]
            .iter()
            .filter_map(|change| match change {
                Change::BeginWriting(number) if is_segment(number) => Some('b'),
                Change::Sync(number) if is_segment(number) => Some('s'),
                _ => None,
            })
            .collect();
        seen = changes.len();
        if order == "bbbsss" {
            return;
        }
    }
    panic!("each was begun and waited for by itself");
}

/// `reads`: somebody opens the stream that the killed worker has left.
fn kill_then_cut_the_power(reads: bool) {
    let mut host = Host::new();
    let folder = host.folder.path().to_owned();
    let disk = SimulatedDisk::with_folder(&folder);
    let before = disk.tree();
    start(&mut host, &disk);
    let mut web = host.run("web");
    let wanted = line(1, "in the log, and in a block");
    web.write(&frame(&wanted));
    wait_until("a sync of the segment", || disk.syncs(".zst") > 0);

    // The worker is killed when the block is written.
    let (changes, paths) = disk.recorded();
    let mut power = Power::new(before);
    for change in &changes {
        power.advance(change);
        if matches!(change, Change::Write { number, .. } if paths[number].extension() == Some("zst".as_ref()))
        {
            break;
        }
    }
    let killed = SimulatedDisk::new(power.live.clone(), 1);
    host.core = None;
    host.start_on(Arc::new(killed.clone()));
    if reads {
        assert!(has(&host.read_all("web"), &wanted));
    }
    let mut db = host.run("db");
    for _ in 0..3 {
        let synced = killed.syncs(".sync");
        db.write(&frame(&line(1, "another container's")));
        wait_until("a sync of the log", || killed.syncs(".sync") > synced);
    }
    let (changes, _) = killed.recorded();
    host.core = None;

    for (moment, change) in changes.iter().enumerate() {
        for seed in 0..CUTS {
            let mut tree = power.cut(Cut::Subset, &mut Dice(seed));
            tree.forget(&folder.join("dev"));
            tree.forget(&folder.join("run"));
            start(&mut host, &SimulatedDisk::new(tree, 2));
            assert!(
                has(&host.read_all("web"), &wanted),
                "lost by a power cut at {moment} before {change:?}, seed {seed}"
            );
        }
        power.advance(change);
    }
}

#[test]
fn the_sync_log_stays_until_the_blocks_of_a_killed_worker_are_synced() {
    for reads in [false, true] {
        kill_then_cut_the_power(reads);
    }
}

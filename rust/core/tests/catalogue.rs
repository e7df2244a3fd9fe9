//! What is written down of ended streams is what their files tell, or counts for nothing.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test may panic"
)]
#![allow(clippy::disallowed_methods, reason = "not the store's files")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use logboom_core::clock::Clock;
use logboom_core::disk::SystemDisk;
use logboom_core::store::{Listed, PackedId, Store};
use logboom_core::stream::GivenOptions;
use logboom_core::sync_log::SyncWhen;
use logboom_core::{Core, Settings};
use support::{Host, line};

/// So many streams make a worker write the catalogue.
const NEEDS_IT: usize = 1000;

const SECOND_NS: i64 = 1_000_000_000;

/// The only one whose sheet is not `aa`.
const OTHER: usize = 3;

fn id(number: usize) -> String {
    let first = if number == OTHER { "bb" } else { "aa" };
    format!("{first}{number:062}")
}

/// A host whose worker has ended, with some streams.
fn host(streams: usize) -> Host {
    let mut host = Host::new();
    for number in 0..streams {
        print(&mut host, &id(number), number + 1);
    }
    host.core = None;
    host
}

/// A container prints so many lines, and all of them lie in a segment.
fn print(host: &mut Host, id: &str, lines: usize) {
    let mut container = host.run(id);
    container.print(&vec![line(1_000, "a line"); lines]);
    host.stop(&mut container);
    host.wait_until(
        |folder| {
            !support::list(folder)
                .iter()
                .any(|name| name.ends_with(".journal"))
        },
        id,
    );
}

/// Makes so many streams of the first one.
fn copy(host: &Host, streams: usize) {
    let model = host.stream_folder(&id(0));
    for number in 1..streams {
        let folder = host.stream_folder(&id(number));
        fs::create_dir(&folder).unwrap();
        for name in support::list(&model) {
            fs::copy(model.join(&name), folder.join(&name)).unwrap();
        }
    }
}

/// Writes the catalogue as a worker does that looks at the clock at this moment.
fn catalogue_at(host: &Host, now_ns: i64) {
    let store = Store::new(
        host.data(),
        Arc::new(SystemDisk),
        [1; 16],
        SyncWhen::default(),
    );
    store.open().unwrap();
    let mut round = store.begin_cataloguing().unwrap();
    for id in host.view().stream_ids().unwrap() {
        store
            .catalogue(&mut round, &PackedId::new(&id), now_ns)
            .unwrap();
    }
    round.end(store.disk()).unwrap();
    store.close();
}

fn catalogue(host: &Host) {
    catalogue_at(host, i64::MAX);
}

fn sheet(host: &Host) -> PathBuf {
    host.data().join("catalogue/aa.sheet")
}

fn file_number(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

/// Which streams are in the catalogue; and all that is listed is what the files tell.
fn check(host: &Host) -> Vec<usize> {
    let with = host.view().list().unwrap();
    let (hidden, folder) = (host.data().join("hidden"), host.data().join("catalogue"));
    let _ = fs::rename(&folder, &hidden);
    let without = host.view().list().unwrap();
    let _ = fs::rename(&hidden, &folder);
    assert_eq!(with.len(), without.len());
    for (with, without) in with.iter().zip(&without) {
        assert_eq!(without.held, None);
        let known = Listed {
            held: None,
            ..with.clone()
        };
        assert_eq!(format!("{known:?}"), format!("{without:?}"));
        if let Some(held) = with.held {
            let described = host.view().describe(&with.container_id).unwrap();
            assert_eq!(Some(held), described, "{}", with.container_id);
        }
    }
    let held = with.iter().filter(|listed| listed.held.is_some());
    held.map(|listed| listed.container_id[2..].parse().unwrap())
        .collect()
}

#[test]
fn a_listing_takes_from_the_catalogue_what_the_files_tell() {
    let host = host(4);
    assert!(check(&host).is_empty());
    catalogue(&host);
    assert_eq!(check(&host), [0, 1, 2, OTHER]);
    let page = host.view().list_page(&id(0), 2).unwrap();
    let ids: Vec<&str> = page.iter().map(|listed| &*listed.container_id).collect();
    assert_eq!(ids, [id(1), id(2)]);
    assert!(page.iter().all(|listed| listed.held.is_some()));
}

#[test]
fn a_round_that_finds_nothing_new_writes_nothing() {
    let host = host(2);
    catalogue(&host);
    let before = file_number(&sheet(&host));
    catalogue(&host);
    assert_eq!(file_number(&sheet(&host)), before);
}

#[test]
fn a_stream_whose_folder_was_changed_is_read_until_it_is_written_down_again() {
    let mut host = host(3);
    catalogue(&host);
    host.start();
    print(&mut host, &id(1), 5);
    host.core = None;
    assert_eq!(check(&host), [0, 2]);
    catalogue(&host);
    assert_eq!(check(&host), [0, 1, 2]);
}

#[test]
fn a_stream_that_is_gone_is_neither_listed_nor_kept() {
    let host = host(2);
    catalogue(&host);
    let before = fs::metadata(sheet(&host)).unwrap().len();
    fs::remove_dir_all(host.stream_folder(&id(1))).unwrap();
    assert_eq!(check(&host), [0]);
    catalogue(&host);
    assert_eq!(check(&host), [0]);
    assert!(fs::metadata(sheet(&host)).unwrap().len() < before);
}

#[test]
fn a_stream_that_came_again_under_its_id_is_another() {
    let mut host = host(2);
    catalogue(&host);
    fs::remove_dir_all(host.stream_folder(&id(1))).unwrap();
    host.start();
    print(&mut host, &id(1), 9);
    host.core = None;
    assert_eq!(check(&host), [0]);
}

#[test]
fn a_folder_that_was_changed_a_moment_ago_may_change_again_unseen() {
    let host = host(1);
    let metadata = fs::metadata(host.stream_folder(&id(0))).unwrap();
    let changed_ns = metadata.mtime() * SECOND_NS + metadata.mtime_nsec();
    catalogue_at(&host, changed_ns + 2 * SECOND_NS - 1);
    assert!(check(&host).is_empty());
    catalogue_at(&host, changed_ns + 2 * SECOND_NS);
    assert_eq!(check(&host), [0]);
    // A clock that was set back proves nothing.
    catalogue_at(&host, 0);
    assert!(check(&host).is_empty());
}

#[test]
fn a_stream_with_a_journal_is_not_written_down() {
    let host = host(2);
    // Not whole yet, but it may grow without a sign.
    let journal = host
        .stream_folder(&id(1))
        .join(format!("{:020}.journal", 7));
    fs::write(&journal, "").unwrap();
    catalogue(&host);
    assert_eq!(check(&host), [0]);
    fs::remove_file(journal).unwrap();
    catalogue(&host);
    assert_eq!(check(&host), [0, 1]);
}

#[test]
fn a_container_that_runs_is_read() {
    let mut host = host(2);
    catalogue(&host);
    host.start();
    let mut running = host.run(&id(1));
    assert_eq!(check(&host), [0]);
    host.stop(&mut running);
    host.core = None;
    assert_eq!(check(&host), [0, 1]);
}

#[test]
fn no_power_cut_is_survived() {
    let host = host(1);
    catalogue(&host);
    fs::write(host.data().join("power-cuts"), "1\n").unwrap();
    assert!(check(&host).is_empty());
    catalogue(&host);
    assert_eq!(check(&host), [0]);
    fs::write(host.data().join("power-cuts"), "no number").unwrap();
    assert!(check(&host).is_empty());
}

#[test]
fn a_damaged_sheet_says_nothing() {
    let host = host(2);
    catalogue(&host);
    let whole = fs::read(sheet(&host)).unwrap();
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 1 << (place % 8);
        fs::write(sheet(&host), &damaged).unwrap();
        assert!(
            host.view()
                .list()
                .unwrap()
                .iter()
                .all(|listed| listed.held.is_none())
        );
        fs::write(sheet(&host), &whole[..place]).unwrap();
        assert!(
            host.view()
                .list()
                .unwrap()
                .iter()
                .all(|listed| listed.held.is_none())
        );
    }
    assert!(check(&host).is_empty());
    catalogue(&host);
    assert_eq!(fs::read(sheet(&host)).unwrap(), whole);
}

#[test]
fn what_is_no_sheet_of_this_version_says_nothing_however_well_it_is_summed() {
    let host = host(1);
    catalogue(&host);
    let whole = fs::read(sheet(&host)).unwrap();
    let facts_at = whole.len() - 4;
    let mut versions = vec![whole.clone(); 4];
    versions[0][7] = b'2';
    // The facts reach behind the end; the row is cut short; the facts are no text.
    versions[1][16 + 120] ^= 0x80;
    versions[2].truncate(16 + 100);
    versions[3][facts_at - 2] = 0xff;
    for mut version in versions {
        let summed = version.len().min(facts_at);
        version.truncate(summed);
        version.extend(crc32c::crc32c(&version).to_le_bytes());
        fs::write(sheet(&host), version).unwrap();
        assert!(check(&host).is_empty());
    }
}

#[test]
fn what_has_no_place_in_a_sheet_is_read() {
    let mut host = Host::new();
    print(&mut host, "web", 1);
    let most = 8 << 10;
    for (number, bytes) in [(0, most), (1, most + 1)] {
        let mut container = host.make_fifo(&id(number));
        let facts = format!(r#"{{"name":"{}"}}"#, "x".repeat(bytes - 11));
        host.core()
            .start_session(
                &container.file,
                &id(number),
                &facts,
                GivenOptions::default(),
            )
            .unwrap();
        container.print(&[line(1, "a line")]);
        host.stop(&mut container);
        host.wait_until(|folder| folder.join("container.json").exists(), &id(number));
    }
    host.core = None;
    catalogue(&host);
    let listed = host.view().list().unwrap();
    let in_catalogue: Vec<bool> = listed.iter().map(|listed| listed.held.is_some()).collect();
    assert_eq!(in_catalogue, [true, false, false]);
    assert_eq!(listed[2].container_id, "web");
}

#[test]
fn a_sheet_that_is_full_leaves_the_rest_to_the_files() {
    let mut host = Host::new();
    let mut container = host.make_fifo(&id(0));
    let facts = format!(r#"{{"name":"{}"}}"#, "x".repeat(8000));
    host.core()
        .start_session(&container.file, &id(0), &facts, GivenOptions::default())
        .unwrap();
    container.print(&[line(1, "a line")]);
    host.stop(&mut container);
    host.wait_until(|folder| support::list(folder).len() == 2, &id(0));
    host.core = None;
    let row_bytes = 124 + facts.len() as u64;
    let rows = ((4 << 20) - 20) / row_bytes;
    copy(&host, usize::try_from(rows).unwrap() + 10);
    catalogue(&host);
    let metadata = fs::metadata(sheet(&host)).unwrap();
    assert_eq!(metadata.len(), 20 + rows * row_bytes);
    assert_eq!(check(&host).len() as u64, rows + 1);
    // Those for which it has no room are no reason to write it again.
    catalogue(&host);
    assert_eq!(file_number(&sheet(&host)), metadata.ino());
}

#[test]
fn a_worker_writes_the_catalogue_of_a_store_that_needs_one() {
    let mut host = host(1);
    copy(&host, NEEDS_IT);
    // By its clock all folders have settled.
    let settings = Settings {
        clock: Clock::Manual(Arc::new(AtomicI64::new(i64::MAX))),
        ..host.settings()
    };
    host.core = Some(Core::open_on(settings, Arc::new(SystemDisk)).unwrap());
    host.wait_until(|_| sheet(&host).exists(), &id(0));
    let listed = host.view().list().unwrap();
    assert_eq!(listed.len(), NEEDS_IT);
    assert!(listed.iter().all(|listed| listed.held.is_some()));
}

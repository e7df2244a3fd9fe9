//! A store as it is seen beside its worker, or without one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "not the store's files")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use logboom_core::Error;
use logboom_core::disk::{Disk, DiskFile, OpenMode, SystemDisk};
use logboom_core::replay::Replay;
use logboom_core::store::{Listed, PackedId, Store, StoreView};
use logboom_core::stream::{Description, Limits, Query};
use logboom_core::sync_log::SyncWhen;
use support::{Host, Line, line, list, read_to_end};

fn read(view: &StoreView, id: &str, query: &Query) -> Vec<Line> {
    let snapshot = view.snapshot(id).unwrap().unwrap();
    read_to_end(&mut Replay::new(snapshot.read(query).unwrap()))
}

fn describe(view: &StoreView, id: &str) -> Description {
    view.snapshot(id).unwrap().unwrap().describe().unwrap()
}

fn numbered(from: usize, to: usize) -> Vec<Line> {
    (from..to)
        .map(|number| line(1_000 + i64::try_from(number).unwrap(), format!("{number}")))
        .collect()
}

/// All files below a folder, with what is in them.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for name in list(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            for (inner, content) in contents(&path) {
                found.insert(format!("{name}/{inner}"), content);
            }
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

fn wait_for(view: &StoreView, id: &str, entry_count: u64) {
    for _ in 0..20_000 {
        let snapshot = view.snapshot(id).unwrap();
        if snapshot.is_some_and(|snapshot| snapshot.describe().unwrap().entry_count == entry_count)
        {
            return;
        }
        std::thread::sleep(std::time::Duration::from_micros(500));
    }
    assert_eq!(describe(view, id).entry_count, entry_count);
}

#[test]
fn what_a_worker_has_in_segments_and_journals_is_seen_and_nothing_is_changed() {
    let mut host = Host::new();
    let mut web = host.run("web");
    web.print(&numbered(0, 300));
    host.stop(&mut web);
    let mut web = host.run("web");
    web.print(&numbered(300, 500));
    // Torn: it counts for nothing yet.
    web.write(&support::frame(&line(1, "torn"))[..9]);
    let view = host.view();
    wait_for(&view, "web", 500);
    host.wait_until(|folder| folder.join("container.json").exists(), "web");

    assert_eq!(read(&view, "web", &Query::default()), numbered(0, 500));
    let tail = Query {
        tail: Some(250),
        ..Query::default()
    };
    assert_eq!(read(&view, "web", &tail), numbered(250, 500));
    let from = Query {
        from_sequence: Some(499),
        ..Query::default()
    };
    assert_eq!(read(&view, "web", &from), numbered(499, 500));
    let described = describe(&view, "web");
    assert_eq!(described.first_ns, Some(1_000));
    assert_eq!(described.last_ns, Some(1_499));
    assert_eq!((described.first_sequence, described.end_sequence), (0, 500));
    assert_eq!(described.text_bytes, 10 * 2 + 90 * 3 + 400 * 4);
    assert!(described.segment_count > 0 && described.stored_bytes > 0);

    host.core = None;
    let before = contents(&host.data());
    assert_eq!(read(&view, "web", &Query::default()), numbered(0, 500));
    assert_eq!(contents(&host.data()), before);
    // Nothing is held that a worker needs.
    host.start();
    assert_eq!(host.read_all("web"), numbered(0, 500));
}

/// Does something when the call with a number comes that lists or opens a file.
struct Interrupted {
    calls_left: AtomicI64,
    interrupt: Mutex<Box<dyn FnMut() + Send>>,
}

impl std::fmt::Debug for Interrupted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Interrupted")
    }
}

impl Interrupted {
    fn count(&self) {
        if self.calls_left.fetch_sub(1, Ordering::Relaxed) == 0 {
            (self.interrupt.lock().unwrap())();
        }
    }
}

impl Disk for Interrupted {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        self.count();
        assert_eq!(mode, OpenMode::Read, "{}", path.display());
        SystemDisk.open(path, mode)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<logboom_core::disk::Listed>> {
        self.count();
        SystemDisk.list(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        panic!("a view makes {}", path.display())
    }

    fn changed_ns(&self, path: &Path) -> io::Result<i64> {
        self.count();
        SystemDisk.changed_ns(path)
    }

    fn rename(&self, from: &Path, _: &Path) -> io::Result<()> {
        panic!("a view renames {}", from.display())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        panic!("a view removes {}", path.display())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        panic!("a view removes {}", path.display())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        panic!("a view syncs {}", path.display())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        SystemDisk.free_bytes(path)
    }
}

/// A stream that was written down while its files changed would be listed as it never was.
#[test]
fn nothing_wrong_is_written_down_at_whatever_call_of_a_look_a_file_is_replaced() {
    let mut host = Host::new();
    let ids = ["aa", "bb"].map(|digits| digits.repeat(32));
    for (id, lines) in ids.iter().zip([300, 500]) {
        let mut container = host.run(id);
        container.print(&numbered(0, lines));
        host.stop(&mut container);
        host.wait_until(|folder| list(folder).len() == 2, id);
    }
    host.core = None;
    let folder = host.stream_folder(&ids[0]);
    let segment = folder.join(format!("{:020}.zst", 0));
    let (old, new) = (
        host.folder.path().join("old"),
        host.folder.path().join("new"),
    );
    fs::copy(&segment, &old).unwrap();
    for call in 0.. {
        fs::copy(&old, &segment).unwrap();
        fs::copy(
            host.stream_folder(&ids[1])
                .join(segment.file_name().unwrap()),
            &new,
        )
        .unwrap();
        // Long ago, or the change may come within the same tick of the clock.
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
        fs::File::open(&folder)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        let is_replaced = Arc::new(AtomicBool::new(false));
        let (from, to, replaced) = (new.clone(), segment.clone(), Arc::clone(&is_replaced));
        let disk: Arc<dyn Disk> = Arc::new(Interrupted {
            calls_left: AtomicI64::new(call),
            interrupt: Mutex::new(Box::new(move || {
                fs::rename(&from, &to).unwrap();
                replaced.store(true, Ordering::Relaxed);
            })),
        });
        let store = Store::new(
            host.data(),
            Arc::new(SystemDisk),
            [1; 16],
            SyncWhen::default(),
        );
        store.open().unwrap();
        let mut round = store.begin_cataloguing().unwrap();
        round.add(&disk, &PackedId::new(&ids[0]), i64::MAX).unwrap();
        round.end(&SystemDisk).unwrap();
        store.close();
        let held = host.view().list().unwrap()[0].held;
        if !is_replaced.load(Ordering::Relaxed) {
            assert_eq!(held.unwrap().entry_count, 300);
            break;
        }
        assert!(
            held.is_none_or(|held| held.entry_count == 500),
            "call {call}"
        );
        fs::remove_dir_all(host.data().join("catalogue")).unwrap_or_default();
    }
}

#[test]
fn nothing_is_missing_at_whatever_call_of_a_look_the_journal_becomes_a_block() {
    for call in 0.. {
        let mut host = Host::new();
        let mut web = host.run("web");
        web.print(&numbered(0, 300));
        host.stop(&mut web);
        let mut web = host.run("web");
        web.print(&numbered(300, 500));
        wait_for(&host.view(), "web", 500);
        let data = host.data();
        let disk = Arc::new(Interrupted {
            calls_left: AtomicI64::new(call + 1),
            interrupt: Mutex::new(Box::new(move || {
                host.stop(&mut web);
                host.wait_until(
                    |folder| !list(folder).iter().any(|name| name.ends_with(".journal")),
                    "web",
                );
            })),
        });
        let view = StoreView::open_on(disk.clone(), &data, None).unwrap();
        let described = describe(&view, "web");
        assert_eq!(described.entry_count, 500, "call {call}");
        assert_eq!(read(&view, "web", &Query::default()), numbered(0, 500));
        if disk.calls_left.load(Ordering::Relaxed) >= 0 {
            assert!(call > 5, "a look has only {call} calls");
            break;
        }
    }
}

#[test]
fn no_entry_is_missing_or_doubled_while_a_worker_cuts_seals_and_removes() {
    let mut host = Host::new();
    let limits = Limits {
        segment_bytes: 2_000,
        stream_bytes: Some(10_000),
        ..Host::limits()
    };
    let view = host.view();
    let (stored, looks) = (AtomicU64::new(0), AtomicU64::new(0));
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                let stored = stored.load(Ordering::Acquire);
                let Some(snapshot) = view.snapshot("web").unwrap() else {
                    continue;
                };
                let described = snapshot.describe().unwrap();
                assert!(
                    described.end_sequence >= stored,
                    "{described:?}, {stored} stored"
                );
                let mut replay = Replay::new(snapshot.read(&Query::default()).unwrap());
                let numbers: Vec<u64> = read_to_end(&mut replay)
                    .iter()
                    // What retention removed under the reader is said by an entry.
                    .filter(|line| !line.text.starts_with(b"logboom: up to"))
                    .map(|line| String::from_utf8_lossy(&line.text).parse().unwrap())
                    .collect();
                assert!(numbers.is_sorted_by(|one, next| one < next));
                if let (Some(first), Some(last)) = (numbers.first(), numbers.last()) {
                    assert!(*first >= described.first_sequence);
                    assert_eq!(last + 1, described.end_sequence);
                }
                looks.fetch_add(1, Ordering::Relaxed);
            }
        });
        for session in 0..2_000 {
            if looking.is_finished() || (session >= 40 && looks.load(Ordering::Relaxed) >= 40) {
                break;
            }
            let mut web = host.run_with("web", limits);
            web.print(&numbered(session * 300, session * 300 + 300));
            host.stop(&mut web);
            stored.store(session as u64 * 300 + 300, Ordering::Release);
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(
        describe(&view, "web").first_sequence > 0,
        "retention removed nothing"
    );
}

#[test]
fn streams_are_listed_with_their_facts_and_whether_they_run() {
    let mut host = Host::new();
    let mut ended = host.run("ended");
    ended.print(&numbered(0, 1));
    host.stop(&mut ended);
    host.wait_until(|folder| folder.join("container.json").exists(), "ended");
    let mut active = host.run("active");
    active.print(&numbered(0, 1));
    let silent = host.run("silent");
    wait_for(&host.view(), "active", 1);
    fs::create_dir(host.data().join("containers/.removed-gone")).unwrap();

    let view = host.view();
    assert_eq!(view.stream_ids().unwrap(), ["active", "ended"]);
    let known = |listed: &Listed| (listed.container_id.clone(), listed.is_active);
    let streams = view.list().unwrap();
    assert_eq!(
        streams.iter().map(known).collect::<Vec<_>>(),
        [
            ("active".to_owned(), Some(true)),
            ("ended".to_owned(), Some(false)),
            ("silent".to_owned(), Some(true)),
        ]
    );
    for listed in &streams {
        assert_eq!(listed.facts.as_deref().unwrap(), r#"{"name":"web"}"#);
        assert!(
            listed
                .first_started_ns
                .is_some_and(|started_ns| started_ns > 0)
        );
        assert!(listed.first_started_ns <= listed.last_started_ns);
    }
    let page = |after, most| {
        let page = view.list_page(after, most).unwrap();
        let ids = page.into_iter().map(|listed| listed.container_id);
        ids.collect::<Vec<_>>()
    };
    assert_eq!(page("", 2), ["active", "ended"]);
    assert_eq!(page("ended", 2), ["silent"]);
    assert_eq!(page("b", 1), ["ended"]);
    assert!(page("silent", 2).is_empty());
    assert!(view.snapshot("silent").unwrap().is_none());
    drop(silent);

    let from_afar = StoreView::open(&host.data(), None).unwrap();
    let streams = from_afar.list().unwrap();
    assert_eq!(streams.len(), 2);
    assert!(streams.iter().all(|listed| listed.is_active.is_none()));
}

#[test]
fn a_folder_that_is_no_store_is_not_made_one() {
    let folder = tempfile::tempdir().unwrap();
    for data in [folder.path().to_owned(), folder.path().join("missing")] {
        assert!(matches!(
            StoreView::open(&data, None),
            Err(Error::InvalidArgument { .. })
        ));
    }
    assert!(list(folder.path()).is_empty());
}

#[test]
fn of_a_store_that_a_newer_version_wrote_the_folder_beside_it_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("format"), "logboom store 99\n").unwrap();
    assert!(matches!(
        StoreView::open(&data, None),
        Err(Error::UnsupportedFormat { found: 99, .. })
    ));
    let beside = folder.path().join("data-format1");
    fs::create_dir(&beside).unwrap();
    fs::write(beside.join("format"), "logboom store 1\n").unwrap();
    assert_eq!(StoreView::open(&data, None).unwrap().folder(), beside);
}

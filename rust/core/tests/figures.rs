//! What the core tells of itself.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may panic, looks at files, and the core under test goes by the machine's clock, too"
)]

mod support;

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use support::{Host, Line, line};

fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_nanos()).unwrap()
}

#[test]
fn entries_and_bytes_are_counted_by_the_name_of_the_container() {
    let mut host = Host::new();
    let lines: Vec<Line> = (0..100).map(|number| line(number, "x")).collect();
    let mut first = host.run("first");
    first.print(&lines[..60]);
    host.stop(&mut first);
    // Another container of the same name.
    let mut second = host.run("second");
    second.print(&lines[60..]);
    host.stop(&mut second);
    let counted = host.core().traffic().snapshot();
    let bytes = host.counted("intake_bytes_total");
    assert!(bytes > 100 * 4);
    for expected in [(None, 0, 0), (Some("web".to_owned()), 100, bytes)] {
        assert!(counted.contains(&expected), "{counted:?}");
    }
    // A worker that finds the session again knows the name, too.
    let mut third = host.run("third");
    host.restart();
    third.print(&lines);
    host.stop(&mut third);
    let counted = host.core().traffic().snapshot();
    assert!(
        counted
            .iter()
            .any(|(name, entries, _)| name.as_deref() == Some("web") && *entries == 100),
        "{counted:?}"
    );
}

#[test]
fn what_the_store_holds_is_counted_and_each_sync_is_timed() {
    let mut host = Host::new();
    assert_eq!(host.counted("store_segments"), 0);
    let mut container = host.run("web");
    let seconds = now_ns() / 1_000_000_000 - 1_000;
    container.print(&[line(seconds * 1_000_000_000, "x")]);
    host.stop(&mut container);
    host.wait_until(|_| host.counted("store_segments") == 1, "web");
    let (counts, total) = host.core().syncs().snapshot();
    assert!(counts.iter().sum::<u64>() > 0 && !total.is_zero());
    assert_eq!(host.counted("store_streams"), 1);
    // The next worker looks at once, and sees the file's time instead of the entry's.
    host.restart();
    host.wait_until(|_| host.counted("store_oldest_seconds") > 0, "web");
    let oldest = i64::try_from(host.counted("store_oldest_seconds")).unwrap();
    assert!((seconds..=now_ns() / 1_000_000_000).contains(&oldest));
}

#[test]
fn faults_have_names_and_the_first_is_the_fault() {
    let mut host = Host::new();
    assert!(host.core().faults().is_empty());
    assert_eq!(host.core().fault(), None);
    host.core = None;
    fs::write(host.data().join("format"), "logboom store 1000\n").unwrap();
    host.start();
    let faults = host.core().faults();
    assert_eq!(
        faults.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["newer-format"]
    );
    assert_eq!(host.core().fault(), Some(faults[0].1.clone()));
    assert_eq!(
        host.core().folder(),
        host.folder.path().join("data-format1")
    );
}

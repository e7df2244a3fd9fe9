//! A disk that refuses everything: containers go on, and each entry is kept, or one of those that are named as dropped.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

mod mortal;
mod support;

use std::ops::Range;
use std::sync::Arc;

use logboom_core::stream::Progress;
use mortal::MortalDisk;
use rustix::io::Errno;
use support::{Container, Host, Line, line, wait_readable};

/// More than a FIFO and what the reactor takes at a time hold.
const MANY: i64 = 60_000;

fn numbers(range: Range<i64>) -> Vec<Line> {
    range
        .map(|number| line(number, number.to_string()))
        .collect()
}

fn host_on(disk: &MortalDisk) -> Host {
    let mut host = Host::new();
    host.core = None;
    host.start_on(Arc::new(disk.clone()));
    host
}

/// Prints, and waits until the worker has taken all.
fn print(host: &Host, container: &mut Container, range: Range<i64>) {
    container.print(&numbers(range));
    host.core().drain().unwrap();
}

/// How many entries and bytes a gap names, and the reason.
fn gap(found: &Line) -> (i64, String) {
    let text = String::from_utf8(found.text.clone()).unwrap();
    let rest = text.strip_prefix("logboom: ").unwrap();
    let (count, rest) = rest.split_once(" entries (").unwrap();
    let (bytes, rest) = rest.split_once(" bytes) were dropped from 2").unwrap();
    assert!(bytes.parse::<u64>().unwrap() > 0);
    let (_, cause) = rest.split_once("Z: ").unwrap();
    (count.parse().unwrap(), cause.to_owned())
}

fn wait_for_journal(host: &Host) {
    host.wait_until(|_| host.core().fault().is_none(), "web");
}

#[test]
fn what_a_refusing_disk_costs_is_named_to_the_entry_also_by_the_worker_after_a_kill() {
    for (errno, reason) in [
        (Errno::NOSPC, "No space left on device"),
        (Errno::DQUOT, "quota exceeded"),
        (Errno::IO, "Input/output error"),
        (Errno::ROFS, "Read-only file system"),
    ] {
        let disk = MortalDisk::default();
        let mut host = host_on(&disk);
        let mut container = host.run("web");
        print(&host, &mut container, 0..100);
        disk.refuse_with(errno.raw_os_error());
        print(&host, &mut container, 100..MANY);
        host.wait_until(
            |_| {
                host.core()
                    .fault()
                    .is_some_and(|fault| fault.contains(reason))
            },
            "web",
        );
        // What is readable stays readable.
        assert_eq!(host.read_all("web"), numbers(0..100), "{errno}");

        // The worker is killed, and the next one finds the disk no better.
        disk.die_after(0);
        container.print(&numbers(MANY..MANY + 100));
        host.core = None;
        let disk = MortalDisk::default();
        disk.refuse_with(errno.raw_os_error());
        host.start_on(Arc::new(disk.clone()));
        print(&host, &mut container, MANY + 100..MANY + 200);

        disk.refuse_with(0);
        wait_for_journal(&host);
        print(&host, &mut container, MANY + 200..MANY + 300);
        let found = host.read_all("web");
        assert_eq!(found[..100], numbers(0..100), "{errno}");
        let (count, cause) = gap(&found[100]);
        assert_eq!(count, MANY + 100, "{errno}");
        assert!(cause.contains(reason), "{cause}");
        assert_eq!(found[101..], numbers(MANY + 200..MANY + 300), "{errno}");

        // It is told once, also by a worker that comes later.
        disk.die_after(0);
        host.core = None;
        host.start();
        assert_eq!(host.read_all("web"), found, "{errno}");
    }
}

#[test]
fn a_container_that_ends_while_the_disk_refuses_is_told_what_is_missing_later() {
    let disk = MortalDisk::default();
    let mut host = host_on(&disk);
    let mut container = host.run("web");
    print(&host, &mut container, 0..10);
    let mut follower = host.follow("web");
    disk.refuse_with(Errno::NOSPC.raw_os_error());
    print(&host, &mut container, 10..30);
    // It is answered at once, and who follows is at the end.
    assert!(host.stop(&mut container));
    let mut frames = Vec::new();
    while follower.next_frames(1 << 20, &mut frames) != Progress::End {
        wait_readable(&follower);
    }
    assert_eq!(support::decode_frames(&frames), numbers(0..10));

    // The next worker knows no more than what is written down.
    disk.die_after(0);
    host.core = None;
    let disk = MortalDisk::default();
    disk.refuse_with(Errno::NOSPC.raw_os_error());
    host.start_on(Arc::new(disk.clone()));
    host.core().drain().unwrap();
    disk.refuse_with(0);
    host.wait_until(|_| host.read_all("web").len() > 10, "web");
    let found = host.read_all("web");
    assert_eq!(found[..10], numbers(0..10));
    assert_eq!((gap(&found[10]).0, found.len()), (20, 11));

    // Another session of the container, and nothing comes twice.
    let mut container = host.run("web");
    print(&host, &mut container, 30..40);
    assert_eq!(host.read_all("web")[11..], numbers(30..40));
    host.stop(&mut container);
    assert_eq!(host.read_all("web").len(), 21);
}

//! A data folder that a newer version has written.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test looks at files from outside"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{Host, Line, line, list};

const NEWER: &str = "logboom store 2\n";

fn lines(text: &str) -> Vec<Line> {
    (0..100)
        .map(|number| line(number, format!("{text} {number}")))
        .collect()
}

/// A store with one log, as this version writes it, that says it is newer.
fn newer_store(lines: &[Line]) -> Host {
    let mut host = Host::new();
    let mut container = host.run("old");
    container.print(lines);
    host.stop(&mut container);
    host.core = None;
    fs::write(host.data().join("format"), NEWER).unwrap();
    // It is closed, so nothing that this version makes may be there.
    fs::remove_file(host.data().join("lock")).unwrap();
    host
}

fn beside(host: &Host) -> PathBuf {
    host.folder.path().join("data-format1")
}

fn fault(host: &Host) -> String {
    host.core().fault().unwrap_or_default()
}

/// All that is in a folder, with what it holds and when that was changed.
fn picture(folder: &Path) -> Vec<String> {
    let mut seen = Vec::new();
    for name in list(folder) {
        let path = folder.join(name);
        let metadata = fs::metadata(&path).unwrap();
        let content = fs::read(&path).unwrap_or_default();
        seen.push(format!(
            "{} {:?} {content:?}",
            path.display(),
            metadata.modified()
        ));
        if metadata.is_dir() {
            seen.extend(picture(&path));
        }
    }
    seen
}

#[test]
fn it_stays_as_it_is_and_new_entries_are_kept_beside_it() {
    let (old, new, more) = (lines("old"), lines("new"), lines("more"));
    let mut host = newer_store(&old);
    let before = (
        picture(&host.data()),
        fs::metadata(host.data()).unwrap().modified().ok(),
    );
    host.start();
    assert!(host.read_all("old").is_empty());
    assert!(!host.core().has_log("old").unwrap());
    let mut container = host.run("new");
    container.print(&new);
    assert!(host.read_all("new") == new);
    assert!(host.core().has_log("new").unwrap());
    let (data, kept) = (host.data(), beside(&host));
    for said in [
        format!(
            "{} has format 2; this version reads up to 1",
            data.join("format").display()
        ),
        format!("new entries are kept in {} until", kept.display()),
    ] {
        assert!(fault(&host).contains(&said), "{}", fault(&host));
    }

    // The next worker goes on there.
    host.restart();
    container.print(&more);
    host.stop(&mut container);
    assert!(host.read_all("new") == [new, more].concat());
    assert!(host.core().has_log("new").unwrap());
    host.core = None;
    assert!(beside(&host).join("containers/new").exists());
    let after = (
        picture(&host.data()),
        fs::metadata(host.data()).unwrap().modified().ok(),
    );
    assert_eq!(after, before);

    // The newer version is there again: to it, the folder is its own.
    fs::write(host.data().join("format"), "logboom store 1\n").unwrap();
    host.start();
    assert!(host.read_all("old") == old);
    assert_eq!(fault(&host), "");
}

#[test]
fn when_nothing_can_be_kept_beside_it_that_is_a_fault() {
    let mut host = newer_store(&lines("old"));
    fs::write(beside(&host), "a file in the way").unwrap();
    host.start();
    assert!(fault(&host).contains("data-format1"), "{}", fault(&host));
    fs::remove_file(beside(&host)).unwrap();
    let new = lines("new");
    host.run("new").print(&new);
    assert!(host.read_all("new") == new);
    assert!(!host.data().join("lock").exists());
}

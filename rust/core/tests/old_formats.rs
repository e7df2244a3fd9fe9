//! Files of every format that was ever written are read for ever.
//!
//! `tests/fixtures/format/<version>/` holds a stream's folder as that version wrote it, and in `expected.json` the entries that
//! went into it. The Python reader in `tests/format/` reads the same files.
//!
//! `write_file_set` made them. To keep the files of a new version, raise `VERSION`, and run
//! `LOGBOOM_KEEP_FORMAT=tests/fixtures/format cargo test --test old_formats` from the top of the tree; files that are there already are never
//! written again.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may panic, and its files are not the store's"
)]

use std::fmt::Write as _;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logboom_core::disk::SystemDisk;
use logboom_core::journal::{BootId, JournalWriter};
use logboom_core::store::{read_records, record_folder, write_record};
use logboom_core::stream::{
    Boot, CutWhen, GivenOptions, Limits, Progress, Query, Reader, Session, SessionFacts, Stream,
    Tools,
};
use logboom_core::sync_log::SyncWhen;
use logboom_core::wire::{Entry, encode_marked_frame};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const VERSION: &str = "v1";
const CONTAINER: &str = "web";

/// The machine start in the files, which no machine has.
const BOOT_ID: BootId = *b"a start long ago";

/// The two sessions in the files; the first is still running in them.
const RUNNING: u64 = 0x1122_3344_5566_7788;
const OTHER: u64 = 0x99aa_bbcc_ddee_ff00;

/// An entry as it went in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kept {
    source: Vec<u8>,
    time_ns: i64,
    line: Vec<u8>,
    partial: bool,
    last: bool,
    metadata: Option<Vec<u8>>,
    unknown: Vec<u8>,
    is_own: bool,
}

impl Kept {
    fn new(time_ns: i64, line: impl AsRef<[u8]>) -> Self {
        Self {
            source: b"stdout".to_vec(),
            time_ns,
            line: line.as_ref().to_vec(),
            ..Self::default()
        }
    }

    fn on_stderr(self) -> Self {
        Self {
            source: b"stderr".to_vec(),
            ..self
        }
    }

    fn piece(self, ordinal: u8, last: bool) -> Self {
        let mut metadata = if last { vec![8, 1] } else { Vec::new() };
        metadata.extend(b"\x12\x04name\x18");
        metadata.push(ordinal);
        Self {
            partial: true,
            last,
            metadata: Some(metadata),
            ..self
        }
    }

    /// The message as dockerd encodes it, by an encoder of this file's own.
    fn frame(&self) -> Vec<u8> {
        let mut message = Vec::new();
        for (tag, field) in [(10, Some(&self.source)), (26, Some(&self.line))] {
            if tag == 26 && self.time_ns != 0 {
                message.push(16);
                put_varint(u64::from_le_bytes(self.time_ns.to_le_bytes()), &mut message);
            }
            put_field(tag, field.filter(|field| !field.is_empty()), &mut message);
        }
        if self.partial {
            message.extend([32, 1]);
        }
        put_field(42, self.metadata.as_ref(), &mut message);
        message.extend(&self.unknown);
        let mut frame = u32::try_from(message.len()).unwrap().to_be_bytes().to_vec();
        frame.extend(message);
        frame
    }

    fn to_json(&self, sequence: u64) -> Value {
        json!({
            "sequence": sequence,
            "source": to_hex(&self.source),
            "time_ns": self.time_ns,
            "line": to_hex(&self.line),
            "partial": self.partial,
            "last": self.last,
            "metadata": self.metadata.as_deref().map(to_hex),
            "unknown": to_hex(&self.unknown),
            "is_own": self.is_own,
        })
    }

    fn from_json(value: &Value) -> Self {
        Self {
            source: from_hex(&value["source"]).unwrap(),
            time_ns: value["time_ns"].as_i64().unwrap(),
            line: from_hex(&value["line"]).unwrap(),
            partial: value["partial"].as_bool().unwrap(),
            last: value["last"].as_bool().unwrap(),
            metadata: from_hex(&value["metadata"]),
            unknown: from_hex(&value["unknown"]).unwrap(),
            is_own: value["is_own"].as_bool().unwrap(),
        }
    }

    fn read(entry: &Entry<'_>, is_own: bool) -> Self {
        Self {
            source: entry.source.to_vec(),
            time_ns: entry.time_ns,
            line: entry.line.to_vec(),
            partial: entry.partial,
            last: entry.last,
            metadata: entry.metadata.as_deref().map(<[u8]>::to_vec),
            unknown: entry.unknown.to_vec(),
            is_own,
        }
    }
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 127 {
        out.push(u8::try_from(value % 128).unwrap() + 128);
        value /= 128;
    }
    out.push(u8::try_from(value).unwrap());
}

fn put_field(tag: u8, field: Option<&Vec<u8>>, out: &mut Vec<u8>) {
    if let Some(field) = field {
        out.push(tag);
        put_varint(field.len() as u64, out);
        out.extend(field);
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn from_hex(value: &Value) -> Option<Vec<u8>> {
    value
        .as_str()?
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

fn limits(compress: bool) -> Limits {
    Limits {
        segment_bytes: 900,
        stream_bytes: Some(1_000_000),
        max_age_s: None,
        compress,
    }
}

fn session(id: u64, compress: bool) -> Arc<Session> {
    let facts = SessionFacts {
        session: format!("{id:016x}"),
        file: format!("/run/docker/logging/{id:x}"),
        container_id: CONTAINER.to_owned(),
        started_ns: 1_000,
        limits: limits(compress),
        given: None,
        facts: serde_json::from_str(r#"{"name":"/web"}"#).unwrap(),
    };
    Arc::new(Session::new(id, facts, PathBuf::from("/nowhere")))
}

fn open(folder: &Path, boot_id: BootId) -> Arc<Stream> {
    let boot = Boot {
        id: boot_id,
        power_cuts: 0,
    };
    let stream = Stream::new(
        CONTAINER,
        folder.join(CONTAINER),
        Arc::new(SystemDisk),
        boot,
        Arc::default(),
        0,
        SyncWhen::default(),
    );
    Arc::new(stream)
}

fn read(stream: &Arc<Stream>) -> Vec<Kept> {
    let mut reader = Reader::open(stream, &Query::default()).unwrap();
    let mut kept = Vec::new();
    loop {
        match reader.step(&mut |given| kept.push(Kept::read(given.entry, given.is_own))) {
            Progress::More => {}
            Progress::Wait => panic!("a reader that does not follow waits"),
            Progress::End => return kept,
        }
    }
}

/// Appends bytes as the reactor does, through a pipe.
fn take(writer: &mut JournalWriter, bytes: &[u8]) {
    let (read, write) = rustix::pipe::pipe().unwrap();
    rustix::io::write(&write, bytes).unwrap();
    let mut taken = 0;
    while taken < bytes.len() {
        taken += writer.take(read.as_fd(), || Ok(())).unwrap();
    }
    writer.find(&mut Vec::new()).unwrap();
    writer.show();
}

/// Appends entries, and says that they must come back.
fn print(writer: &mut JournalWriter, entries: &[Kept], expected: &mut Vec<Kept>) {
    let frames: Vec<u8> = entries.iter().flat_map(Kept::frame).collect();
    take(writer, &frames);
    expected.extend_from_slice(entries);
}

fn lines(from: i64, count: usize) -> Vec<Kept> {
    (from..)
        .step_by(1_000)
        .take(count)
        .enumerate()
        .map(|(index, time_ns)| Kept::new(time_ns, format!("line {index} since {from}")))
        .collect()
}

/// Everything that a line can be.
fn all_kinds(time_ns: i64) -> Vec<Kept> {
    let plain = |line: &[u8]| Kept::new(time_ns, line);
    vec![
        plain(b""),
        plain(b"a\0b"),
        plain(b"\xff\xfe invalid"),
        plain(b"carriage return\r"),
        plain(b"a newline\nwithin"),
        plain(b"\x28\xb5\x2f\xfd zstd's own magic"),
        plain(b"\x5b\x2a\x4d\x18 and LOGBLOCK"),
        plain(b"an error").on_stderr(),
        Kept::new(time_ns - 500, b"the clock was set back"),
        Kept::new(0, b"no time"),
        Kept::new(-1, b"before the epoch"),
        Kept::new(i64::MAX, b"the last time"),
        Kept::new(i64::MIN, b"the first time"),
        plain(b"first piece, ").piece(1, false),
        plain(b"second piece").piece(2, true),
        plain(b"a piece whose newline comes next").piece(1, false),
        plain(b"").piece(2, true),
        Kept {
            metadata: Some(Vec::new()),
            ..plain(b"empty metadata")
        },
        Kept {
            partial: true,
            ..plain(b"partial without metadata")
        },
        Kept {
            last: true,
            metadata: Some(vec![8, 1]),
            ..plain(b"last, but not partial")
        },
        Kept {
            source: b"another".to_vec(),
            ..plain(b"another source")
        },
        Kept {
            source: Vec::new(),
            ..plain(b"no source")
        },
        Kept {
            unknown: b"\x32\x08\x0a\x01k\x12\x03val\x78\x05".to_vec(),
            ..plain(b"fields that nobody knows yet")
        },
    ]
}

/// Writes one stream with all that the format has, and returns what must come back of it.
fn write_file_set(folder: &Path) -> Vec<Kept> {
    let stream = open(folder, BOOT_ID);
    let mut tools = Tools::default();
    let mut expected = Vec::new();
    let mut cut = || stream.cut(CutWhen::All, 0, &mut tools).unwrap();

    // A segment of two blocks, and its index.
    let running = session(RUNNING, true);
    stream.begin_session(&running);
    let mut first = stream.begin_generation(&running, 0, &[], 5_000).unwrap();
    print(&mut first, &all_kinds(1_000_000), &mut expected);
    cut();
    print(&mut first, &lines(2_000_000, 20), &mut expected);
    cut();
    // A segment without an index, whose text is not compressed: damage and an entry of Logboom's own.
    let other = session(OTHER, false);
    stream.begin_session(&other);
    print(&mut first, &lines(3_000_000, 2), &mut expected);
    let own = Kept {
        source: b"stderr".to_vec(),
        is_own: true,
        ..Kept::new(
            3_500_000,
            "logboom: 7 entries (700 bytes) were dropped in the last 1 s: a disk was full",
        )
    };
    let mut marked = Vec::new();
    let entry = Entry {
        source: &own.source,
        time_ns: own.time_ns,
        line: &own.line,
        ..Entry::default()
    };
    encode_marked_frame(&entry, &mut marked);
    take(&mut first, &marked);
    expected.push(own);
    let damage_at = first.boundary_position();
    take(&mut first, &[0xff; 33]);
    let damage = format!(
        "logboom: 33 bytes from dockerd are no log entry; they are kept in {:020}-{}.damaged",
        0,
        damage_at + 33
    );
    expected.push(Kept {
        source: b"stderr".to_vec(),
        is_own: true,
        ..Kept::new(5_000, damage)
    });
    print(&mut first, &lines(4_000_000, 3), &mut expected);
    cut();
    // Frames of the same generation that lie in no block, and the beginning of one.
    print(&mut first, &all_kinds(5_000_000), &mut expected);
    let torn = Kept::new(5_500_000, "this frame is torn by the other session");
    let mut beginning = torn.frame();
    let rest = beginning.split_off(20);
    take(&mut first, &beginning);
    let position = first.boundary_position();
    let initial = first.close().unwrap();
    assert_eq!(initial, beginning);
    // Another session's generation.
    let mut second = stream.begin_generation(&other, 0, &[], 6_000).unwrap();
    print(&mut second, &lines(6_000_000, 4), &mut expected);
    second.close().unwrap();
    // The first session's next one, which begins with the torn frame and ends with another.
    let mut third = stream
        .begin_generation(&running, position, &initial, 7_000)
        .unwrap();
    take(&mut third, &rest);
    expected.push(torn);
    print(&mut third, &lines(7_000_000, 2), &mut expected);
    take(&mut third, &Kept::new(1, "never whole").frame()[..10]);
    expected
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/format")
}

/// A copy of a version's files that may be changed, and the entries that it must give.
fn copy_of(version: &str) -> (tempfile::TempDir, Vec<Kept>) {
    let copy = tempfile::tempdir().unwrap();
    let from = fixtures().join(version);
    fs::create_dir(copy.path().join(CONTAINER)).unwrap();
    for file in fs::read_dir(from.join(CONTAINER)).unwrap() {
        let file = file.unwrap();
        fs::copy(
            file.path(),
            copy.path().join(CONTAINER).join(file.file_name()),
        )
        .unwrap();
    }
    let text = fs::read_to_string(from.join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let entries = expected["entries"].as_array().unwrap();
    (copy, entries.iter().map(Kept::from_json).collect())
}

fn names(folder: &Path, suffix: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder.join(CONTAINER))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(suffix))
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_set_of_this_version_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let expected = write_file_set(folder.path());
    let stream = open(folder.path(), BOOT_ID);
    stream.begin_session(&session(RUNNING, true));
    assert_eq!(read(&stream), expected);
    assert_eq!(names(folder.path(), ".zst").len(), 2);
    assert_eq!(names(folder.path(), ".journal").len(), 3);
    assert_eq!(names(folder.path(), ".damaged").len(), 1);

    if let Some(kept) = std::env::var_os("LOGBOOM_KEEP_FORMAT") {
        let version = Path::new("../..").join(kept).join(VERSION);
        fs::create_dir_all(version.parent().unwrap()).unwrap();
        fs::create_dir(&version).expect("a version's files are written once");
        write_file_set(&version);
        let entries: Vec<Value> = (0..)
            .zip(&expected)
            .map(|(at, entry)| entry.to_json(at))
            .collect();
        let text = serde_json::to_string_pretty(&json!({"entries": entries})).unwrap();
        fs::write(version.join("expected.json"), text + "\n").unwrap();
    }
}

#[test]
fn version_1_is_read_under_its_own_machine_start() {
    let (folder, expected) = copy_of("v1");
    let stream = open(folder.path(), BOOT_ID);
    assert_eq!(read(&stream), expected);
    // The last frame is torn. It is no entry, and its session goes on with it.
    let running = session(RUNNING, true);
    stream.begin_session(&running);
    let resumed = stream.resume_session(&running).unwrap();
    assert!(!resumed.torn.is_empty());
    assert_eq!(read(&stream), expected);
}

#[test]
fn version_1_goes_on_under_its_own_machine_start() {
    let (folder, mut expected) = copy_of("v1");
    let stream = open(folder.path(), BOOT_ID);
    let next = session(0x1234, true);
    stream.begin_session(&next);
    let mut writer = stream.begin_generation(&next, 0, &[], 9_000).unwrap();
    print(&mut writer, &lines(9_000_000, 5), &mut expected);
    writer.close().unwrap();
    stream.end_session(&next);
    stream.cut(CutWhen::All, 0, &mut Tools::default()).unwrap();
    assert_eq!(read(&stream), expected);
    // The torn frame waits for its session.
    assert_eq!(names(folder.path(), ".journal").len(), 1);
    assert_eq!(read(&open(folder.path(), BOOT_ID)), expected);
}

#[test]
fn journals_of_version_1_are_set_aside_under_another_machine_start() {
    let (folder, expected) = copy_of("v1");
    let journals = names(folder.path(), ".journal");
    let stream = open(folder.path(), *b"a start of today");
    let found = read(&stream);
    assert!(!found.is_empty() && found.len() < expected.len());
    assert_eq!(found, expected[..found.len()]);
    assert_eq!(names(folder.path(), ".journal"), [""; 0]);
    for name in &journals {
        let kept = fs::read(fixtures().join("v1").join(CONTAINER).join(name)).unwrap();
        let lost = folder
            .path()
            .join(CONTAINER)
            .join(name.replace(".journal", ".lost"));
        assert_eq!(fs::read(lost).unwrap(), kept);
    }
    // Numbers that may have been shown are not given again.
    let next = session(0x1234, true);
    stream.begin_session(&next);
    let writer = stream.begin_generation(&next, 0, &[], 9_000).unwrap();
    assert!(writer.generation().header().first_sequence > expected.len() as u64);
    assert!(writer.generation().header().number >= journals.len() as u64);
}

/// What versions before the checksum wrote beside a FIFO.
const RECORD: &str = concat!(
    r#"{"session":"1122334455667788","file":"/run/docker/logging/1f","container_id":"web","started_ns":1000,"#,
    r#""limits":{"segment_bytes":900,"stream_bytes":1000000,"max_age_s":null,"compress":true},"#,
    r#""given":{"max_file":5},"facts":{"id":"web","name":"/web","labels":{"a":"b"}}}"#
);

/// How they read it: members that they do not know are passed over.
#[derive(Deserialize)]
#[allow(dead_code, reason = "it is read, whatever is in it")]
struct EarlierFacts {
    session: String,
    file: String,
    container_id: String,
    started_ns: i64,
    limits: Limits,
    #[serde(default)]
    given: Option<GivenOptions>,
    facts: Box<RawValue>,
}

/// A plugin is upgraded, and put back, under running containers.
#[test]
fn session_records_without_a_checksum_are_read_and_those_with_one_by_earlier_versions() {
    let root = tempfile::tempdir().unwrap();
    let folder = record_folder(root.path());
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("1122334455667788.json");
    fs::write(&path, RECORD).unwrap();
    let mut records = read_records(&SystemDisk, &folder).unwrap();
    assert_eq!(records.damaged, [""; 0].map(PathBuf::from));
    let session = records.sessions.pop().unwrap();
    assert_eq!(session.id, RUNNING);
    write_record(&SystemDisk, &session).unwrap();
    let content = fs::read_to_string(&path).unwrap();
    let (begins, crc) = content.rsplit_once(",\"crc32c\":").unwrap();
    assert_eq!(format!("{begins}}}"), RECORD);
    assert!(crc.strip_suffix('}').unwrap().parse::<u32>().is_ok());
    let read: EarlierFacts = serde_json::from_str(&content).unwrap();
    assert_eq!(read.file, "/run/docker/logging/1f");
    assert_eq!(read.facts.get(), session.facts.facts.get());
}

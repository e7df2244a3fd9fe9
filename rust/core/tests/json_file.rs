//! Lines of json-file logs become the frames that dockerd would have written; what is no line costs itself alone.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

mod kept;

use kept::Kept;
use logboom_core::json_file::{Converted, convert};
use logboom_core::wire::{Entry, Item, MAX_ENTRY_BYTES, STDERR, STDOUT, Step, Walk};

const TIME: &str = "2026-01-31T12:00:00.000000007Z";
const TIME_NS: i64 = 1_769_860_800_000_000_007;

fn line(log: &str) -> String {
    format!("{{\"log\":\"{log}\",\"stream\":\"stdout\",\"time\":\"{TIME}\"}}\n")
}

fn entries(converted: &Converted) -> Vec<Kept> {
    let mut walk = Walk::new(&converted.frames, true);
    let mut found = Vec::new();
    loop {
        match walk.step() {
            Step::Item(Item::Entry(entry)) => found.push(Kept::of(&entry)),
            Step::End => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(converted.entry_count, found.len() as u64);
    found
}

fn kept(text: &[u8]) -> Kept {
    Kept::of(&Entry {
        source: STDOUT,
        time_ns: TIME_NS,
        line: text,
        ..Entry::default()
    })
}

#[test]
fn a_line_becomes_its_entry() {
    let converted = convert(line(r"a \u001b[1m\u00e9\ufffd \u003c\\n\n").as_bytes());
    assert_eq!(
        entries(&converted),
        [kept("a \u{1b}[1mé\u{fffd} <\\n".as_bytes())]
    );
    assert_eq!(converted.damage_count, 0);
}

#[test]
fn stream_attributes_and_zone_are_heeded() {
    let text = br#"{"log":"x\n","stream":"stderr","attrs":{"tag":"{\"log\":\"}"},"time":"2026-01-31T13:00:00.000000007+01:00"}"#;
    let entry = Entry {
        source: STDERR,
        time_ns: TIME_NS,
        line: b"x",
        ..Entry::default()
    };
    assert_eq!(entries(&convert(text)), [Kept::of(&entry)]);
}

#[test]
fn a_piece_of_a_long_line_goes_on() {
    let lines = [line("begin"), line("end\\n"), line("\\n")].concat();
    let begin = Entry {
        source: STDOUT,
        time_ns: TIME_NS,
        line: b"begin",
        partial: true,
        ..Entry::default()
    };
    assert_eq!(
        entries(&convert(lines.as_bytes())),
        [Kept::of(&begin), kept(b"end"), kept(b"")]
    );
}

#[test]
fn what_a_power_cut_leaves_is_passed_over_and_told() {
    let whole = line("whole\\n");
    let torn = whole.get(..20).unwrap();
    let lines = [
        "\0".repeat(4096).as_str(),
        &whole,
        torn,
        &whole,
        "rubbish\n",
        "\n",
        &whole,
        torn,
    ]
    .concat();
    let converted = convert(lines.as_bytes());
    assert_eq!(entries(&converted), [(); 3].map(|()| kept(b"whole")));
    assert_eq!(converted.damage_count, 4);
    let offsets: Vec<usize> = converted.damage.iter().map(|(offset, _)| *offset).collect();
    let second = 4096 + whole.len();
    let rubbish = second + torn.len() + whole.len();
    assert_eq!(offsets, [0, second, rubbish, lines.len() - torn.len()]);
}

#[test]
fn of_much_damage_the_first_ten_are_told_and_all_counted() {
    let converted = convert("{\n".repeat(1000).as_bytes());
    assert_eq!((converted.damage_count, converted.damage.len()), (1000, 10));
}

#[test]
fn a_time_that_no_entry_can_have_is_damage() {
    for time in ["9999-12-31T23:59:59Z", "yesterday", ""] {
        let converted = convert(line("x\\n").replace(TIME, time).as_bytes());
        assert_eq!((converted.entry_count, converted.damage_count), (0, 1));
        assert!(converted.frames.is_empty());
    }
}

#[test]
fn an_entry_has_up_to_as_many_bytes_as_a_frame_may_have() {
    // The message has a source, a time, and the tag and length of the line besides.
    let most = MAX_ENTRY_BYTES - 8 - 10 - 4;
    let longest = "x".repeat(most);
    let converted = convert(line(&format!("{longest}\\n")).as_bytes());
    assert_eq!(entries(&converted), [kept(longest.as_bytes())]);
    assert_eq!(converted.frames.len(), 4 + MAX_ENTRY_BYTES);
    let converted = convert(line(&format!("{longest}x\\n")).as_bytes());
    assert_eq!((converted.entry_count, converted.damage_count), (0, 1));
    assert!(converted.frames.is_empty());
}

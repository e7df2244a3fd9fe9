//! Any bytes as frames: a walk ends, leaves nothing out, finds the same in two pieces as in one, and an entry is what another decoder
//! of protobuf makes of its message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logboom_core::wire::{DecodeError, Entry, Item, Step, Walk, decode, encode_readlogs_frame};
use logboom_fuzz::Kept;
use prost::Message;

/// The fields of a `LogEntry` whose values another decoder knows; its metadata are kept encoded, all of them.
#[derive(Clone, PartialEq, Message)]
struct LogEntry {
    #[prost(bytes = "vec", tag = "1")]
    source: Vec<u8>,
    #[prost(int64, tag = "2")]
    time_nano: i64,
    #[prost(bytes = "vec", tag = "3")]
    line: Vec<u8>,
    #[prost(bool, tag = "4")]
    partial: bool,
    #[prost(bytes = "vec", repeated, tag = "5")]
    metadata: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(bool, tag = "1")]
    last: bool,
}

/// A message of which every field is unknown.
#[derive(Clone, PartialEq, Message)]
struct Nothing {}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Entry(Kept, usize),
    Own(Kept, usize),
    Damage(usize, usize),
}

fn walk(bytes: &[u8], from: usize, is_final: bool, found: &mut Vec<Found>) -> usize {
    let mut walk = Walk::new(&bytes[from..], is_final);
    loop {
        let before = walk.position();
        let step = walk.step();
        let position = from + walk.position();
        match step {
            Step::Item(item) => {
                assert!(walk.position() > before, "a step that goes nowhere");
                found.push(match item {
                    Item::Entry(entry) => Found::Entry(Kept::of(&entry), position),
                    Item::Own(entry) => Found::Own(Kept::of(&entry), position),
                    Item::Damage(damage) => {
                        assert_eq!(damage.len(), walk.position() - before);
                        Found::Damage(damage.len(), position)
                    }
                });
            }
            Step::NeedMore(wanted) => {
                assert!(!is_final && wanted > bytes.len() - position);
                return position;
            }
            Step::End => {
                assert_eq!(position, bytes.len());
                return position;
            }
        }
    }
}

/// Whether another decoder is right to refuse what ours takes, or the other way round.
fn may_differ(
    ours: Result<&Entry<'_>, DecodeError>,
    theirs: Result<&LogEntry, &prost::DecodeError>,
) -> bool {
    match (ours, theirs) {
        // A tenth byte of a varint with more than one bit: we drop what does not fit, as gogo does in dockerd.
        (Ok(_), Err(error)) => error.to_string().contains("invalid varint"),
        // Groups, which proto3 does not have; or what is wrong with the metadata.
        (Err(error), Ok(theirs)) => {
            let mut joined = Vec::new();
            error == DecodeError::WireType
                || theirs.metadata.iter().any(|part| {
                    joined.extend_from_slice(part);
                    Nothing::decode(&joined[..]).is_err()
                })
        }
        _ => true,
    }
}

fn compare(message: &[u8]) {
    let ours = decode(message);
    let theirs = LogEntry::decode(message);
    let (Ok(ours), Ok(theirs)) = (&ours, &theirs) else {
        assert!(may_differ(
            ours.as_ref().map_err(|error| *error),
            theirs.as_ref()
        ));
        return;
    };
    assert_eq!(ours.source, theirs.source);
    assert_eq!(ours.time_ns, theirs.time_nano);
    assert_eq!(ours.line, theirs.line);
    assert_eq!(ours.partial, theirs.partial);
    assert_eq!(ours.metadata.is_some(), !theirs.metadata.is_empty());
    let joined = theirs.metadata.concat();
    assert_eq!(ours.metadata.as_deref().unwrap_or_default(), joined);
    if let Ok(metadata) = Metadata::decode(&joined[..]) {
        assert_eq!(ours.last, metadata.last);
    }
    compare_shown(ours);
}

/// What `ReadLogs` shows of an entry is the entry, for another decoder as well.
fn compare_shown(entry: &Entry<'_>) {
    let mut frame = Vec::new();
    encode_readlogs_frame(entry, &mut frame);
    let (length, message) = frame
        .split_first_chunk::<4>()
        .expect("a frame has a length");
    assert_eq!(u32::from_be_bytes(*length) as usize, message.len());
    let mut line = entry.line.to_vec();
    if !entry.is_continued() {
        line.push(b'\n');
    }
    let again = decode(message).expect("what we write we read");
    assert_eq!(
        Kept {
            line: line.clone(),
            ..Kept::of(entry)
        },
        Kept::of(&again)
    );
    if let Ok(theirs) = LogEntry::decode(message) {
        assert_eq!((theirs.source, theirs.line), (entry.source.to_vec(), line));
        assert_eq!(
            (theirs.time_nano, theirs.partial),
            (entry.time_ns, entry.partial)
        );
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&[high, low], bytes)) = input.split_first_chunk::<2>() else {
        return;
    };
    compare(bytes);
    let mut at_once = Vec::new();
    walk(bytes, 0, true, &mut at_once);
    let split = usize::from(u16::from_be_bytes([high, low])) % (bytes.len() + 1);
    let mut in_two = Vec::new();
    let from = walk(&bytes[..split], 0, false, &mut in_two);
    walk(bytes, from, true, &mut in_two);
    assert_eq!(at_once, in_two);
    // Each entry by itself is what another decoder finds.
    let mut before = 0;
    for found in at_once {
        let behind = match found {
            Found::Entry(_, behind) => {
                compare(&bytes[before + 4..behind]);
                behind
            }
            Found::Own(_, behind) => {
                compare(&bytes[before + 8..behind]);
                behind
            }
            Found::Damage(_, behind) => behind,
        };
        before = behind;
    }
});

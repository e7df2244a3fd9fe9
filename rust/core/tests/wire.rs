//! Frames and entries: whatever dockerd writes comes back equal, whatever else comes is passed over in the same way by
//! everybody.
//!
//! `PROPTEST_CASES=10000 cargo test --test wire` looks longer.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

mod arbitrary;
mod kept;

use arbitrary::{any_entry, bytes_field, cases, framed, number_field, varint};
use kept::Kept;
use logboom_core::wire::{
    DAMAGE_WINDOW_BYTES, DecodeError, Item, MAX_ENTRY_BYTES, STDERR, Step, Walk, decode,
    encode_marked_frame, encode_readlogs_frame,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// The longest message that ends damage (`docs/format.md`).
const STRICT_MAX_BYTES: usize = 64 * 1024;

/// What a walk found, with the position behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Entry(Kept, usize),
    Own(Kept, usize),
    Damage(usize, usize),
}

impl Found {
    fn position(&self) -> usize {
        match self {
            Self::Entry(_, position) | Self::Own(_, position) | Self::Damage(_, position) => {
                *position
            }
        }
    }
}

/// Walks from `from`; returns how many bytes from there on are wanted for more.
fn walk_from(from: usize, bytes: &[u8], is_final: bool, found: &mut Vec<Found>) -> usize {
    let mut walk = Walk::new(&bytes[from..], is_final);
    loop {
        let step = walk.step();
        let position = from + walk.position();
        match step {
            Step::Item(Item::Entry(entry)) => found.push(Found::Entry(Kept::of(&entry), position)),
            Step::Item(Item::Own(entry)) => found.push(Found::Own(Kept::of(&entry), position)),
            Step::Item(Item::Damage(bytes)) => found.push(Found::Damage(bytes.len(), position)),
            Step::NeedMore(wanted) => {
                assert!(!is_final, "a final walk wants more");
                assert!(wanted > bytes.len() - position, "{wanted} bytes are there");
                return position + wanted;
            }
            Step::End => {
                assert_eq!(position, bytes.len());
                return position;
            }
        }
    }
}

fn walk(bytes: &[u8], is_final: bool) -> Vec<Found> {
    let mut found = Vec::new();
    walk_from(0, bytes, is_final, &mut found);
    found
}

/// Walks as bytes arrive, up to each of `ends`; looks only when as much is there as the last look wanted.
fn walk_in_pieces(bytes: &[u8], ends: &[usize]) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut wanted = 0;
    for &end in ends {
        let from = found.last().map_or(0, Found::position);
        if end >= wanted {
            wanted = walk_from(from, &bytes[..end], false, &mut found);
        }
    }
    let from = found.last().map_or(0, Found::position);
    walk_from(from, bytes, true, &mut found);
    found
}

fn damage_bytes(found: &[Found]) -> usize {
    found
        .iter()
        .map(|found| match found {
            Found::Damage(bytes, _) => *bytes,
            Found::Entry(..) | Found::Own(..) => 0,
        })
        .sum()
}

/// A run of journal bytes: frames and what can happen to them.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let small = any_entry()
        .prop_map(|mut entry| {
            entry.line.truncate(300);
            entry
        })
        .boxed();
    let piece = prop_oneof![
        8 => small.clone().prop_map(|entry| entry.frame()),
        2 => small.clone().prop_map(|entry| {
            let mut frame = Vec::new();
            encode_marked_frame(&entry.entry(), &mut frame);
            frame
        }),
        1 => vec(any::<u8>(), 0..40),
        1 => (0_usize..200).prop_map(|length| vec![0; length]),
        // A frame that lost its end, one that lost its beginning, and one with a byte that changed.
        1 => (small.clone(), any::<Index>()).prop_map(|(entry, at)| {
            let frame = entry.frame();
            frame[..at.index(frame.len())].to_vec()
        }),
        1 => (small.clone(), any::<Index>()).prop_map(|(entry, at)| {
            let frame = entry.frame();
            frame[at.index(frame.len())..].to_vec()
        }),
        2 => (small, any::<Index>(), 1..=255_u8).prop_map(|(entry, at, change)| {
            let mut frame = entry.frame();
            let at = at.index(frame.len());
            frame[at] ^= change;
            frame
        }),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn every_entry_comes_back(entry in any_entry()) {
        let message = entry.message();
        prop_assert_eq!(Kept::of(&decode(&message).unwrap()), entry.clone());
        let frame = entry.frame();
        // An empty message is no frame, since dockerd always sets the source.
        let expected = if message.is_empty() {
            Found::Damage(4, 4)
        } else {
            Found::Entry(entry, frame.len())
        };
        prop_assert_eq!(walk(&frame, true), [expected]);
    }

    #[test]
    fn fields_count_in_any_order_and_the_last_of_each(entry in any_entry(), other in any_entry(), from in any::<Index>()) {
        // Fields that are there in both: the later ones count, but metadata is joined.
        let message = [other.message(), entry.message()].concat();
        let found = Kept::of(&decode(&message).unwrap());
        if !entry.source.is_empty() {
            prop_assert_eq!(&found.source, &entry.source);
        }
        if !entry.line.is_empty() {
            prop_assert_eq!(&found.line, &entry.line);
        }
        prop_assert_eq!(found.partial, entry.partial || other.partial);
        let joined = [other.metadata.clone().unwrap_or_default(), entry.metadata.clone().unwrap_or_default()].concat();
        prop_assert_eq!(found.metadata.clone().unwrap_or_default(), joined);
        prop_assert_eq!(found.metadata.is_some(), entry.metadata.is_some() || other.metadata.is_some());
        prop_assert_eq!(found.unknown, [other.unknown, entry.unknown.clone()].concat());
        // The same fields in another order are the same entry.
        let mut fields = entry.fields();
        if !fields.is_empty() {
            let first = from.index(fields.len());
            fields.rotate_left(first);
        }
        prop_assert_eq!(Kept::of(&decode(&fields.concat()).unwrap()), entry);
    }

    #[test]
    fn readlogs_frames_are_those_of_dockerd_with_the_newline(entry in any_entry()) {
        let mut frame = Vec::new();
        encode_readlogs_frame(&entry.entry(), &mut frame);
        let shown = Kept { line: entry.text(), ..entry };
        prop_assert_eq!(frame, shown.frame());
    }

    #[test]
    fn frames_of_the_usual_form_are_not_special(
        time_ns in prop_oneof![any::<i64>(), (0_u32..64).prop_map(|bit| 1_i64 << bit), (0_u32..64).prop_map(|bit| (1_i64 << bit).wrapping_sub(1))],
        length in prop_oneof![0_usize..300, 16_380..16_390_usize],
        is_stderr: bool,
    ) {
        let source: &[u8] = if is_stderr { STDERR } else { b"stdout" };
        let entry = Kept { source: source.to_vec(), ..Kept::line(time_ns, vec![b'l'; length]) };
        prop_assert_eq!(Kept::of(&decode(&entry.message()).unwrap()), entry.clone());
        let mut frame = Vec::new();
        encode_readlogs_frame(&entry.entry(), &mut frame);
        prop_assert_eq!(frame, Kept { line: entry.text(), ..entry }.frame());
    }

    #[test]
    fn varints_may_be_longer_than_they_need(entry in any_entry(), padding in 1_usize..4) {
        // Protobuf allows it, though dockerd does not write it.
        let pad = |value: u64| {
            let mut bytes = varint(value);
            for _ in 0..padding {
                *bytes.last_mut().unwrap() |= 0x80;
                bytes.push(0);
            }
            bytes
        };
        let line = [varint(26), pad(entry.line.len() as u64), entry.line.clone()].concat();
        let message = [bytes_field(1, &entry.source), number_field(2, 5), line].concat();
        let found = Kept::of(&decode(&message).unwrap());
        prop_assert_eq!(found.line, entry.line);
        prop_assert_eq!((found.source, found.time_ns), (entry.source, 5));
    }

    #[test]
    fn a_message_that_is_cut_within_a_field_is_none(entry in any_entry(), at in any::<Index>()) {
        // Unknown fields are cut between one another, too.
        let entry = Kept { time_ns: entry.time_ns | 1, unknown: Vec::new(), ..entry };
        let fields = entry.fields();
        let message = fields.concat();
        let cut = at.index(message.len());
        let mut ends = fields.iter().scan(0, |end, field| { *end += field.len(); Some(*end) });
        let is_between = cut == 0 || ends.any(|end| end == cut);
        prop_assert_eq!(decode(&message[..cut]).is_ok(), is_between);
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(message in vec(any::<u8>(), 0..200)) {
        if let Ok(entry) = decode(&message) {
            // What was understood is kept whole: encoding and decoding again changes nothing.
            let entry = Kept::of(&entry);
            prop_assert_eq!(Kept::of(&decode(&entry.message()).unwrap()), entry);
        }
    }

    #[test]
    fn marked_frames_come_back_and_no_changed_one_does(entry in any_entry(), at in any::<Index>(), change in 1..=255_u8) {
        let mut entry = Kept { time_ns: entry.time_ns | 1, ..entry };
        entry.line.truncate(500);
        let mut frame = Vec::new();
        encode_marked_frame(&entry.entry(), &mut frame);
        prop_assert_eq!(walk(&frame, true), [Found::Own(entry.clone(), frame.len())]);
        let at = at.index(frame.len());
        frame[at] ^= change;
        let is_own = walk(&frame, true).iter().any(|found| matches!(found, Found::Own(..)));
        prop_assert!(!is_own);
    }

    #[test]
    fn a_walk_finds_the_same_however_bytes_arrive(stream in any_stream(), cuts in vec(any::<Index>(), 0..20)) {
        let at_once = walk(&stream, true);
        let every_byte: Vec<usize> = (0..=stream.len().min(3_000)).collect();
        prop_assert_eq!(&walk_in_pieces(&stream, &every_byte), &at_once);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        ends.sort_unstable();
        prop_assert_eq!(&walk_in_pieces(&stream, &ends), &at_once);
        // Nothing is invented, and nothing is left out.
        prop_assert_eq!(at_once.last().map_or(0, Found::position), stream.len());
        // What is known early stays true.
        let early = walk(&stream, false);
        prop_assert_eq!(&early[..], &at_once[..early.len()]);
    }

    #[test]
    fn a_walk_may_begin_again_at_each_boundary(stream in any_stream()) {
        let at_once = walk(&stream, true);
        for (index, found) in at_once.iter().enumerate() {
            let mut rest = Vec::new();
            walk_from(found.position(), &stream, true, &mut rest);
            prop_assert_eq!(&rest[..], &at_once[index + 1..]);
        }
    }

    #[test]
    fn damage_does_not_reach_into_whole_frames_behind_it(
        damage in vec(any::<u8>(), 1..60),
        lines in vec("[ -~]{0,40}", 2..6),
    ) {
        let frames: Vec<Kept> = lines.iter().zip(1_700_000_000_000_000_000..).map(|(line, time_ns)| Kept::line(time_ns, line)).collect();
        let mut stream = damage.clone();
        for frame in &frames {
            stream.extend(frame.frame());
        }
        let found = walk(&stream, true);
        // A damaged length of up to MAX_ENTRY_BYTES may take frames with it only if it decodes, or if it reaches behind the end
        // and the walk is final: then it is damage up to the first strict frame.
        let kept: Vec<&Kept> = found.iter().filter_map(|found| match found {
            Found::Entry(entry, _) => Some(entry),
            Found::Own(..) | Found::Damage(..) => None,
        }).collect();
        let last = frames.last().unwrap();
        prop_assert!(kept.contains(&last), "{:?}", found);
        prop_assert!(damage_bytes(&found) <= stream.len());
    }
}

fn samples() -> Vec<Kept> {
    let piece = |last: bool| Kept {
        partial: true,
        last,
        metadata: Some(
            [
                number_field(1, last.into()),
                bytes_field(2, b"id"),
                number_field(3, 2),
            ]
            .concat(),
        ),
        ..Kept::line(5, "piece")
    };
    vec![
        Kept::line(1_790_000_000_000_000_000, "a line of the usual form"),
        Kept::line(1_790_000_000_000_000_000, ""),
        Kept::line(1, "an early time"),
        piece(false),
        piece(true),
        Kept {
            unknown: number_field(700, 3),
            ..Kept::line(9, "unknown")
        },
        Kept {
            source: b"other".to_vec(),
            ..Kept::line(9, "source")
        },
    ]
}

#[test]
fn a_frame_cut_at_any_byte_waits_and_is_damage_in_the_end() {
    let first = Kept::line(1_790_000_000_000_000_000, "before");
    for entry in samples() {
        let frame = entry.frame();
        for cut in 1..frame.len() {
            let stream = [first.frame(), frame[..cut].to_vec()].concat();
            let before = Found::Entry(first.clone(), first.frame().len());
            assert_eq!(walk(&stream, false), std::slice::from_ref(&before));
            assert_eq!(
                walk(&stream, true),
                [before, Found::Damage(cut, stream.len())]
            );
        }
    }
}

#[test]
fn a_message_of_the_longest_length_is_taken_and_one_byte_more_is_not() {
    let overhead = Kept::line(1_790_000_000_000_000_000, vec![b'x'; MAX_ENTRY_BYTES - 100])
        .message()
        .len()
        - (MAX_ENTRY_BYTES - 100);
    let longest = Kept::line(
        1_790_000_000_000_000_000,
        vec![b'x'; MAX_ENTRY_BYTES - overhead],
    );
    let frame = longest.frame();
    assert_eq!(frame.len(), 4 + MAX_ENTRY_BYTES);
    assert_eq!(walk(&frame, false), [Found::Entry(longest, frame.len())]);

    let longer = Kept::line(
        1_790_000_000_000_000_000,
        vec![b'x'; MAX_ENTRY_BYTES - overhead + 1],
    );
    let after = Kept::line(1_790_000_000_000_000_001, "after");
    let stream = [longer.frame(), after.frame()].concat();
    assert_eq!(
        walk(&stream, false),
        [
            Found::Damage(longer.frame().len(), longer.frame().len()),
            Found::Entry(after, stream.len())
        ]
    );
    // With a mark the length counts the checksum, too.
    let mut marked = Vec::new();
    encode_marked_frame(&longer.entry(), &mut marked);
    assert!(matches!(walk(&marked, true)[..], [Found::Damage(..)]));
}

/// A line whose message is exactly so long.
fn of_message_bytes(bytes: usize) -> Kept {
    let mut line = bytes - 20;
    loop {
        let entry = Kept::line(1_790_000_000_000_000_000, vec![b'x'; line]);
        match entry.message().len().cmp(&bytes) {
            std::cmp::Ordering::Less => line += 1,
            std::cmp::Ordering::Equal => return entry,
            std::cmp::Ordering::Greater => line -= 1,
        }
    }
}

#[test]
fn damage_ends_before_a_frame_up_to_the_strict_length() {
    for (bytes, is_found) in [(STRICT_MAX_BYTES, true), (STRICT_MAX_BYTES + 1, false)] {
        let entry = of_message_bytes(bytes);
        let stream = [vec![0xff; 7], entry.frame()].concat();
        let expected = if is_found {
            vec![Found::Damage(7, 7), Found::Entry(entry, stream.len())]
        } else {
            vec![Found::Damage(stream.len(), stream.len())]
        };
        assert_eq!(walk(&stream, true), expected);
    }
}

#[test]
fn damage_is_closed_at_the_window() {
    let one_short = vec![0xff; DAMAGE_WINDOW_BYTES - 1];
    assert_eq!(walk(&one_short, false), []);
    let whole = vec![0xff; DAMAGE_WINDOW_BYTES];
    let closed = Found::Damage(DAMAGE_WINDOW_BYTES, DAMAGE_WINDOW_BYTES);
    assert_eq!(walk(&whole, false), std::slice::from_ref(&closed));
    // A frame that ends with the window is found in it; one that reaches behind it is not, wherever one looks from.
    let frame = Kept::line(1_790_000_000_000_000_000, "near the end of the window").frame();
    for (before, is_found) in [
        (DAMAGE_WINDOW_BYTES - frame.len(), true),
        (DAMAGE_WINDOW_BYTES - frame.len() + 1, false),
    ] {
        let stream = [vec![0xff; before], frame.clone(), vec![0xff; 10]].concat();
        let found = walk(&stream, true);
        let first = if is_found {
            Found::Damage(before, before)
        } else {
            closed.clone()
        };
        assert_eq!(found[0], first);
        let ends = [
            before,
            before + 20,
            DAMAGE_WINDOW_BYTES - 1,
            DAMAGE_WINDOW_BYTES,
            stream.len(),
        ];
        let mut ends: Vec<usize> = ends
            .into_iter()
            .filter(|&end| end <= stream.len())
            .collect();
        ends.sort_unstable();
        assert_eq!(walk_in_pieces(&stream, &ends), found);
    }
}

#[test]
fn a_damaged_length_hides_what_follows_only_until_as_much_has_come() {
    let hidden: Vec<u8> = (0..50)
        .flat_map(|index| Kept::line(1_790_000_000_000_000_000 + index, "hidden").frame())
        .collect();
    let mut stream = 700_u32.to_be_bytes().to_vec();
    stream.extend(&hidden);
    assert!(stream.len() > 704);
    assert_eq!(walk(&stream[..703], false), []);
    let found = walk(&stream, false);
    assert_eq!(found[0], Found::Damage(4, 4));
    assert_eq!(found.len(), 51);
}

#[test]
fn what_is_no_message_says_why() {
    let cases: [(&[u8], DecodeError); 9] = [
        (b"\x0a\x05abc", DecodeError::Truncated),
        (b"\x10", DecodeError::Truncated),
        (
            b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            DecodeError::VarintTooLong,
        ),
        (b"\x02\x00", DecodeError::FieldNumber),
        (b"\x80\x80\x80\x80\x10\x00", DecodeError::FieldNumber),
        (b"\x08\x01", DecodeError::WireType),
        (b"\x33\x34", DecodeError::WireType),
        (b"\x2a\x02\x0b\x0c", DecodeError::WireType),
        (b"\x2a\x01\x08", DecodeError::Truncated),
    ];
    for (message, why) in cases {
        assert_eq!(decode(message), Err(why), "{message:x?}");
        assert!(matches!(
            walk(&framed(message), true)[..],
            [Found::Damage(..)]
        ));
    }
}

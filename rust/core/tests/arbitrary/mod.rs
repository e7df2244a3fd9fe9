//! Any entry that a message can hold, with an encoder that shares nothing with the core.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test uses a part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

use std::borrow::Cow;

use logboom_core::wire::Entry;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::kept::Kept;

/// How a property is tried: `count` times, or `PROPTEST_CASES` times where that is set.
pub fn cases(count: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(count);
    ProptestConfig {
        cases,
        // A failure is printed with its input; a file beside the sources would be one more thing to keep.
        failure_persistence: None,
        max_shrink_iters: 1_000,
        ..ProptestConfig::default()
    }
}

impl Kept {
    /// A line as dockerd writes nearly all.
    pub fn line(time_ns: i64, line: impl AsRef<[u8]>) -> Self {
        Self {
            source: b"stdout".to_vec(),
            time_ns,
            line: line.as_ref().to_vec(),
            ..Self::default()
        }
    }

    pub fn entry(&self) -> Entry<'_> {
        Entry {
            source: &self.source,
            time_ns: self.time_ns,
            line: &self.line,
            partial: self.partial,
            metadata: self.metadata.as_deref().map(Cow::Borrowed),
            last: self.last,
            unknown: Cow::Borrowed(&self.unknown),
        }
    }

    pub fn is_continued(&self) -> bool {
        self.partial && !self.last
    }

    /// What `zstdcat` shows of it.
    pub fn text(&self) -> Vec<u8> {
        let mut text = self.line.clone();
        if !self.is_continued() {
            text.push(b'\n');
        }
        text
    }

    /// Its fields, in the order in which dockerd writes them.
    pub fn fields(&self) -> Vec<Vec<u8>> {
        let mut fields = Vec::new();
        if !self.source.is_empty() {
            fields.push(bytes_field(1, &self.source));
        }
        if self.time_ns != 0 {
            fields.push(number_field(
                2,
                u64::from_le_bytes(self.time_ns.to_le_bytes()),
            ));
        }
        if !self.line.is_empty() {
            fields.push(bytes_field(3, &self.line));
        }
        if self.partial {
            fields.push(number_field(4, 1));
        }
        if let Some(metadata) = &self.metadata {
            fields.push(bytes_field(5, metadata));
        }
        if !self.unknown.is_empty() {
            fields.push(self.unknown.clone());
        }
        fields
    }

    pub fn message(&self) -> Vec<u8> {
        self.fields().concat()
    }

    pub fn frame(&self) -> Vec<u8> {
        framed(&self.message())
    }
}

/// A message behind its length.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(message);
    frame
}

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 127 {
        bytes.push(u8::try_from(value % 128).unwrap() + 128);
        value /= 128;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

pub fn number_field(number: u64, value: u64) -> Vec<u8> {
    [varint(number * 8), varint(value)].concat()
}

pub fn bytes_field(number: u64, value: &[u8]) -> Vec<u8> {
    [
        varint(number * 8 + 2),
        varint(value.len() as u64),
        value.to_vec(),
    ]
    .concat()
}

/// A field of any wire type.
fn field(numbers: std::ops::Range<u64>) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (numbers.clone(), any::<u64>()).prop_map(|(number, value)| number_field(number, value)),
        (numbers.clone(), vec(any::<u8>(), 0..40))
            .prop_map(|(number, value)| bytes_field(number, &value)),
        (numbers.clone(), any::<[u8; 8]>()).prop_map(|(number, value)| [
            varint(number * 8 + 1),
            value.to_vec()
        ]
        .concat()),
        (numbers, any::<[u8; 4]>()).prop_map(|(number, value)| [
            varint(number * 8 + 5),
            value.to_vec()
        ]
        .concat()),
    ]
}

/// Metadata and what it says of the last piece.
fn metadata() -> impl Strategy<Value = (Vec<u8>, bool)> {
    let id = prop_oneof![Just(Vec::new()), Just(bytes_field(2, &[b'a'; 64]))];
    (
        any::<Option<bool>>(),
        id,
        any::<Option<i32>>(),
        vec(field(4..40), 0..2),
    )
        .prop_map(|(last, id, ordinal, unknown)| {
            let mut encoded = last.map_or(Vec::new(), |last| number_field(1, last.into()));
            encoded.extend(id);
            if let Some(ordinal) = ordinal {
                let ordinal = i64::from(ordinal);
                encoded.extend(number_field(3, u64::from_le_bytes(ordinal.to_le_bytes())));
            }
            encoded.extend(unknown.concat());
            (encoded, last == Some(true))
        })
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "[ -~]{0,60}".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..60),
        1 => vec(prop_oneof![Just(b'\n'), Just(0), Just(b'\r'), Just(b'x')], 0..10),
        1 => (100_usize..20_000, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
    ]
}

/// Any entry.
pub fn any_entry() -> impl Strategy<Value = Kept> {
    let source = prop_oneof![
        4 => Just(b"stdout".to_vec()),
        2 => Just(b"stderr".to_vec()),
        1 => vec(any::<u8>(), 0..12),
    ];
    let time_ns = prop_oneof![
        4 => 1_700_000_000_000_000_000_i64..1_800_000_000_000_000_000,
        1 => any::<i64>(),
        1 => prop_oneof![Just(0), Just(-1), Just(i64::MIN), Just(i64::MAX), Just(1 << 56), Just((1 << 56) - 1)],
    ];
    let partial = prop_oneof![
        6 => Just((false, None)),
        2 => metadata().prop_map(|metadata| (true, Some(metadata))),
        1 => (any::<bool>(), proptest::option::of(metadata())),
    ];
    let unknown = prop_oneof![
        6 => Just(Vec::new()),
        1 => vec(field(6..1 << 29), 1..4).prop_map(|fields| fields.concat()),
    ];
    (source, time_ns, line(), partial, unknown).prop_map(
        |(source, time_ns, line, (partial, metadata), unknown)| Kept {
            source,
            time_ns,
            line,
            partial,
            last: metadata.as_ref().is_some_and(|(_, last)| *last),
            metadata: metadata.map(|(encoded, _)| encoded),
            unknown,
        },
    )
}

//! Entries as dockerd writes them, by an encoder of our own, so that the core is not measured with its own ideas.

use crate::random::Random;

/// Time stamps of a container that prints a thousand lines a second, at random.
pub(crate) const MEAN_GAP_NS: f64 = 1e6;

/// When the first entry was, where it does not matter: in 2023.
pub(crate) const START_NS: i64 = 1_700_000_000_000_000_000;

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_message(line: &[u8], time_ns: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x0a\x06stdout\x10");
    put_varint(time_ns as u64, out);
    if !line.is_empty() {
        out.push(0x1a);
        put_varint(line.len() as u64, out);
        out.extend_from_slice(line);
    }
}

/// Appends what `put` appends, with its length before it; gives that length.
fn put_framed(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) -> [u8; 4] {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    put(out);
    let length = ((out.len() - start - 4) as u32).to_be_bytes();
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length);
    }
    length
}

/// Appends a frame as dockerd writes it into a FIFO.
pub(crate) fn put_frame(line: &[u8], time_ns: i64, out: &mut Vec<u8>) {
    put_framed(out, |out| put_message(line, time_ns, out));
}

/// Appends a record as moby's `local` driver writes it to its file.
pub(crate) fn put_local_record(line: &[u8], time_ns: i64, out: &mut Vec<u8>) {
    let length = put_framed(out, |out| put_message(line, time_ns, out));
    out.extend_from_slice(&length);
}

/// Gives the times of entries, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    random: Random,
    mean_gap_ns: f64,
    now_ns: f64,
    start_ns: i64,
}

impl Times {
    pub(crate) fn new(start_ns: i64, mean_gap_ns: f64) -> Self {
        Self {
            random: Random::new(2),
            mean_gap_ns,
            now_ns: 0.0,
            start_ns,
        }
    }

    pub(crate) fn next_ns(&mut self) -> i64 {
        self.now_ns += self.random.gap(self.mean_gap_ns);
        self.start_ns + self.now_ns as i64
    }
}

impl Default for Times {
    fn default() -> Self {
        Self::new(START_NS, MEAN_GAP_NS)
    }
}

#[cfg(test)]
mod tests {
    use logboom_core::wire::{Item, Step, Walk};

    use super::*;

    #[test]
    fn a_frame_is_what_the_core_takes_for_one() {
        let mut frame = Vec::new();
        put_frame(b"a line", START_NS, &mut frame);
        let mut walk = Walk::new(&frame, true);
        match walk.step() {
            Step::Item(Item::Entry(entry)) => {
                assert_eq!(entry.source, b"stdout");
                assert_eq!(entry.time_ns, START_NS);
                assert_eq!(entry.line, b"a line");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(walk.step(), Step::End);
    }

    #[test]
    fn a_local_record_has_its_length_on_both_sides() {
        let mut record = Vec::new();
        put_local_record(b"a line", START_NS, &mut record);
        let length = (record.len() - 8) as u32;
        assert!(record.starts_with(&length.to_be_bytes()));
        assert!(record.ends_with(&length.to_be_bytes()));
    }
}

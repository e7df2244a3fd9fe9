//! Which entry has which sequence number, by the files of a stream.
#![allow(dead_code, reason = "each test uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use logboom_core::block::Block;
use logboom_core::disk::{Disk, OpenMode};
use logboom_core::segment::SegmentReader;
use logboom_core::wire::{Item, Step, Walk};

use crate::support::Line;

/// A page of a generation, in front of its frames.
const PAGE_BYTES: usize = 4096;

/// All numbers that were ever seen. Two entries never have the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers(BTreeMap<u64, (i64, Vec<u8>)>);

struct Generation {
    number: u64,
    session: u64,
    start: u64,
    first_sequence: u64,
    created_ns: i64,
    boot_id: [u8; 16],
    frames: Vec<u8>,
}

fn read_generation(disk: &dyn Disk, path: &Path) -> Option<Generation> {
    let opened = disk.open(path, OpenMode::Read).ok()?;
    let mut file = vec![0; usize::try_from(opened.bytes().ok()?).unwrap()];
    opened.read_exact_at(&mut file, 0).ok()?;
    if file.len() < PAGE_BYTES || !file.starts_with(b"LOGJRNL1") {
        return None;
    }
    let frames = file.split_off(PAGE_BYTES);
    let word = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    Some(Generation {
        number: word(8),
        session: word(16),
        start: word(24),
        first_sequence: word(32),
        created_ns: i64::from_le_bytes(file[40..48].try_into().unwrap()),
        boot_id: file[56..72].try_into().unwrap(),
        frames,
    })
}

impl Numbers {
    fn add(&mut self, sequence: u64, time_ns: i64, text: &[u8]) {
        let entry = (time_ns, without_name(text).to_vec());
        if let Some(known) = self.0.insert(sequence, entry.clone()) {
            assert!(
                known == entry,
                "{sequence} was the number of {:?}, and is that of {:?}",
                shown(&known),
                shown(&entry)
            );
        }
    }

    /// Looks at the files of a stream. No worker runs, or all lies in blocks.
    pub(crate) fn note(&mut self, disk: &dyn Disk, folder: &Path) {
        self.note_of_boot(disk, folder, None);
    }

    /// Looks at the files of a stream that a power cut may have damaged: what of them counts under this start of the machine.
    pub(crate) fn note_of_boot(&mut self, disk: &dyn Disk, folder: &Path, boot: Option<[u8; 16]>) {
        let listed = disk.list(folder).unwrap_or_default();
        let mut names: Vec<String> = listed.into_iter().map(|file| file.name).collect();
        names.sort();
        let (mut stored, mut block) = (Vec::new(), Block::default());
        for name in names.iter().filter(|name| name.ends_with(".zst")) {
            // Retention may remove it.
            let Ok(reader) = SegmentReader::open(disk, &folder.join(name)) else {
                continue;
            };
            for place in reader.contents().unwrap().blocks {
                let read = reader.read_block(&place, &mut stored, &mut block);
                if read.is_err() && boot.is_some() {
                    continue;
                }
                read.unwrap();
                for (row, sequence) in block.rows().zip(place.first_sequence..) {
                    let entry = row.unwrap().entry;
                    self.add(sequence, entry.time_ns, entry.line);
                }
            }
        }
        let generations: Vec<Generation> = names
            .iter()
            .filter(|name| name.ends_with(".journal"))
            .filter_map(|name| read_generation(disk, &folder.join(name)))
            .filter(|found| boot.is_none_or(|boot| [boot, [0; 16]].contains(&found.boot_id)))
            .collect();
        // A generation counts up to where the next one of its session begins.
        let mut ends = HashMap::new();
        for generation in generations.iter().rev() {
            let end = ends.insert(generation.session, generation.start);
            let bytes = end.map_or(usize::MAX, |end| {
                usize::try_from(end.saturating_sub(generation.start)).unwrap()
            });
            let frames = generation.frames.get(..bytes).unwrap_or(&generation.frames);
            let mut walk = Walk::new(frames, false);
            let mut sequence = generation.first_sequence;
            while let Step::Item(item) = walk.step() {
                match item {
                    Item::Entry(entry) | Item::Own(entry) => {
                        self.add(sequence, entry.time_ns, entry.line);
                    }
                    Item::Damage(bytes) => {
                        let text = format!(
                            "logboom: {} bytes from dockerd are no log entry; they are kept in {:020}-{}.damaged",
                            bytes.len(),
                            generation.number,
                            walk.position()
                        );
                        self.add(sequence, generation.created_ns, text.as_bytes());
                    }
                }
                sequence += 1;
            }
        }
    }

    /// The numbers rise from entry to entry.
    pub(crate) fn check(&self, lines: &[Line]) {
        let mut lines = lines.iter();
        for (sequence, entry) in &self.0 {
            assert!(
                lines.any(|line| line.time_ns == entry.0 && without_name(&line.text) == entry.1),
                "{:?} has the number {sequence}, which is too high for its place",
                shown(entry)
            );
        }
    }
}

/// An entry that stands for damage, without the name of the file that keeps it: a generation that is made anew after a power cut may
/// begin later, and the damage has another name then.
fn without_name(text: &[u8]) -> &[u8] {
    let name = b"they are kept in ";
    let at = text
        .windows(name.len())
        .position(|part| part == name)
        .filter(|_| text.starts_with(b"logboom: "));
    &text[..at.unwrap_or(text.len())]
}

fn shown((time_ns, text): &(i64, Vec<u8>)) -> (i64, String) {
    let text = String::from_utf8_lossy(text);
    (*time_ns, text.chars().take(60).collect())
}

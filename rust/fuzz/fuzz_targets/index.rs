//! A sealed segment of which any bytes are changed, and whose index is given the checksum it would have: a block that is read is one
//! that was written, under its own number. Untouched, the index names what a walk over the headers finds.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use logboom_core::block::{Block, BlockBuilder, Encoder, Origin};
use logboom_core::disk::{Disk, OpenMode};
use logboom_core::segment::{BlockPlace, Rest, SegmentReader, SegmentWriter};
use logboom_core::wire::Entry;
use logboom_fuzz::{Kept, MemoryDisk, put};

const PATH: &str = "/web/00000000000000000000.zst";

/// The entries of each block that was written, with its number.
type Written = Vec<(u64, Vec<Kept>)>;

fn write(disk: &MemoryDisk, blocks: usize) -> Written {
    let mut encoder = Encoder::new(true);
    let mut writer: Option<SegmentWriter> = None;
    let mut written = Written::new();
    let mut sequence = 0;
    for index in 0..blocks {
        let mut builder = BlockBuilder::default();
        let lines: Vec<String> = (0..=index).map(|line| format!("{index} {line}")).collect();
        let entries: Vec<Entry<'_>> = (0..)
            .zip(&lines)
            .map(|(at, line)| Entry::own(at, line))
            .collect();
        for entry in &entries {
            builder.push(entry, false);
        }
        let origin = Origin {
            first_sequence: sequence,
            ..Origin::default()
        };
        let mut block = Vec::new();
        let header = builder
            .finish(origin, &mut encoder, &mut block)
            .expect("there are entries");
        if let Some(writer) = &mut writer {
            writer
                .append(&header, &block)
                .expect("the disk does not fail");
        } else {
            let made = SegmentWriter::create(disk, Path::new("/web"), &header, &block);
            writer = Some(made.expect("the disk does not fail"));
        }
        written.push((sequence, entries.iter().map(Kept::of).collect()));
        sequence = header.end_sequence();
    }
    let mut writer = writer.expect("there is a block");
    writer.seal().expect("the disk does not fail");
    written
}

fn contents(disk: &MemoryDisk) -> (SegmentReader, Vec<BlockPlace>, Rest) {
    let reader = SegmentReader::open(disk, Path::new(PATH)).expect("the file is there");
    let contents = reader.contents().expect("the disk does not fail");
    (reader, contents.blocks, contents.rest)
}

fn check(disk: &MemoryDisk, written: &Written) {
    let (reader, blocks, _) = contents(disk);
    let (mut stored, mut block) = (Vec::new(), Block::default());
    for place in &blocks {
        if reader.read_block(place, &mut stored, &mut block).is_err() {
            continue;
        }
        let found: Vec<Kept> = block
            .rows()
            .map(|row| Kept::of(&row.expect("what was written agrees with itself").entry))
            .collect();
        assert!(written.contains(&(place.first_sequence, found)));
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, edits)) = input.split_first() else {
        return;
    };
    let disk = MemoryDisk::default();
    let written = write(&disk, usize::from(first % 4) + 1);
    let (_, indexed, rest) = contents(&disk);
    assert!(rest == Rest::Index && indexed.len() == written.len());
    let file = disk
        .open(Path::new(PATH), OpenMode::Write)
        .expect("the file is there");
    let length = file.bytes().expect("the disk does not fail");
    let mut content = vec![0; usize::try_from(length).expect("it is small")];
    file.read_exact_at(&mut content, 0)
        .expect("the disk does not fail");
    let index_bytes = 8 + 56 * written.len() + 24;
    let at = content.len() - index_bytes;

    // Without its index, a walk finds the same.
    file.truncate(at as u64).expect("the disk does not fail");
    assert_eq!(contents(&disk).1, indexed);

    for edit in edits.chunks_exact(3) {
        // From the end, so that small numbers hit the index.
        let back = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % content.len();
        let place = content.len() - 1 - back;
        content[place] = edit[2];
    }
    file.write_all_at(&content, 0)
        .expect("the disk does not fail");
    check(&disk, &written);
    let crc = crc32c::crc32c(&content[at..content.len() - 12]);
    let crc_at = content.len() - 12;
    put(&mut content, crc_at, crc);
    file.write_all_at(&content, 0)
        .expect("the disk does not fail");
    check(&disk, &written);
});

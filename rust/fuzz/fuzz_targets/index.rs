//! A sealed segment of which any bytes are changed, and whose index is given the checksum it would have: a block that is read is one
//! that was written, under its own number. Untouched, the index names what a walk over the headers finds.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use logboom_core::block::{Block, BlockBuilder, Encoder, Origin};
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

fn check(content: &[u8], written: &Written) {
    let disk = MemoryDisk::with_file(Path::new(PATH), content);
    let (reader, blocks, _) = contents(&disk);
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

/// A sealed segment that was checked: its bytes, where its index begins, and what is in it.
struct Sealed {
    content: Vec<u8>,
    index_at: usize,
    written: Written,
}

fn seal(blocks: usize) -> Sealed {
    let disk = MemoryDisk::default();
    let written = write(&disk, blocks);
    let (_, indexed, rest) = contents(&disk);
    assert!(rest == Rest::Index && indexed.len() == written.len());
    let content = disk.get(Path::new(PATH)).expect("it was written");
    let index_at = content.len() - (8 + 56 * written.len() + 24);

    // Without its index, a walk finds the same.
    disk.put(Path::new(PATH), &content[..index_at]);
    assert_eq!(contents(&disk).1, indexed);
    Sealed {
        content,
        index_at,
        written,
    }
}

thread_local! {
    /// Of one block and of more. They are always the same, and take longer to make than to be read.
    static SEALED: Vec<Sealed> = (1..=4).map(seal).collect();
}

fn check_changed(sealed: &Sealed, edits: &[u8]) {
    let mut content = sealed.content.clone();
    for edit in edits.chunks_exact(3) {
        // From the end, so that small numbers hit the index.
        let back = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % content.len();
        let place = content.len() - 1 - back;
        content[place] = edit[2];
    }
    check(&content, &sealed.written);
    let crc_at = content.len() - 12;
    let crc = crc32c::crc32c(&content[sealed.index_at..crc_at]);
    put(&mut content, crc_at, crc);
    check(&content, &sealed.written);
}

fuzz_target!(|input: &[u8]| {
    if let Some((&first, edits)) = input.split_first() {
        SEALED.with(|sealed| check_changed(&sealed[usize::from(first) % sealed.len()], edits));
    }
});

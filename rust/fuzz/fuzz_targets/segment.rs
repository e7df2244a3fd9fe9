//! Any bytes as a segment: it is opened, its blocks lie in it and follow one another, and each is read or refused.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use logboom_core::block::Block;
use logboom_core::segment::{Rest, SegmentReader, SegmentWriter};
use logboom_fuzz::{MemoryDisk, mend_block, put};

const PREAMBLE_BYTES: usize = 9;
const ROW_BYTES: usize = 56;
const TRAILER_BYTES: usize = 24;

fn read(content: &[u8]) {
    let path = Path::new("/web/00000000000000000000.zst");
    let disk = MemoryDisk::with_file(path, content);
    let reader = SegmentReader::open(&disk, path).expect("the file is there");
    let contents = reader.contents().expect("the disk does not fail");
    let (mut stored, mut block) = (Vec::new(), Block::default());
    for place in &contents.blocks {
        let is_read = reader.read_block(place, &mut stored, &mut block).is_ok();
        assert!(!is_read || reader.header(place).is_ok());
        if is_read {
            assert!(block.rows().count() <= place.entry_count as usize);
        }
    }
    if contents.rest == Rest::Index {
        return;
    }
    let mut end = PREAMBLE_BYTES as u64;
    for place in &contents.blocks {
        assert!(place.offset >= end);
        end = place.offset + place.bytes;
        assert!(end <= content.len() as u64);
    }
    let whole = reader
        .whole_blocks(contents.blocks)
        .expect("the disk does not fail");
    // What is left can be gone on with, and sealed.
    if let Some(last) = whole.last().copied() {
        let count = whole.len();
        let mut writer = SegmentWriter::resume(&disk, path, whole).expect("the disk does not fail");
        assert_eq!(writer.bytes(), last.offset + last.bytes);
        writer.seal().expect("the disk does not fail");
        let sealed = SegmentReader::open(&disk, path).and_then(|reader| reader.contents());
        let sealed = sealed.expect("the disk does not fail");
        assert!(sealed.rest == Rest::Index && sealed.blocks.len() == count);
    }
}

/// An index of any bytes: as many rows as there is room for, and all around them right.
fn mend_index(content: &mut [u8]) {
    let Some(rows) = content
        .len()
        .checked_sub(PREAMBLE_BYTES + 8 + TRAILER_BYTES)
    else {
        return;
    };
    let count = rows / ROW_BYTES;
    let length = 8 + count * ROW_BYTES + TRAILER_BYTES;
    let at = content.len() - length;
    let frame = &mut content[at..];
    let word = |value: usize| u32::try_from(value).expect("inputs are small");
    put(frame, 0, 0x184D_2A5B);
    put(frame, 4, word(length - 8));
    put(frame, length - 24, word(count));
    put(frame, length - 20, 1);
    put(frame, length - 16, word(length));
    let crc = crc32c::crc32c(&frame[..length - 12]);
    put(frame, length - 12, crc);
    frame[length - 8..].copy_from_slice(b"LOGINDEX");
}

fuzz_target!(|input: &[u8]| {
    read(input);
    let mut with_block = input.to_vec();
    if let Some(block) = with_block.get_mut(PREAMBLE_BYTES..) {
        mend_block(block);
    }
    read(&with_block);
    let mut with_index = input.to_vec();
    mend_index(&mut with_index);
    read(&with_index);
});

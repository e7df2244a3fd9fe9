//! Blocks and segments: what goes in comes out, and no changed byte ever comes out as an entry.
//!
//! `PROPTEST_CASES=10000 cargo test --test blocks` looks longer.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may panic, and its files are not the store's"
)]

mod arbitrary;
mod kept;

use std::path::Path;

use arbitrary::{any_entry, cases};
use kept::Kept;
use logboom_core::block::{
    BLOCK_PREFIX_BYTES, BLOCK_TARGET_BYTES, Block, BlockBuilder, BlockHeader, Encoder,
    MAX_COLUMN_BYTES, Origin,
};
use logboom_core::disk::SystemDisk;
use logboom_core::segment::{BlockPlace, Rest, SegmentReader, SegmentWriter};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

const FLAGS: u16 = 1;
const EXTRAS: u16 = 4;
const AS_IT_IS: u16 = 0;
const ZSTD: u16 = 1;

/// An entry, and whether Logboom wrote it.
type Row = (Kept, bool);

fn origin(first_sequence: u64) -> Origin {
    Origin {
        first_sequence,
        session: 7,
        generation: 3,
        position_from: 1_000,
        position_to: 2_000,
    }
}

fn build_at(rows: &[Row], first_sequence: u64, compress: bool) -> (BlockHeader, Vec<u8>) {
    let mut builder = BlockBuilder::default();
    for (entry, is_own) in rows {
        builder.push(&entry.entry(), *is_own);
    }
    let mut block = Vec::new();
    let header = builder
        .finish(
            origin(first_sequence),
            &mut Encoder::new(compress),
            &mut block,
        )
        .unwrap();
    (header, block)
}

fn build(rows: &[Row], compress: bool) -> (BlockHeader, Vec<u8>) {
    build_at(rows, 42, compress)
}

/// Reads a block from its bytes alone; an error is what a reader would say.
fn read_with(block: &[u8], memory: &mut Block) -> Result<Vec<Row>, &'static str> {
    let (prefix, body) = block
        .split_first_chunk::<BLOCK_PREFIX_BYTES>()
        .ok_or("cut short")?;
    let header = BlockHeader::decode(prefix)?;
    memory.decode(&header, body)?;
    memory
        .rows()
        .map(|row| row.map(|row| (Kept::of(&row.entry), row.is_own)))
        .collect()
}

fn read(block: &[u8]) -> Result<Vec<Row>, &'static str> {
    read_with(block, &mut Block::default())
}

fn text_of(rows: &[Row]) -> Vec<u8> {
    rows.iter().flat_map(|(entry, _)| entry.text()).collect()
}

/// What zstd makes of bytes: skippable frames are passed over.
fn decompress(bytes: &[u8], most: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(most);
    zstd_safe::DCtx::create()
        .decompress(&mut text, bytes)
        .unwrap();
    text
}

fn any_rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    vec((any_entry(), prop::bool::weighted(0.1)), 1..most)
}

/// A small block with every column.
fn sample() -> Vec<Row> {
    let rows = [
        Kept::line(1_790_000_000_000_000_000, "the first line"),
        Kept {
            source: b"stderr".to_vec(),
            ..Kept::line(1_790_000_000_000_000_500, "a newline\nwithin")
        },
        Kept {
            partial: true,
            metadata: Some(b"\x12\x02id\x18\x01".to_vec()),
            ..Kept::line(1_790_000_000_000_000_400, "a piece")
        },
        Kept {
            source: b"other".to_vec(),
            unknown: b"\x32\x01x".to_vec(),
            ..Kept::line(0, "")
        },
    ];
    rows.map(|entry| (entry, false)).to_vec()
}

/// The sections of a block: type, codec, raw bytes, content.
fn sections_of(block: &[u8]) -> Vec<(u16, u16, u32, Vec<u8>)> {
    let header = BlockHeader::decode(block.first_chunk().unwrap()).unwrap();
    let mut rest = &block[BLOCK_PREFIX_BYTES..BLOCK_PREFIX_BYTES + header.sections_bytes as usize];
    let mut sections = Vec::new();
    while !rest.is_empty() {
        let word = |at: usize| u32::from_le_bytes(*rest[at..].first_chunk().unwrap());
        let half = |at: usize| u16::from_le_bytes(*rest[at..].first_chunk().unwrap());
        let stored = word(8) as usize;
        sections.push((half(0), half(2), word(4), rest[12..12 + stored].to_vec()));
        rest = &rest[12 + stored..];
    }
    sections
}

/// A block with other sections, and all lengths and checksums in order.
fn with_sections(block: &[u8], sections: &[(u16, u16, u32, Vec<u8>)]) -> Vec<u8> {
    let header = BlockHeader::decode(block.first_chunk().unwrap()).unwrap();
    let text = &block[BLOCK_PREFIX_BYTES + header.sections_bytes as usize..];
    let mut encoded = Vec::new();
    for (kind, codec, raw, content) in sections {
        encoded.extend(kind.to_le_bytes());
        encoded.extend(codec.to_le_bytes());
        encoded.extend(raw.to_le_bytes());
        encoded.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        encoded.extend(content);
    }
    let mut prefix = block[..BLOCK_PREFIX_BYTES].to_vec();
    let length = u32::try_from(encoded.len()).unwrap();
    prefix[4..8].copy_from_slice(&(128 + length).to_le_bytes());
    prefix[20..24].copy_from_slice(&length.to_le_bytes());
    prefix[96..100].copy_from_slice(&crc32c::crc32c(&encoded).to_le_bytes());
    seal_header(&mut prefix);
    [prefix, encoded, text.to_vec()].concat()
}

fn seal_header(prefix: &mut [u8]) {
    let crc = crc32c::crc32c(&prefix[..BLOCK_PREFIX_BYTES - 4]);
    prefix[BLOCK_PREFIX_BYTES - 4..BLOCK_PREFIX_BYTES].copy_from_slice(&crc.to_le_bytes());
}

fn raw_bytes(content: &[u8]) -> u32 {
    u32::try_from(content.len()).unwrap()
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn every_block_comes_back(rows in any_rows(40), compress: bool) {
        let (header, block) = build(&rows, compress);
        prop_assert_eq!(read(&block).unwrap(), rows.clone());
        prop_assert_eq!(header.block_bytes(), block.len() as u64);
        prop_assert_eq!(BlockHeader::decode(block.first_chunk().unwrap()).unwrap(), header.clone());
        prop_assert_eq!(header.entry_count as usize, rows.len());
        prop_assert_eq!((header.first_sequence, header.end_sequence()), (42, 42 + rows.len() as u64));
        prop_assert_eq!(Some(header.min_time_ns), rows.iter().map(|(entry, _)| entry.time_ns).min());
        prop_assert_eq!(Some(header.max_time_ns), rows.iter().map(|(entry, _)| entry.time_ns).max());
        prop_assert_eq!((header.session, header.generation), (7, 3));
        prop_assert_eq!((header.position_from, header.position_to), (1_000, 2_000));
    }

    #[test]
    fn zstd_shows_the_lines_of_a_block_and_nothing_else(rows in any_rows(40), compress: bool) {
        let text = text_of(&rows);
        let (header, block) = build(&rows, compress);
        prop_assert_eq!(header.text_bytes as usize, text.len());
        prop_assert_eq!(decompress(&block, text.len()), text);
    }

    #[test]
    fn memory_that_held_another_block_changes_nothing(first in any_rows(40), second in any_rows(10)) {
        let mut memory = Block::default();
        prop_assert_eq!(read_with(&build(&first, true).1, &mut memory).unwrap(), first);
        prop_assert_eq!(read_with(&build(&second, false).1, &mut memory).unwrap(), second);
    }

    #[test]
    fn a_builder_that_made_another_block_changes_nothing(first in any_rows(10), second in any_rows(10)) {
        let mut builder = BlockBuilder::default();
        let (mut encoder, mut bytes) = (Encoder::new(true), Vec::new());
        for rows in [&first, &second] {
            for (entry, is_own) in rows {
                builder.push(&entry.entry(), *is_own);
            }
            builder.finish(origin(42), &mut encoder, &mut bytes).unwrap();
        }
        prop_assert_eq!(bytes, [build(&first, true).1, build(&second, true).1].concat());
    }

    #[test]
    fn changed_bytes_of_a_block_are_noticed(rows in any_rows(20), at in vec((any::<Index>(), 1..=255_u8), 1..4)) {
        let (_, block) = build(&rows, true);
        let mut changed = block.clone();
        for (at, change) in at {
            let at = at.index(block.len());
            changed[at] ^= change;
        }
        if changed != block {
            prop_assert!(read(&changed).is_err());
        }
    }

    /// The checksums are right, but what they cover is not: a mistake of a writer, or somebody's own work.
    #[test]
    fn sections_that_contradict_each_other_are_an_error_and_never_a_panic(
        rows in any_rows(20),
        kind in 0_u16..6,
        content in vec(any::<u8>(), 0..60),
        codec in 0_u16..3,
        raw in prop_oneof![0_u32..100, Just(MAX_COLUMN_BYTES), Just(MAX_COLUMN_BYTES + 1), Just(u32::MAX)],
    ) {
        let (_, block) = build(&rows, true);
        let mut sections = sections_of(&block);
        sections.retain(|(other, ..)| *other != kind);
        sections.push((kind, codec, raw, content));
        let changed = with_sections(&block, &sections);
        if let Ok(found) = read(&changed) {
            prop_assert_eq!(found.len(), rows.len());
        }
    }

    #[test]
    fn sections_of_later_versions_are_passed_over(
        rows in any_rows(20),
        kind in 5_u16..,
        codec: u16,
        raw: u32,
        content in vec(any::<u8>(), 0..60),
        at in any::<Index>(),
    ) {
        let (_, block) = build(&rows, true);
        let mut sections = sections_of(&block);
        let at = at.index(sections.len() + 1);
        sections.insert(at, (kind, codec, raw, content));
        let later = with_sections(&block, &sections);
        prop_assert_eq!(read(&later).unwrap(), rows.clone());
        let text = text_of(&rows);
        prop_assert_eq!(decompress(&later, text.len()), text);
    }

    #[test]
    fn a_segment_gives_its_blocks_back(blocks in vec(any_rows(8), 1..6), is_sealed: bool) {
        let folder = tempfile::tempdir().unwrap();
        let (path, expected) = write_segment(folder.path(), &blocks, is_sealed);
        let reader = SegmentReader::open(&SystemDisk, &path).unwrap();
        let contents = reader.contents().unwrap();
        prop_assert_eq!(contents.rest, if is_sealed { Rest::Index } else { Rest::Torn });
        prop_assert_eq!(contents.blocks.len(), blocks.len());
        prop_assert_eq!(read_segment(&path), expected);
        let text: Vec<u8> = blocks.iter().flat_map(|rows| text_of(rows)).collect();
        prop_assert_eq!(decompress(&std::fs::read(&path).unwrap(), text.len()), text);
    }

    #[test]
    fn a_segment_that_is_cut_gives_the_blocks_before(blocks in vec(any_rows(4), 1..5), is_sealed: bool, cut in any::<Index>()) {
        let folder = tempfile::tempdir().unwrap();
        let (path, expected) = write_segment(folder.path(), &blocks, is_sealed);
        let content = std::fs::read(&path).unwrap();
        let cut = cut.index(content.len());
        std::fs::write(&path, &content[..cut]).unwrap();
        let reader = SegmentReader::open(&SystemDisk, &path).unwrap();
        let contents = reader.contents().unwrap();
        prop_assert_eq!(contents.rest, Rest::Torn);
        let found = read_segment(&path);
        prop_assert_eq!(&found[..], &expected[..found.len()]);
        let ends: Vec<u64> = contents.blocks.iter().map(|block| block.offset + block.bytes).collect();
        prop_assert!(ends.iter().all(|&end| end <= cut as u64));
        // It goes on behind the last whole block.
        if !contents.blocks.is_empty() {
            let rows = sample();
            let sequence = contents.blocks.last().unwrap().end_sequence();
            let mut writer = SegmentWriter::resume(&SystemDisk, &path, contents.blocks).unwrap();
            let (header, block) = build_at(&rows, sequence, true);
            writer.append(&header, &block).unwrap();
            writer.seal().unwrap();
            writer.sync(&SystemDisk).unwrap();
            let mut found = found;
            found.push(Ok(rows));
            prop_assert_eq!(read_segment(&path), found);
        }
    }

    #[test]
    fn a_changed_byte_of_a_segment_costs_its_own_block(blocks in vec(any_rows(4), 1..5), is_sealed: bool, at in any::<Index>(), change in 1..=255_u8) {
        let folder = tempfile::tempdir().unwrap();
        let (path, expected) = write_segment(folder.path(), &blocks, is_sealed);
        let places = SegmentReader::open(&SystemDisk, &path).unwrap().contents().unwrap().blocks;
        let mut content = std::fs::read(&path).unwrap();
        let at = at.index(content.len());
        content[at] ^= change;
        std::fs::write(&path, &content).unwrap();
        let is_hit = |index: usize| {
            let place = places[index];
            (place.offset..place.offset + place.bytes).contains(&(at as u64))
        };
        for (index, found) in read_segment(&path).into_iter().enumerate() {
            if is_hit(index) {
                prop_assert!(found.is_err());
            } else {
                prop_assert_eq!(&found, &expected[index]);
            }
        }
        if is_sealed && (0..places.len()).any(is_hit) {
            prop_assert_eq!(read_segment(&path).len(), blocks.len());
        }
    }
}

/// Writes a segment; returns what must come of each block.
fn write_segment(
    folder: &Path,
    blocks: &[Vec<Row>],
    is_sealed: bool,
) -> (std::path::PathBuf, Vec<Result<Vec<Row>, String>>) {
    let mut sequence = 0;
    let mut writer: Option<SegmentWriter> = None;
    for rows in blocks {
        let (header, block) = build_at(rows, sequence, true);
        sequence = header.end_sequence();
        match &mut writer {
            Some(writer) => writer.append(&header, &block).unwrap(),
            None => {
                writer = Some(SegmentWriter::create(&SystemDisk, folder, &header, &block).unwrap());
            }
        }
    }
    let mut writer = writer.unwrap();
    writer.sync(&SystemDisk).unwrap();
    if is_sealed {
        writer.seal().unwrap();
        writer.sync(&SystemDisk).unwrap();
    }
    let path = folder.join("00000000000000000000.zst");
    (path, blocks.iter().cloned().map(Ok).collect())
}

/// What a reader finds in each block that it sees.
fn read_segment(path: &Path) -> Vec<Result<Vec<Row>, String>> {
    let reader = SegmentReader::open(&SystemDisk, path).unwrap();
    let (mut stored, mut memory) = (Vec::new(), Block::default());
    let blocks = reader.contents().unwrap().blocks;
    blocks
        .iter()
        .map(|place| {
            reader
                .read_block(place, &mut stored, &mut memory)
                .map_err(|error| error.to_string())?;
            memory
                .rows()
                .map(|row| row.map(|row| (Kept::of(&row.entry), row.is_own)))
                .collect::<Result<_, _>>()
                .map_err(ToOwned::to_owned)
        })
        .collect()
}

#[test]
fn every_change_of_one_byte_is_noticed() {
    for compress in [true, false] {
        let (_, block) = build(&sample(), compress);
        for at in 0..block.len() {
            for change in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                let mut changed = block.clone();
                changed[at] ^= change;
                assert!(read(&changed).is_err(), "byte {at} changed by {change}");
            }
        }
    }
}

#[test]
fn a_block_cut_at_any_byte_is_noticed() {
    let (_, block) = build(&sample(), true);
    for cut in 0..block.len() {
        assert!(read(&block[..cut]).is_err(), "cut at {cut}");
    }
    assert!(read(&[block, vec![0]].concat()).is_err());
}

#[test]
fn a_block_of_nothing_is_not_made() {
    let mut out = Vec::new();
    let made = BlockBuilder::default().finish(origin(0), &mut Encoder::new(true), &mut out);
    assert!(made.is_none() && out.is_empty());
}

#[test]
fn a_block_whose_text_is_empty_comes_back() {
    let piece = Kept {
        partial: true,
        ..Kept::line(5, "")
    };
    for compress in [true, false] {
        let rows = vec![(piece.clone(), false); 3];
        let (header, block) = build(&rows, compress);
        assert_eq!(header.text_bytes, 0);
        assert_eq!(read(&block).unwrap(), rows);
    }
}

#[test]
fn a_block_at_its_target_with_the_longest_entry_comes_back() {
    let target = usize::try_from(BLOCK_TARGET_BYTES).unwrap();
    for compress in [true, false] {
        let mut rows = vec![(Kept::line(1, vec![b'x'; target - 50]), false)];
        rows.push((Kept::line(2, vec![b'y'; 999_950]), false));
        let (header, block) = build(&rows, compress);
        assert!(header.text_bytes < MAX_COLUMN_BYTES);
        assert!(read(&block).unwrap() == rows);
    }
}

#[test]
fn a_block_that_asks_for_more_memory_than_any_is_refused() {
    let (_, block) = build(&sample(), true);
    let mut changed = block.clone();
    changed[28..32].copy_from_slice(&(MAX_COLUMN_BYTES + 1).to_le_bytes());
    seal_header(&mut changed);
    assert_eq!(read(&changed), Err("a block header is impossible"));

    let mut sections = sections_of(&block);
    for section in &mut sections {
        if section.0 == EXTRAS {
            *section = (EXTRAS, ZSTD, u32::MAX, section.3.clone());
        }
    }
    assert!(read(&with_sections(&block, &sections)).is_err());
}

#[test]
fn a_codec_of_a_later_version_is_said_where_the_section_is_needed() {
    let (_, block) = build(&sample(), true);
    let mut sections = sections_of(&block);
    for section in &mut sections {
        if section.0 == FLAGS {
            section.1 = 9;
        }
    }
    let found = read(&with_sections(&block, &sections)).unwrap_err();
    assert!(found.contains("does not know"), "{found}");
}

#[test]
fn a_block_of_a_later_version_is_said_to_be_one() {
    let (_, mut block) = build(&sample(), true);
    block[16..20].copy_from_slice(&2_u32.to_le_bytes());
    seal_header(&mut block);
    let found = read(&block).unwrap_err();
    assert!(found.contains("does not know"), "{found}");
}

#[test]
fn an_empty_column_may_be_left_out_and_an_unneeded_one_may_be_there() {
    let rows = vec![(Kept::line(3, "line"), false)];
    let (_, block) = build(&rows, true);
    let mut sections = sections_of(&block);
    assert_eq!(sections.len(), 2);
    sections.push((EXTRAS, AS_IT_IS, 0, Vec::new()));
    assert_eq!(read(&with_sections(&block, &sections)).unwrap(), rows);
    sections.retain(|(kind, ..)| *kind != FLAGS);
    assert!(read(&with_sections(&block, &sections)).is_err());
}

#[test]
fn a_segment_whose_index_is_damaged_is_walked() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = vec![sample(), sample(), sample()];
    let (path, expected) = write_segment(folder.path(), &blocks, true);
    let content = std::fs::read(&path).unwrap();
    let index = content.len() - (8 + 3 * 56 + 24);
    for at in index..content.len() {
        let mut changed = content.clone();
        changed[at] ^= 0x10;
        std::fs::write(&path, &changed).unwrap();
        let reader = SegmentReader::open(&SystemDisk, &path).unwrap();
        let contents = reader.contents().unwrap();
        assert_eq!(contents.blocks.len(), 3, "byte {at}");
        assert_ne!(contents.rest, Rest::Index, "byte {at}");
        assert_eq!(read_segment(&path), expected);
    }
}

#[test]
fn a_place_beyond_the_end_of_a_segment_takes_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = write_segment(folder.path(), &[sample()], false);
    let reader = SegmentReader::open(&SystemDisk, &path).unwrap();
    let contents = reader.contents().unwrap();
    let place = contents.blocks[0];
    // At the limit: this block ends where the file does.
    assert_eq!(place.offset + place.bytes, contents.bytes);
    let beyond = [
        (place.offset, place.bytes + 1),
        (place.offset + 1, place.bytes),
        (place.offset, 32 << 20),
        (contents.bytes + 1, 200),
        (u64::MAX, 32 << 20),
    ];
    for (offset, bytes) in beyond {
        let place = BlockPlace {
            offset,
            bytes,
            ..place
        };
        let mut stored = Vec::new();
        let read = reader.read_block(&place, &mut stored, &mut Block::default());
        let error = read.unwrap_err().to_string();
        assert!(error.ends_with("the file ends before"), "{error}");
        assert_eq!(stored.capacity(), 0, "{offset} {bytes}");
    }
    let mut stored = Vec::new();
    reader
        .read_block(&place, &mut stored, &mut Block::default())
        .unwrap();
}

#[test]
fn a_damaged_header_hides_its_own_block_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, expected) = write_segment(folder.path(), &[sample(), sample(), sample()], false);
    let content = std::fs::read(&path).unwrap();
    let reader = SegmentReader::open(&SystemDisk, &path).unwrap();
    let places = reader.contents().unwrap().blocks;
    for (hit, place) in places.iter().enumerate() {
        for at in 0..BLOCK_PREFIX_BYTES {
            let mut changed = content.clone();
            changed[usize::try_from(place.offset).unwrap() + at] ^= 0x10;
            std::fs::write(&path, &changed).unwrap();
            let contents = reader.contents().unwrap();
            let found = read_segment(&path);
            let is_last = hit + 1 == places.len();
            // With another length it may look as if its rest had not come yet.
            if !(4..8).contains(&at) {
                assert_eq!(contents.rest == Rest::Damaged, is_last, "byte {at}");
            }
            assert_eq!(
                found.len(),
                places.len() - usize::from(is_last),
                "byte {at}"
            );
            for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert!(
                    found == expected || (index == hit && found.is_err()),
                    "byte {at}"
                );
            }
            // What cannot be read spans the numbers that are missing.
            let numbers = |places: &[BlockPlace]| -> Vec<(u64, u64)> {
                let numbers = places.iter();
                numbers
                    .map(|place| (place.first_sequence, place.end_sequence()))
                    .collect()
            };
            assert_eq!(
                numbers(&contents.blocks),
                numbers(&places[..found.len()]),
                "byte {at}"
            );
        }
    }
}

#[test]
fn raw_bytes_of_a_section_that_is_as_it_is_are_its_length() {
    let (_, block) = build(&sample(), true);
    for (_, codec, raw, content) in sections_of(&block) {
        if codec == AS_IT_IS {
            assert_eq!(raw, raw_bytes(&content));
        }
    }
}

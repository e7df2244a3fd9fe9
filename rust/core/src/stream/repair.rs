//! Setting aside what is damaged in a stream's folder, so that what remains is well and says what is missing.
//!
//! Whoever calls holds the store's lock, and no worker has the stream open.

use std::path::Path;

use super::check::{is_in, ranges, read_block};
use super::container::ContainerFile;
use super::found::FoundSegment;
use super::found::LOSS_JUMP;
use crate::block::{Block, BlockBuilder, Encoder, Origin};
use crate::disk::{Disk, read_file, replace_file};
use crate::error::{Error, Result};
use crate::journal::{
    self, BootId, GENERATION_BYTES, Generation, GenerationHeader, HEADER_PAGE_BYTES, JournalWriter,
    Left,
};
use crate::segment::{self, BlockPlace, SegmentReader, UNKNOWN_COUNT, write_sealed};
use crate::wire::{Entry, encode_marked_frame};

/// LIMIT: no generation is longer: what begins another one, a step of its space, and the damage that may begin it.
const MAX_GENERATION_BYTES: u64 = 4 * GENERATION_BYTES;

/// Puts a segment in place of a damaged one that has been moved to `aside`: the blocks that can be read, and an entry for each run of
/// those that cannot. What the journal has as well comes from there.
///
/// # Errors
/// The disk refused.
pub fn remake_segment(disk: &dyn Disk, path: &Path, aside: &Path, shown: &str) -> Result<()> {
    let (Some(folder), Some(from)) = (path.parent(), aside.parent()) else {
        return Ok(());
    };
    let number = path
        .file_name()
        .and_then(|name| segment::parse_file_name(name.to_str()?));
    let Some(number) = number else {
        return Ok(());
    };
    let listed = disk.list(folder).map_err(Error::io("list", folder))?;
    let next = listed
        .iter()
        .filter_map(|file| segment::parse_file_name(&file.name))
        .filter(|&other| other > number)
        .min();
    let modified_ns = disk
        .list(from)
        .map_err(Error::io("list", from))?
        .iter()
        .find(|file| segment::parse_file_name(&file.name) == Some(number))
        .map_or(0, |file| file.modified_ns);
    let found = FoundSegment::open(disk, from, (number, modified_ns), next, false)?;
    let reader = SegmentReader::open(disk, aside)?;
    let ranges = ranges(disk, folder)?;
    let (mut stored, mut block) = (Vec::new(), Block::default());
    let mut blocks: Vec<(BlockPlace, Vec<u8>)> = Vec::new();
    let mut origin = Origin::default();
    for place in &found.blocks {
        match read_block(&reader, place, &mut stored, &mut block) {
            Ok(()) => {
                let header = reader.header(place)?;
                origin = Origin {
                    first_sequence: 0,
                    session: header.session,
                    generation: header.generation,
                    position_from: header.position_to,
                    position_to: header.position_to,
                };
                blocks.push((*place, std::mem::take(&mut stored)));
            }
            Err(Error::Corrupt { .. }) if is_in(&ranges, place.first_sequence) => {}
            Err(Error::Corrupt { what, .. }) => {
                // Its header may be whole, and tells then how far the journal lies in blocks.
                if let Ok(header) = reader.header(place) {
                    origin.session = header.session;
                    origin.generation = header.generation;
                    origin.position_from = header.position_to;
                    origin.position_to = header.position_to;
                }
                blocks.extend(notice(place, origin, &what, shown));
            }
            Err(error) => return Err(error),
        }
    }
    if blocks.is_empty() {
        return Ok(());
    }
    write_sealed(disk, path, &blocks)
}

/// A block of one entry that says what stood in its place.
fn notice(
    place: &BlockPlace,
    origin: Origin,
    what: &str,
    shown: &str,
) -> Option<(BlockPlace, Vec<u8>)> {
    let entries = match place.entry_count {
        UNKNOWN_COUNT => "an unknown number of entries".to_owned(),
        count => format!("{count} entries"),
    };
    let text = format!(
        "logboom: {entries} cannot be read: {what} at byte {} of the file that is set aside as {shown}",
        place.offset
    );
    let mut builder = BlockBuilder::default();
    builder.push(&Entry::own(place.max_time_ns, &text), true);
    let origin = Origin {
        first_sequence: place.first_sequence,
        ..origin
    };
    let mut block = Vec::new();
    let header = builder.finish(origin, &mut Encoder::new(true), &mut block)?;
    Some((BlockPlace::new(0, &header), block))
}

/// The number behind all that a folder has, and the number of the next generation.
fn ends(disk: &dyn Disk, folder: &Path) -> Result<(u64, u64)> {
    let listed = disk.list(folder).map_err(Error::io("list", folder))?;
    let mut end = ranges(disk, folder)?
        .iter()
        .map(|&(_, end)| end)
        .max()
        .unwrap_or(0);
    let mut generation = 0;
    for file in &listed {
        if let Some(number) = segment::parse_file_name(&file.name) {
            let this = (number, file.modified_ns);
            let found = FoundSegment::open(disk, folder, this, None, false)?;
            end = end.max(found.end_sequence().unwrap_or(number));
            let last = found
                .last_block
                .map_or(0, |last| last.generation.saturating_add(1));
            generation = generation.max(last);
        }
        let number = journal::parse_file_name(&file.name);
        generation = generation.max(number.map_or(0, |number| number.saturating_add(1)));
    }
    Ok((end, generation))
}

/// Writes facts in place of damaged ones that have been moved away: nothing is known of the container, and the numbers that may have
/// been shown are left out.
///
/// # Errors
/// The disk refused.
pub fn remake_facts(disk: &dyn Disk, folder: &Path, container_id: &str) -> Result<()> {
    let mut file = ContainerFile::read(disk, folder, container_id)?;
    let (end, _) = ends(disk, folder)?;
    file.next_sequence = end.saturating_add(LOSS_JUMP);
    file.write(disk, folder)
}

/// Of how many power cuts a stream knows what they took; 0 where nothing tells.
pub fn read_known_power_cuts(disk: &dyn Disk, folder: &Path, container_id: &str) -> u64 {
    ContainerFile::read(disk, folder, container_id).map_or(0, |file| file.power_cuts)
}

/// Says in the stream that a generation which has been moved away from `path` is missing.
///
/// # Errors
/// The disk refused.
pub fn name_generation(
    disk: &dyn Disk,
    path: &Path,
    shown: &str,
    boot_id: BootId,
    now_ns: i64,
) -> Result<()> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    let (end, next) = ends(disk, folder)?;
    let name = path.file_name().and_then(|name| name.to_str());
    let lost = name.and_then(journal::parse_file_name);
    let number = next.max(lost.map_or(0, |lost| lost.saturating_add(1)));
    let text = format!(
        "logboom: an unknown number of entries cannot be read: the first page of their journal, {shown}, is damaged"
    );
    let mut initial = Vec::new();
    encode_marked_frame(&Entry::own(now_ns, &text), &mut initial);
    let header = GenerationHeader {
        number,
        first_sequence: end.saturating_add(LOSS_JUMP),
        created_ns: now_ns,
        boot_id,
        ..GenerationHeader::default()
    };
    JournalWriter::create(disk, folder, header, &initial).map(drop)
}

/// Writes a generation in place of one that has been moved to `aside`, with bytes that the sync log has in their place, `from` the end of
/// the first page.
///
/// # Errors
/// The disk refused.
pub fn mend_generation(
    disk: &dyn Disk,
    path: &Path,
    aside: &Path,
    copies: &[(u64, &[u8])],
) -> Result<()> {
    let most = MAX_GENERATION_BYTES;
    let content = read_file(disk, aside, most).map_err(Error::io("read", aside))?;
    let mut content = content.unwrap_or_default();
    for &(from, bytes) in copies {
        let from = HEADER_PAGE_BYTES + usize::try_from(from).unwrap_or(usize::MAX >> 1);
        let end = from.saturating_add(bytes.len());
        // A gap cannot be filled: what the log has follows what there is.
        if from > content.len() || end as u64 > most {
            continue;
        }
        content.resize(content.len().max(end), 0);
        if let Some(place) = content.get_mut(from..end) {
            place.copy_from_slice(bytes);
        }
    }
    replace_file(disk, path, &content, true).map_err(Error::io("write", path))?;
    // What is behind the header page must still be a generation.
    match Generation::open(disk, path)? {
        Left::Whole(_) => Ok(()),
        Left::Nothing | Left::Damaged => Err(Error::corrupt(path, 0, "it could not be mended")),
    }
}

//! Looking through a stream's folder without changing it, whoever writes there meanwhile.

use std::path::{Path, PathBuf};

use super::container::{self, ContainerFile};
use super::found::FoundSegment;
use crate::block::Block;
use crate::disk::{Disk, is_missing, list_folder};
use crate::error::{Error, Result};
use crate::journal::{self, BootId, Generation, GenerationHeader, HEADER_PAGE_BYTES, Left};
use crate::segment::{self, BlockPlace, SegmentReader};

/// A worker that moves entries from a journal to a segment can make a look at both fail. So many looks in a row do not.
const LOOKS: usize = 3;

/// What a damaged file is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The version of the store.
    Format,
    /// Where new streams begin.
    FirstSequence,
    /// How many power cuts there were.
    PowerCuts,
    /// The sync log.
    SyncLog,
    /// A session beside its FIFO.
    Record,
    /// What is known of a container.
    Facts,
    /// All of a stream.
    Folder,
    /// Blocks.
    Segment,
    /// The first page of a journal generation.
    Generation,
    /// Bytes of a journal generation of which the sync log has a copy: where they belong, behind the first page, and the copy.
    Journal(u64, Vec<u8>),
}

/// Something that is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is for.
    pub kind: Kind,
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
}

/// What was looked at, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Checked {
    /// Damage, in the order of the walk.
    pub findings: Vec<Finding>,
    /// Streams.
    pub streams: u64,
    /// Files that hold something.
    pub files: u64,
    /// Entries in blocks that can be read.
    pub entries: u64,
}

/// A copy of journal bytes that the sync log has.
#[derive(Debug)]
pub struct LoggedBytes {
    /// Their generation, as if it began with them.
    pub header: GenerationHeader,
    /// The machine start that it is of.
    pub boot_id: BootId,
    /// The copy.
    pub bytes: Vec<u8>,
}

impl Checked {
    /// Notes that something is wrong.
    pub fn add(&mut self, kind: Kind, path: &Path, offset: u64, what: impl Into<String>) {
        self.findings.push(Finding {
            kind,
            path: path.to_owned(),
            offset,
            what: what.into(),
        });
    }

    /// Notes an error, unless it says that a file has gone meanwhile; damage is where the error says.
    pub fn add_error(&mut self, kind: Kind, path: &Path, error: &Error) {
        match error {
            Error::Corrupt { offset, what, .. } => self.add(kind, path, *offset, what),
            error if error.is_missing() => {}
            error => self.add(kind, path, 0, error.to_string()),
        }
    }
}

/// Which numbers generations have, whatever of them lies in blocks as well.
pub(super) type Ranges = Vec<(u64, u64)>;

/// Looks through one stream's folder.
///
/// # Errors
/// The folder cannot be listed.
pub fn check_folder(
    disk: &dyn Disk,
    folder: &Path,
    logged: &[LoggedBytes],
    checked: &mut Checked,
) -> Result<()> {
    let listed = list_folder(disk, folder);
    if is_missing(&listed) {
        return Ok(());
    }
    checked.streams += 1;
    let (mut segments, mut generations) = (Vec::new(), Vec::new());
    for file in listed.map_err(Error::io("list", folder))? {
        let number = journal::parse_file_name(&file.name);
        generations.extend(number);
        let number = segment::parse_file_name(&file.name);
        segments.extend(number.map(|number| (number, file.modified_ns)));
    }
    segments.sort_unstable();
    generations.sort_unstable();

    let facts = folder.join(container::FILE_NAME);
    match ContainerFile::check(disk, &facts) {
        Ok(is_there) => checked.files += u64::from(is_there),
        Err(error) => checked.add_error(Kind::Facts, &facts, &error),
    }
    // ORDER: generations before segments, as every reader does: what is moved meanwhile is then seen twice, not never.
    for number in generations {
        let of_this = logged
            .iter()
            .filter(|logged| logged.header.number == number);
        check_generation(
            disk,
            &folder.join(journal::file_name(number)),
            of_this,
            checked,
        );
    }
    for (index, &this) in segments.iter().enumerate() {
        let next = segments.get(index + 1).map(|(number, _)| *number);
        check_segment(disk, folder, this, next, checked);
    }
    Ok(())
}

fn check_generation<'a>(
    disk: &dyn Disk,
    path: &Path,
    logged: impl Iterator<Item = &'a LoggedBytes>,
    checked: &mut Checked,
) {
    checked.files += 1;
    let generation = match Generation::open(disk, path) {
        Ok(Left::Whole(generation)) => Some(generation),
        Ok(Left::Nothing) => None,
        Ok(Left::Damaged) => {
            return checked.add(Kind::Generation, path, 0, "its first page is damaged");
        }
        Err(error) => return checked.add_error(Kind::Generation, path, &error),
    };
    let mut logged = logged.peekable();
    let Some(generation) = generation else {
        // A worker that was killed may have left the beginning of one, but none of which bytes were synced.
        if logged.peek().is_some() {
            checked.add(Kind::Generation, path, 0, "its first page is cut short");
        }
        return;
    };
    let header = generation.header();
    for copy in logged.filter(|copy| copy.boot_id == header.boot_id) {
        match generation.first_difference(copy.header.start, &copy.bytes) {
            Ok(None) => {}
            Ok(Some(offset)) => {
                let from = copy.header.start - header.start;
                let kind = Kind::Journal(from, copy.bytes.clone());
                let what = "its bytes are not those that the sync log has";
                checked.add(kind, path, HEADER_PAGE_BYTES as u64 + offset, what);
            }
            Err(error) => checked.add_error(Kind::Generation, path, &error),
        }
    }
}

/// The numbers that the generations of a folder have now.
pub(super) fn ranges(disk: &dyn Disk, folder: &Path) -> Result<Ranges> {
    let listed = disk.list(folder).map_err(Error::io("list", folder))?;
    let mut ranges = Ranges::new();
    let mut chunk = Vec::new();
    for name in listed.iter().map(|file| &file.name) {
        if journal::parse_file_name(name).is_none() {
            continue;
        }
        match Generation::open(disk, &folder.join(name)) {
            Ok(Left::Whole(mut generation)) => {
                generation.recover(None, &mut chunk)?;
                let first = generation.header().first_sequence;
                ranges.push((first, generation.end_sequence()));
            }
            Err(error) if !error.is_missing() => return Err(error),
            _ => {}
        }
    }
    Ok(ranges)
}

/// Whether a number stands in the journal.
pub(super) fn is_in(ranges: &[(u64, u64)], sequence: u64) -> bool {
    ranges
        .iter()
        .any(|&(first, end)| (first..end).contains(&sequence))
}

fn check_segment(
    disk: &dyn Disk,
    folder: &Path,
    this: (u64, i64),
    next: Option<u64>,
    checked: &mut Checked,
) {
    let path = folder.join(segment::file_name(this.0));
    checked.files += 1;
    let mut result = Ok((Vec::new(), 0));
    for _ in 0..LOOKS {
        // ORDER: the journal first. A block that is being written while this looks is made from a journal that was there before.
        result = ranges(disk, folder).and_then(|ranges| {
            let found = FoundSegment::open(disk, folder, this, next, false)?;
            let reader = SegmentReader::open(disk, &path)?;
            read_blocks(&reader, &found, &ranges)
        });
        if matches!(&result, Ok((wrong, _)) if wrong.is_empty()) {
            break;
        }
    }
    match result {
        Ok((wrong, entries)) => {
            checked.entries += entries;
            for error in wrong {
                checked.add_error(Kind::Segment, &path, &error);
            }
        }
        Err(error) => checked.add_error(Kind::Segment, &path, &error),
    }
}

/// What is wrong in a segment, and how many entries can be read.
fn read_blocks(
    reader: &SegmentReader,
    found: &FoundSegment,
    ranges: &[(u64, u64)],
) -> Result<(Vec<Error>, u64)> {
    let (mut wrong, mut entries) = (Vec::new(), 0);
    let corrupt = |offset, what: &str| Error::corrupt(&found.path, offset, what);
    let (mut stored, mut block) = (Vec::new(), Block::default());
    let mut is_known = true;
    for place in &found.blocks {
        match read_block(reader, place, &mut stored, &mut block) {
            Ok(()) => entries += place.counted_entries(),
            // It is not whole yet, or will be made again.
            Err(Error::Corrupt { .. }) if is_in(ranges, place.first_sequence) => is_known = false,
            Err(error @ Error::Corrupt { .. }) => wrong.push(error),
            Err(error) => return Err(error),
        }
    }
    if wrong.is_empty() && is_known && !reader.has_preamble()? {
        wrong.push(corrupt(0, "it does not begin as a segment does"));
    }
    if found.has_damaged_index() {
        let end = found
            .blocks
            .last()
            .map_or(0, |last| last.offset + last.bytes);
        wrong.push(corrupt(end, "its index is damaged"));
    }
    Ok((wrong, entries))
}

/// Reads a block with all its entries.
pub(super) fn read_block(
    reader: &SegmentReader,
    place: &BlockPlace,
    stored: &mut Vec<u8>,
    block: &mut Block,
) -> Result<()> {
    reader.read_block(place, stored, block)?;
    match block.rows().find_map(std::result::Result::err) {
        None => Ok(()),
        Some(what) => Err(Error::corrupt(reader.path(), place.offset, what)),
    }
}

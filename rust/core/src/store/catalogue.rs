//! What ended streams hold, written down, so that a list of a hundred thousand of them need not open two files of each.
//!
//! ```text
//! DATA/catalogue/<first two digits of container ids>.sheet
//! ```
//!
//! A cache, and no more: whoever lists streams takes a row for what it says only while the stream's folder was last changed when
//! the row says, and reads the stream's own files otherwise. A sheet that is missing, damaged or from before a power cut says nothing.
//!
//! INVARIANT: what a stream holds does not change without a change in its folder's names. Blocks are appended only as long as
//! there is a journal, which is a file that came and will go, and a stream with one gets no row. All else is made, renamed or removed.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::census::PackedId;
use super::{CATALOGUE, CONTAINERS};
use crate::disk::{Disk, read_file, replace_file};
use crate::error::{Error, Result};
use crate::fields::Fields;
use crate::stream::{Description, Snapshot, read_facts};

/// The first bytes of a sheet, the version among them.
const MAGIC: [u8; 8] = *b"LOGCTLG1";

/// LIMIT: a sheet is read whole, and one at a time. With ids as Docker draws them and common facts that is room for two million
/// streams.
const MAX_SHEET_BYTES: usize = 4 << 20;

/// LIMIT: a stream with longer facts has no row, or a few labels of a megabyte would fill a sheet.
const MAX_FACTS_BYTES: usize = 8 << 10;

/// A folder that was changed so lately may be changed again within the same tick of the file system's clock, which nobody could see.
const SETTLED_NS: i64 = 2_000_000_000;

const HEADER_BYTES: usize = MAGIC.len() + 8;
const CRC_BYTES: usize = 4;

type DockerId = [u8; 32];

/// What a row says of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) first_started_ns: i64,
    pub(super) last_started_ns: i64,
    pub(super) facts: String,
    pub(super) held: Description,
}

impl Row {
    /// Looks at a stream's files; `None`: it may change without a sign, or has what no row tells.
    fn look(disk: &Arc<dyn Disk>, folder: PathBuf, container_id: &str) -> Result<Option<Self>> {
        let sessions = read_facts(&**disk, &folder, container_id);
        let started = || sessions.iter().map(|session| session.started_ns);
        let newest = sessions.iter().max_by_key(|session| session.started_ns);
        let (Some(first_started_ns), Some(newest)) = (started().min(), newest) else {
            return Ok(None);
        };
        let facts = newest.facts.get();
        if facts.len() > MAX_FACTS_BYTES {
            return Ok(None);
        }
        let Some(snapshot) = Snapshot::take(disk, folder, container_id)? else {
            return Ok(None);
        };
        if snapshot.has_journal() {
            return Ok(None);
        }
        Ok(Some(Self {
            first_started_ns,
            last_started_ns: newest.started_ns,
            facts: facts.to_owned(),
            held: snapshot.describe()?,
        }))
    }

    /// `None`: it has no entry.
    fn encode(&self, id: &DockerId, changed_ns: i64) -> Option<Vec<u8>> {
        let held = &self.held;
        let mut row = id.to_vec();
        for time_ns in [
            changed_ns,
            self.first_started_ns,
            self.last_started_ns,
            held.first_ns?,
            held.last_ns?,
        ] {
            row.extend_from_slice(&time_ns.to_le_bytes());
        }
        for number in [
            held.entry_count,
            held.first_sequence,
            held.end_sequence,
            held.text_bytes,
            held.stored_bytes,
            held.segment_count,
        ] {
            row.extend_from_slice(&number.to_le_bytes());
        }
        row.extend_from_slice(&u32::try_from(self.facts.len()).ok()?.to_le_bytes());
        row.extend_from_slice(self.facts.as_bytes());
        Some(row)
    }

    /// What follows the id and the time of change.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let (first_started_ns, last_started_ns) = (fields.i64()?, fields.i64()?);
        let held = Description {
            first_ns: fields.i64(),
            last_ns: fields.i64(),
            entry_count: fields.u64()?,
            first_sequence: fields.u64()?,
            end_sequence: fields.u64()?,
            text_bytes: fields.u64()?,
            stored_bytes: fields.u64()?,
            segment_count: fields.u64()?,
        };
        let facts = take_facts(&mut fields)?;
        Some(Self {
            first_started_ns,
            last_started_ns,
            facts: std::str::from_utf8(facts).ok()?.to_owned(),
            held,
        })
    }
}

fn take_facts<'a>(fields: &mut Fields<'a>) -> Option<&'a [u8]> {
    let length = usize::try_from(fields.u32()?).ok()?;
    fields.bytes(length)
}

/// The rows of the streams whose ids have the same first two digits.
#[derive(Debug, Default)]
struct Sheet {
    content: Vec<u8>,
    /// Whose they are, when its folder was changed, and where in the content the rest lies; in the order of ids.
    rows: Vec<(DockerId, i64, Range<usize>)>,
}

impl Sheet {
    /// Reads one; it says nothing where it is missing, damaged, or was written before a power cut.
    fn read(disk: &dyn Disk, path: &Path, power_cuts: u64) -> Self {
        let content = read_file(disk, path, MAX_SHEET_BYTES as u64);
        let content = content.ok().flatten().unwrap_or_default();
        let rows = find_rows(&content, power_cuts);
        Self {
            rows: rows.unwrap_or_default(),
            content,
        }
    }

    /// What was written of a stream whose folder was changed then.
    fn find(&self, id: &DockerId, changed_ns: i64) -> Option<&[u8]> {
        let place = self.rows.binary_search_by_key(id, |(id, ..)| *id).ok()?;
        let (_, changed_at_ns, range) = self.rows.get(place)?;
        let row = self.content.get(range.clone())?;
        (*changed_at_ns == changed_ns).then_some(row)
    }
}

fn find_rows(content: &[u8], power_cuts: u64) -> Option<Vec<(DockerId, i64, Range<usize>)>> {
    let (summed, crc) = content.split_at_checked(content.len().checked_sub(CRC_BYTES)?)?;
    let mut fields = Fields(summed);
    let is_whole = crc == crc32c::crc32c(summed).to_le_bytes()
        && fields.take()? == MAGIC
        && fields.u64()? == power_cuts;
    let mut rows = Vec::new();
    while is_whole && !fields.0.is_empty() {
        let id = fields.take()?;
        let changed_ns = fields.i64()?;
        let from = summed.len() - fields.0.len();
        // Ten numbers, then the facts.
        fields.take::<80>()?;
        take_facts(&mut fields)?;
        rows.push((id, changed_ns, from..summed.len() - fields.0.len()));
    }
    Some(rows)
}

fn sheet_path(folder: &Path, number: u8) -> PathBuf {
    folder.join(CATALOGUE).join(format!("{number:02x}.sheet"))
}

/// The catalogue as whoever lists streams uses it: in the order of ids, with one sheet in memory.
#[derive(Debug)]
pub(super) struct Catalogue {
    /// Of the store.
    folder: PathBuf,
    power_cuts: u64,
    sheet: Option<(u8, Sheet)>,
}

impl Catalogue {
    pub(super) fn new(folder: &Path, power_cuts: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            power_cuts,
            sheet: None,
        }
    }

    fn sheet(&mut self, disk: &dyn Disk, number: u8) -> &Sheet {
        let sheet = self.sheet.take().filter(|(this, _)| *this == number);
        let (_, sheet) = self.sheet.insert(sheet.unwrap_or_else(|| {
            let path = sheet_path(&self.folder, number);
            (number, Sheet::read(disk, &path, self.power_cuts))
        }));
        sheet
    }

    /// What it says of a stream as its folder is now; `None`: ask the stream's files.
    pub(super) fn find(&mut self, disk: &dyn Disk, container_id: &str) -> Option<Row> {
        let PackedId::Docker(id) = PackedId::new(container_id) else {
            return None;
        };
        let [number, ..] = id;
        if self.sheet(disk, number).rows.is_empty() {
            return None;
        }
        let stream = self.folder.join(CONTAINERS).join(container_id);
        let changed_ns = disk.changed_ns(&stream).ok()?;
        Row::decode(self.sheet(disk, number).find(&id, changed_ns)?)
    }
}

/// One round over all streams, in the order of their ids, in which sheets are written anew that miss something.
#[derive(Debug)]
pub struct Cataloguing {
    known: Catalogue,
    number: Option<u8>,
    /// The sheet as it has to be, and how many rows of it are the old one's.
    content: Vec<u8>,
    kept: usize,
    is_changed: bool,
}

impl Cataloguing {
    /// Begins a round.
    pub(super) fn begin(folder: &Path, power_cuts: u64) -> Self {
        Self {
            known: Catalogue::new(folder, power_cuts),
            number: None,
            content: Vec::new(),
            kept: 0,
            is_changed: false,
        }
    }

    /// Takes up one stream, which comes behind all before it. Its files are looked at unless the old sheet tells what they hold.
    ///
    /// # Errors
    /// The disk refused a sheet, or that stream's files; the round can go on behind it.
    pub fn add(&mut self, disk: &Arc<dyn Disk>, id: &PackedId, now_ns: i64) -> Result<()> {
        let PackedId::Docker(docker_id) = id else {
            return Ok(());
        };
        let [number, ..] = *docker_id;
        let mut ended = Ok(());
        if self.number != Some(number) {
            ended = self.end_sheet(&**disk);
            self.number = Some(number);
        }
        let container_id = id.to_string();
        let folder = self.known.folder.join(CONTAINERS).join(&container_id);
        let changed_ns = match disk.changed_ns(&folder) {
            Ok(changed_ns) if changed_ns <= now_ns.saturating_sub(SETTLED_NS) => changed_ns,
            // It has no row, as one that is gone has none.
            _ => return ended,
        };
        let old = self
            .known
            .sheet(&**disk, number)
            .find(docker_id, changed_ns);
        let is_new = old.is_none();
        let row = if let Some(old) = old {
            Some([docker_id, &changed_ns.to_le_bytes()[..], old].concat())
        } else {
            // ORDER: the time first. What is changed during the look gives the folder another one.
            let looked = Row::look(disk, folder, &container_id)?;
            looked.and_then(|row| row.encode(docker_id, changed_ns))
        };
        let Some(row) = row else {
            return ended;
        };
        if HEADER_BYTES + self.content.len() + row.len() + CRC_BYTES <= MAX_SHEET_BYTES {
            self.content.extend_from_slice(&row);
            self.kept += usize::from(!is_new);
            self.is_changed |= is_new;
        }
        ended
    }

    /// Writes the last sheet.
    ///
    /// # Errors
    /// The disk refused.
    pub fn end(mut self, disk: &dyn Disk) -> Result<()> {
        self.end_sheet(disk)
    }

    fn end_sheet(&mut self, disk: &dyn Disk) -> Result<()> {
        let Some(number) = self.number.take() else {
            return Ok(());
        };
        let rows = std::mem::take(&mut self.content);
        let had = self.known.sheet(disk, number).rows.len();
        let is_same = !std::mem::take(&mut self.is_changed) && self.kept == had;
        self.kept = 0;
        if is_same {
            return Ok(());
        }
        let mut content = MAGIC.to_vec();
        content.extend_from_slice(&self.known.power_cuts.to_le_bytes());
        content.extend_from_slice(&rows);
        content.extend_from_slice(&crc32c::crc32c(&content).to_le_bytes());
        let path = sheet_path(&self.known.folder, number);
        let folder = self.known.folder.join(CATALOGUE);
        disk.create_folder(&folder)
            .map_err(Error::io("create", &folder))?;
        // What a power cut leaves of it counts for nothing in any case.
        replace_file(disk, &path, &content, false).map_err(Error::io("write", &path))
    }
}

//! Looking through a whole data folder, and setting aside what is damaged.
//!
//! Looking changes nothing and needs no lock, so that a worker may run. Setting aside needs the lock: a damaged file is moved to
//! `DATA/damaged/<seconds since 1970>/`, under the name that it had below the data folder, and what takes its place is well and says what is missing.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::record::check_records;
use super::root::{
    FORMAT_FILE, check_format, lock, no_store, read_first_sequence, read_power_cuts,
    write_first_sequence, write_format, write_power_cuts,
};
use super::{CONTAINERS, SYNC};
use crate::disk::{Disk, is_container_id, is_missing};
use crate::error::{Error, Result};
use crate::journal::{self, BootId, write_recovered};
use crate::segment;
use crate::stream::{
    Checked, Finding, Kind, LOSS_JUMP, LoggedBytes, check_folder, mend_generation, name_generation,
    read_known_power_cuts, remake_facts, remake_segment,
};
use crate::sync_log::{self, LogReader, Rebuilt};

/// Where damaged files go, below the data folder.
const DAMAGED: &str = "damaged";

/// Where damaged session records go, below that: they come from beside the FIFOs.
const RECORDS: &str = "sessions";

/// What the sync log holds of each stream.
type SyncLogged = HashMap<String, Vec<LoggedBytes>>;

/// Where a store is.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The data folder.
    pub data: &'a Path,
    /// Where sessions are written down.
    pub records: &'a Path,
}

/// A damaged file that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where it was.
    pub from: PathBuf,
    /// Where it is now.
    pub to: PathBuf,
}

/// Looks at all files of a store.
///
/// # Errors
/// There is no data folder, it cannot be listed or holds no store, or a newer version has written it.
pub fn verify(disk: &dyn Disk, place: Place<'_>) -> Result<Checked> {
    look(disk, place).map(|(checked, _)| checked)
}

fn look(disk: &dyn Disk, place: Place<'_>) -> Result<(Checked, SyncLogged)> {
    let mut checked = Checked::default();
    let data = place.data;
    check_is_store(disk, data)?;
    let format = data.join(FORMAT_FILE);
    match check_format(&format, disk) {
        Ok(is_there) => checked.files += u64::from(is_there),
        Err(error @ Error::UnsupportedFormat { .. }) => return Err(error),
        Err(error) => checked.add_error(Kind::Format, &format, &error),
    }
    if let Err((path, error)) = read_first_sequence(data, disk) {
        checked.add_error(Kind::FirstSequence, &path, &error);
    }
    if let Err((path, error)) = read_power_cuts(data, disk) {
        checked.add_error(Kind::PowerCuts, &path, &error);
    }
    let logged = check_sync_log(disk, &data.join(SYNC), &mut checked)?;
    let containers = data.join(CONTAINERS);
    for id in stream_ids(disk, &containers)? {
        let logged = logged.get(&id).map_or(&[][..], Vec::as_slice);
        let folder = containers.join(&id);
        if let Err(error) = check_folder(disk, &folder, logged, &mut checked) {
            checked.add_error(Kind::Folder, &folder, &error);
        }
    }
    check_records(disk, place.records, &mut checked)?;
    Ok((checked, logged))
}

/// Whoever mistypes the name of a folder must not hear that all is well there. A store that has lost its `format` has its streams.
fn check_is_store(disk: &dyn Disk, data: &Path) -> Result<()> {
    let listed = disk.list(data).map_err(Error::io("list", data))?;
    if listed
        .iter()
        .any(|file| file.name == FORMAT_FILE || file.name == CONTAINERS)
    {
        Ok(())
    } else {
        Err(no_store(data))
    }
}

fn stream_ids(disk: &dyn Disk, containers: &Path) -> Result<Vec<String>> {
    let listed = disk.list(containers);
    if is_missing(&listed) {
        return Ok(Vec::new());
    }
    let listed = listed.map_err(Error::io("list", containers))?;
    let names = listed.into_iter().map(|folder| folder.name);
    let mut ids: Vec<String> = names.filter(|name| is_container_id(name)).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// Walks over the sync log; returns what it holds of each stream.
fn check_sync_log(disk: &dyn Disk, folder: &Path, checked: &mut Checked) -> Result<SyncLogged> {
    let mut logged = SyncLogged::new();
    let listed = disk.list(folder);
    if is_missing(&listed) {
        return Ok(logged);
    }
    let mut numbers: Vec<(u64, String)> = listed
        .map_err(Error::io("list", folder))?
        .into_iter()
        .filter_map(|file| Some((sync_log::parse_file_name(&file.name)?, file.name)))
        .collect();
    numbers.sort_unstable();
    let newest = numbers.len().saturating_sub(1);
    for (index, (_, name)) in numbers.into_iter().enumerate() {
        let path = folder.join(name);
        checked.files += 1;
        if let Err(error) = read_log(disk, &path, index == newest, &mut logged, checked) {
            checked.add_error(Kind::SyncLog, &path, &error);
        }
    }
    Ok(logged)
}

fn read_log(
    disk: &dyn Disk,
    path: &Path,
    is_newest: bool,
    logged: &mut SyncLogged,
    checked: &mut Checked,
) -> Result<()> {
    let Some(mut log) = LogReader::open(disk, path)? else {
        return Ok(());
    };
    let Some(boot_id) = log.boot_id() else {
        // The newest one may have been made at this moment.
        if !(is_newest && log.bytes() == 0) {
            checked.add(Kind::SyncLog, path, 0, "its header is damaged");
        }
        return Ok(());
    };
    let mut hit_at = None;
    loop {
        while let Some((place, bytes)) = log.next_item()? {
            let copy = LoggedBytes {
                header: place.header,
                boot_id,
                bytes: bytes.to_vec(),
            };
            logged.entry(place.container_id).or_default().push(copy);
        }
        if !log.is_damaged(is_newest)? {
            return Ok(());
        }
        // A worker may have been writing it at that moment.
        if hit_at.replace(log.offset()) == Some(log.offset()) {
            break;
        }
    }
    let what = "what stands there is no record, nor is anything behind it";
    checked.add(Kind::SyncLog, path, log.offset(), what);
    Ok(())
}

/// Takes the store's lock, looks at all files, and sets aside those that are damaged.
///
/// # Errors
/// `Locked` while a worker runs; as `verify`; or the disk refused, and what was set aside by then stays aside.
pub fn repair(
    disk: &dyn Disk,
    place: Place<'_>,
    boot_id: BootId,
    now_ns: i64,
) -> Result<(Checked, Vec<SetAside>)> {
    let data = place.data;
    check_is_store(disk, data)?;
    // ORDER: what is no store of ours, or a newer version's, is not touched, not even by a lock.
    if let Err(error @ Error::UnsupportedFormat { .. }) =
        check_format(&data.join(FORMAT_FILE), disk)
    {
        return Err(error);
    }
    let _lock = lock(&data.join("lock"), disk)?;
    let (checked, logged) = look(disk, place)?;
    let mut files: BTreeMap<&Path, Vec<&Finding>> = BTreeMap::new();
    for finding in &checked.findings {
        files.entry(&finding.path).or_default().push(finding);
    }
    let seconds = u64::try_from(now_ns).unwrap_or(0) / 1_000_000_000;
    let repair = Repair {
        disk,
        place,
        logged,
        boot_id,
        now_ns,
        aside: data.join(DAMAGED).join(seconds.to_string()),
    };
    let mut set_aside = Vec::new();
    for (path, findings) in files {
        set_aside.push(repair.file(path, &findings)?);
    }
    Ok((checked, set_aside))
}

/// What setting aside goes by.
struct Repair<'a> {
    disk: &'a dyn Disk,
    place: Place<'a>,
    logged: SyncLogged,
    boot_id: BootId,
    now_ns: i64,
    aside: PathBuf,
}

impl Repair<'_> {
    fn file(&self, path: &Path, findings: &[&Finding]) -> Result<SetAside> {
        let data = self.place.data;
        let below = path.strip_prefix(data).map_or_else(
            |_| Path::new(RECORDS).join(path.file_name().unwrap_or_default()),
            Path::to_owned,
        );
        let to = self.aside.join(below);
        let shown = to.strip_prefix(data).unwrap_or(&to).display().to_string();
        self.move_to(path, &to)?;
        let folder = path.parent().unwrap_or(data);
        let kind = findings.first().map(|finding| &finding.kind);
        match kind {
            None | Some(Kind::SyncLog | Kind::Record | Kind::Folder) => {}
            Some(Kind::Format) => write_format(data, self.disk)?,
            Some(Kind::FirstSequence) => {
                let sequence = self.highest_sequence()?.saturating_add(LOSS_JUMP);
                write_first_sequence(data, sequence, self.disk)?;
            }
            Some(Kind::PowerCuts) => {
                // So that all streams are looked at once more.
                let power_cuts = self.known_power_cuts()?.saturating_add(1);
                write_power_cuts(data, power_cuts, self.disk)?;
            }
            Some(Kind::Facts) => {
                let id = folder.file_name().and_then(|name| name.to_str());
                remake_facts(self.disk, folder, id.unwrap_or_default())?;
            }
            Some(Kind::Segment) => remake_segment(self.disk, path, &to, &shown)?,
            Some(Kind::Generation) => match self.rebuilt(path) {
                Some(Rebuilt { header, bytes }) => {
                    write_recovered(self.disk, folder, &header, &bytes)?;
                }
                None => name_generation(self.disk, path, &shown, self.boot_id, self.now_ns)?,
            },
            Some(Kind::Journal(..)) => {
                let copies: Vec<(u64, &[u8])> = findings
                    .iter()
                    .filter_map(|finding| match &finding.kind {
                        Kind::Journal(from, bytes) => Some((*from, bytes.as_slice())),
                        _ => None,
                    })
                    .collect();
                mend_generation(self.disk, path, &to, &copies)?;
            }
        }
        Ok(SetAside {
            from: path.to_owned(),
            to,
        })
    }

    /// ORDER: what was moved is on disk under its new name before anything takes its place.
    fn move_to(&self, path: &Path, to: &Path) -> Result<()> {
        let folder = to.parent().unwrap_or(&self.aside);
        self.disk
            .create_folder(folder)
            .map_err(Error::io("create", folder))?;
        self.disk
            .rename(path, to)
            .map_err(Error::io("set aside", path))?;
        self.disk
            .sync_folder(folder)
            .map_err(Error::io("sync", folder))
    }

    /// A generation as the sync log has it.
    fn rebuilt(&self, path: &Path) -> Option<Rebuilt> {
        let number = journal::parse_file_name(path.file_name()?.to_str()?)?;
        let id = path.parent()?.file_name()?.to_str()?;
        let copies = self.logged.get(id)?.iter();
        let mut rebuilt: Option<Rebuilt> = None;
        for copy in copies.filter(|copy| copy.header.number == number) {
            match &mut rebuilt {
                Some(rebuilt) => rebuilt.add(copy.header.clone(), &copy.bytes),
                None => {
                    rebuilt = Some(Rebuilt {
                        header: copy.header.clone(),
                        bytes: copy.bytes.clone(),
                    });
                }
            }
        }
        rebuilt
    }

    /// The most power cuts that a stream knows of.
    fn known_power_cuts(&self) -> Result<u64> {
        let containers = self.place.data.join(CONTAINERS);
        let ids = stream_ids(self.disk, &containers)?;
        let known = ids
            .iter()
            .map(|id| read_known_power_cuts(self.disk, &containers.join(id), id));
        Ok(known.max().unwrap_or(0))
    }

    /// The highest number after which a segment is named.
    fn highest_sequence(&self) -> Result<u64> {
        let containers = self.place.data.join(CONTAINERS);
        let mut highest = 0;
        for id in stream_ids(self.disk, &containers)? {
            let folder = containers.join(id);
            let listed = self.disk.list(&folder);
            let listed = listed.map_err(Error::io("list", &folder))?;
            let numbers = listed
                .iter()
                .map(|file| segment::parse_file_name(&file.name));
            highest = numbers.flatten().fold(highest, u64::max);
        }
        Ok(highest)
    }
}

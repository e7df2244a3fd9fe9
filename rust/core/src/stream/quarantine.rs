//! Bytes that are no entry, and files that cannot be read: kept beside the segments for a person to look at.
//!
//! They are no part of the stream. What they take counts as the stream's all the same.

use super::{State, Stream};
use crate::disk::{Listed, is_missing, replace_file};
use crate::error::{Error, Result};
use crate::journal::{DAMAGED_SUFFIX, Generation};
use crate::segment::UNREADABLE;

/// LIMIT: a longer run of damage is kept only to this length; a broken engine must not fill the disk.
const MAX_DAMAGE_KEPT_BYTES: usize = 1 << 20;

/// LIMIT: damage of a stream is kept in so many files, the newest ones.
const MAX_DAMAGED_FILES: usize = 64;

/// LIMIT: and in so many bytes all together.
const MAX_DAMAGED_BYTES: u64 = 4 << 20;

/// LIMIT: and in no more than this part of what the stream may take, so that damage costs no container its log.
const MAX_DAMAGED_PART: u64 = 4;

/// How the names of generations end that are set aside.
pub(super) const LOST: &str = "lost";

/// A run of damage in a generation: how long it is, the offset behind it, and what is kept of it.
#[derive(Debug)]
pub(super) struct Damage {
    end: u64,
    bytes: usize,
    kept: Vec<u8>,
}

impl Damage {
    pub(super) fn new(bytes: &[u8], end: u64) -> Self {
        let kept = bytes.get(..MAX_DAMAGE_KEPT_BYTES).unwrap_or(bytes);
        Self {
            end,
            bytes: bytes.len(),
            kept: kept.to_vec(),
        }
    }
}

/// What is kept beside a stream, and what of it is still to be told and trimmed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    /// What these files take.
    pub(super) bytes: u64,
    /// Runs of damage that nobody has counted yet.
    pub(super) new_runs: u64,
    /// Their lengths.
    pub(super) new_bytes: u64,
}

/// Whether a file holds what was set aside.
fn is_aside(name: &str) -> bool {
    name.ends_with(DAMAGED_SUFFIX)
        || name
            .rsplit_once('.')
            .is_some_and(|(_, suffix)| suffix == LOST || suffix == UNREADABLE)
}

/// What is set aside in a folder.
pub(super) fn aside_bytes<'a>(listed: impl IntoIterator<Item = &'a Listed>) -> u64 {
    let aside = listed.into_iter().filter(|file| is_aside(&file.name));
    aside.map(|file| file.bytes).sum()
}

/// Which files have to go, of all in the folder of a stream that may take so many bytes.
fn surplus(listed: &[Listed], stream_bytes: Option<u64>) -> Vec<String> {
    let mut damaged: Vec<&Listed> = listed
        .iter()
        .filter(|file| file.name.ends_with(DAMAGED_SUFFIX))
        .collect();
    damaged.sort_by_key(|file| (file.modified_ns, &file.name));
    let allowed = stream_bytes.map_or(MAX_DAMAGED_BYTES, |most| {
        MAX_DAMAGED_BYTES.min(most / MAX_DAMAGED_PART)
    });
    let mut kept_bytes = 0;
    let is_kept = |(index, file): &(usize, &Listed)| {
        kept_bytes += file.bytes;
        *index < MAX_DAMAGED_FILES && kept_bytes <= allowed
    };
    let newest_first = damaged.into_iter().rev().enumerate();
    let gone = newest_first.skip_while(is_kept);
    gone.map(|(_, file)| file.name.clone()).collect()
}

impl State {
    /// The damage that has been kept since the last call: how many runs, and how many bytes.
    pub(super) fn take_new_damage(&mut self) -> (u64, u64) {
        let kept = &mut self.kept;
        (
            std::mem::take(&mut kept.new_runs),
            std::mem::take(&mut kept.new_bytes),
        )
    }
}

impl Stream {
    /// Keeps the newest runs of damage of a generation; the entries that stand for them name the files.
    pub(super) fn keep_damage(&self, generation: &Generation, damage: &[Damage]) -> Result<()> {
        let newest = damage.len().saturating_sub(MAX_DAMAGED_FILES);
        for run in damage.iter().skip(newest) {
            self.write_damage(&generation.damage_file_name(run.end), &run.kept)?;
        }
        let mut state = self.state();
        state.kept.new_runs += damage.len() as u64;
        state.kept.new_bytes += damage.iter().map(|run| run.bytes as u64).sum::<u64>();
        Ok(())
    }

    /// Keeps one run of damage under a name.
    pub(super) fn keep_named_damage(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.write_damage(name, bytes.get(..MAX_DAMAGE_KEPT_BYTES).unwrap_or(bytes))?;
        let mut state = self.state();
        state.kept.new_runs += 1;
        state.kept.new_bytes += bytes.len() as u64;
        Ok(())
    }

    fn write_damage(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        replace_file(&*self.disk, &path, bytes, false).map_err(Error::io("write", &path))
    }

    /// Removes the oldest damage above the limits, and adds up what is left. Only the cutter does.
    ///
    /// # Errors
    /// The disk refused.
    pub(super) fn trim_damage(&self) -> Result<()> {
        let listed = self
            .disk
            .list(&self.folder)
            .map_err(Error::io("list", &self.folder))?;
        let surplus = surplus(&listed, self.limits().stream_bytes);
        for name in &surplus {
            let path = self.folder.join(name);
            let removed = self.disk.remove_file(&path);
            if !is_missing(&removed) {
                removed.map_err(Error::io("remove", &path))?;
            }
        }
        let left = listed.iter().filter(|file| !surplus.contains(&file.name));
        self.state().kept.bytes = aside_bytes(left);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_DAMAGED_BYTES, MAX_DAMAGED_FILES, MAX_DAMAGED_PART, aside_bytes, surplus};
    use crate::disk::Listed;

    fn files(sizes: &[u64]) -> Vec<Listed> {
        let file = |(bytes, modified_ns): (&u64, i64)| Listed {
            // The newest has the smallest name.
            name: format!("{:03}.damaged", 999 - modified_ns),
            bytes: *bytes,
            modified_ns,
        };
        sizes.iter().zip(0..).map(file).collect()
    }

    fn gone(sizes: &[u64], stream_bytes: Option<u64>) -> usize {
        surplus(&files(sizes), stream_bytes).len()
    }

    #[test]
    fn as_many_files_as_are_allowed_stay_and_then_the_oldest_goes() {
        assert_eq!(gone(&[1; MAX_DAMAGED_FILES], None), 0);
        let listed = files(&[1; MAX_DAMAGED_FILES + 1]);
        assert_eq!(surplus(&listed, None), ["999.damaged"]);
    }

    #[test]
    fn as_many_bytes_as_are_allowed_stay_and_then_the_oldest_go() {
        assert_eq!(gone(&[1, MAX_DAMAGED_BYTES - 1], None), 0);
        assert_eq!(gone(&[1, 1, MAX_DAMAGED_BYTES - 1], None), 1);
        assert_eq!(gone(&[1, MAX_DAMAGED_BYTES + 1], None), 2);
    }

    #[test]
    fn a_small_log_has_little_room_for_damage() {
        let stream_bytes = Some(100 * MAX_DAMAGED_PART);
        assert_eq!(gone(&[50, 50], stream_bytes), 0);
        assert_eq!(gone(&[51, 50], stream_bytes), 1);
    }

    #[test]
    fn nothing_but_damage_is_removed_and_all_that_is_aside_is_counted() {
        let names = [
            "1.zst",
            "1.journal",
            "container.json",
            "1.lost",
            "1.unreadable",
        ];
        let listed: Vec<Listed> = names
            .iter()
            .map(|name| Listed {
                name: (*name).to_owned(),
                bytes: MAX_DAMAGED_BYTES,
                modified_ns: 0,
            })
            .collect();
        assert!(surplus(&listed, None).is_empty());
        assert_eq!(aside_bytes(&listed), 2 * MAX_DAMAGED_BYTES);
    }
}

//! Removing a whole stream.
//!
//! ```text
//! 1. `first-sequence` is raised above its numbers, and synced
//! 2. no session begins on it any more; one that would have gets another stream of the same id
//! 3. containers/<id>  ->  containers/.removed-<id>        all of it is gone, or nothing
//! 4. that name is synced, then the files in there are removed
//! ```
//!
//! A kill between 3 and 4 leaves a folder that is no stream's; the next scan of the store removes it. A reader goes on
//! with the file that it has open, and passes over the others.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use super::Store;
use super::root::write_first_sequence;
use crate::disk::{Disk, is_missing, list_folder};
use crate::error::{Error, Result};
use crate::stream::Stream;

/// No container id begins so.
const REMOVED_PREFIX: &str = ".removed-";

/// What became of a stream that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone, and stays so after a power cut.
    Removed,
    /// There was none.
    Missing,
    /// A session runs in it, or what it has cannot be cut; nothing of it has gone.
    InUse,
}

impl Store {
    /// Removes a stream in which nothing runs and nothing waits for the cutter, so that an id which comes again begins behind
    /// its numbers; `false`: something does.
    ///
    /// # Errors
    /// The disk refused. The stream stays as it is, or only files that count for nothing are left.
    pub fn remove(&self, stream: &Arc<Stream>) -> Result<bool> {
        // One after the other, so that what is written down only rises.
        let _removing = self.removing.lock().unwrap_or_else(PoisonError::into_inner);
        stream.open()?;
        let Some(next_sequence) = stream.next_sequence_at_rest() else {
            return Ok(false);
        };
        self.raise_first_sequence(next_sequence)?;
        let folder = stream.folder();
        let removed = self.folder(&format!("{REMOVED_PREFIX}{}", stream.container_id()));
        // An earlier worker may have been killed in step 4 for the same id.
        remove_folder(&*self.disk, &removed)?;
        // ORDER: whoever is given a stream while this is locked cannot find one that is half gone.
        let mut streams = self.streams();
        if !stream.retire(next_sequence) {
            return Ok(false);
        }
        let renamed = self.disk.rename(folder, &removed);
        if renamed.is_err() && !is_missing(&renamed) {
            stream.reinstate();
            renamed.map_err(Error::io("remove", folder))?;
        }
        streams.remove(stream.container_id());
        drop(streams);
        self.remove_renamed(&removed)?;
        Ok(true)
    }

    /// ORDER: the new name before the files go, or a power cut brings back a stream of which parts are gone.
    fn remove_renamed(&self, removed: &Path) -> Result<()> {
        let containers = self.containers();
        self.disk
            .sync_folder(&containers)
            .map_err(Error::io("sync", &containers))?;
        remove_folder(&*self.disk, removed)
    }

    /// New streams begin at `sequence` or above from now on, also those of the next worker.
    fn raise_first_sequence(&self, sequence: u64) -> Result<()> {
        let folder = self
            .root()
            .as_ref()
            .filter(|root| root.first_sequence() < sequence)
            .map(|root| root.folder().to_owned());
        let Some(folder) = folder else {
            return Ok(());
        };
        // Without the root's lock, for which every session waits that starts.
        write_first_sequence(&folder, sequence, &*self.disk)?;
        if let Some(root) = &mut *self.root() {
            root.raise_first_sequence(sequence);
        }
        Ok(())
    }

    /// Removes a stream that has nothing left.
    ///
    /// # Errors
    /// As `remove`.
    pub fn remove_empty(&self, stream: &Arc<Stream>) -> Result<()> {
        if stream.is_empty() {
            self.remove(stream)?;
        }
        Ok(())
    }

    /// Removes what an earlier worker has left of a stream that it was removing.
    pub(super) fn finish_removal(&self, name: &str) -> Result<()> {
        if !name.starts_with(REMOVED_PREFIX) {
            return Ok(());
        }
        self.remove_renamed(&self.folder(name))
    }
}

/// Removes a folder of files, if it is there.
fn remove_folder(disk: &dyn Disk, folder: &Path) -> Result<()> {
    let listed = list_folder(disk, folder);
    if is_missing(&listed) {
        return Ok(());
    }
    for file in listed.map_err(Error::io("list", folder))? {
        let path = folder.join(file.name);
        disk.remove_file(&path)
            .map_err(Error::io("remove", &path))?;
    }
    disk.remove_folder(folder)
        .map_err(Error::io("remove", folder))
}

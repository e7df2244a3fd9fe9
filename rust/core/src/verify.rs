//! Looking through the files of a store on this machine, for a command line.

use std::path::Path;

use crate::clock::Clock;
use crate::core::boot_id;
use crate::disk::SystemDisk;
use crate::error::Result;
use crate::store::{self, Place, record_folder};
use crate::stream::Checked;

pub use crate::store::SetAside;

/// What was looked at, and what was set aside.
#[derive(Debug)]
pub struct Verified {
    /// What was looked at, and what is damaged.
    pub checked: Checked,
    /// The damaged files, if they were to be set aside.
    pub set_aside: Vec<SetAside>,
}

/// Looks at all files of a store; with `repair` takes its lock, and sets aside those that are damaged.
///
/// # Errors
/// There is no data folder or no store in it, a newer version has written it, or a worker holds the lock that `repair` needs; or the disk refused.
pub fn verify(data: &Path, fifo_root: &Path, repair: bool) -> Result<Verified> {
    let records = &record_folder(fifo_root);
    let place = Place { data, records };
    if repair {
        let now_ns = Clock::System.now_ns();
        let (checked, set_aside) =
            store::repair(&SystemDisk, place, boot_id(&SystemDisk)?, now_ns)?;
        return Ok(Verified { checked, set_aside });
    }
    Ok(Verified {
        checked: store::verify(&SystemDisk, place)?,
        set_aside: Vec::new(),
    })
}

//! What is wrong with the intake, each fault by what comes of it. That of cutting is the cutter's own.

use crate::fault::Fault;

#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Why entries are being dropped.
    pub(super) dropping: Fault,
    /// Why entries were shown that may not survive a power cut.
    pub(super) unsynced: Fault,
    /// Why FIFOs are looked at by time.
    pub(super) unwatched: Fault,
    /// Why sessions of earlier workers are not found yet.
    pub(super) unfound: Fault,
    /// Why a session cannot be found again: by this worker, or by the next one.
    pub(super) unrecorded: Fault,
}

//! Counters since the start of this worker.

use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the counters once: as a struct, and as a list of names and values.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What has been counted. Names are those of the metrics, without their prefix.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: AtomicU64,)+
        }

        impl Counters {
            /// All names and values.
            pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)+]
            }
        }
    };
}

counters! {
    /// Entries taken out of FIFOs.
    intake_entries_total,
    /// Frame bytes taken out of FIFOs.
    intake_bytes_total,
    /// Entries that could not be stored.
    dropped_entries_total,
    /// Frame bytes that could not be stored.
    dropped_bytes_total,
    /// Runs of bytes that were no entry; each is kept beside the stream, and one entry says so.
    damaged_runs_total,
    /// Their bytes.
    damaged_bytes_total,
    /// Blocks cut.
    blocks_total,
    /// Frame bytes that were cut into blocks.
    block_frame_bytes_total,
    /// Bytes of these blocks as stored.
    block_stored_bytes_total,
    /// Segments that a limit has taken: a container's own, or one over the whole store.
    retention_deleted_segments_total,
    /// Their bytes, and those of journals of streams that were removed.
    retention_deleted_bytes_total,
    /// Bytes that all streams hold now: segments and journals.
    store_bytes,
    /// Streams that there are now.
    store_streams,
    /// Times that an operation on the store failed.
    storage_errors_total,
    /// Times that the disk did not answer the intake.
    disk_stalls_total,
    /// Seconds that these have taken.
    disk_stall_seconds_total,
    /// Bytes by which all FIFOs together are larger than the kernel's default.
    pipe_budget_used_bytes,
    /// FIFOs that are attached.
    sessions,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

//! Counters since the start of this worker.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
    /// Segments that all streams hold now.
    store_segments,
    /// When the newest entry of the oldest segment came, in seconds since the epoch; 0 where there is none. Up to ten seconds old.
    store_oldest_seconds,
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

/// Upper bounds of the buckets of `Durations`: from a disk that only notes a sync to one that hangs.
pub const DURATION_BOUNDS: [Duration; 12] = [
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

/// How long each of many things took.
#[derive(Debug, Default)]
pub struct Durations {
    /// By the lowest bound that it did not exceed; those above all bounds come last.
    counts: [AtomicU64; DURATION_BOUNDS.len() + 1],
    total_ns: AtomicU64,
}

impl Durations {
    /// One more.
    pub(crate) fn note(&self, took: Duration) {
        let bucket = DURATION_BOUNDS.partition_point(|bound| *bound < took);
        if let Some(count) = self.counts.get(bucket) {
            add(count, 1);
        }
        add(
            &self.total_ns,
            u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
        );
    }

    /// How many in each bucket, those above all bounds last; and all durations together.
    pub fn snapshot(&self) -> (Vec<u64>, Duration) {
        let counts = self.counts.iter();
        (
            counts.map(|count| count.load(Ordering::Relaxed)).collect(),
            Duration::from_nanos(self.total_ns.load(Ordering::Relaxed)),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DURATION_BOUNDS, Durations};

    #[test]
    fn a_duration_counts_in_the_bucket_of_the_lowest_bound_that_it_does_not_exceed() {
        let durations = Durations::default();
        let nanosecond = Duration::from_nanos(1);
        let last = DURATION_BOUNDS[11];
        for took in [
            Duration::ZERO,
            DURATION_BOUNDS[0],
            DURATION_BOUNDS[0] + nanosecond,
            last,
            last + nanosecond,
        ] {
            durations.note(took);
        }
        let (counts, total) = durations.snapshot();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(total, DURATION_BOUNDS[0] * 2 + last * 2 + nanosecond * 2);
    }
}

//! What all streams together may take.

/// Limits over the whole store. `None` is no limit. `docs/retention.md` tells how they work together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreLimits {
    /// Stored bytes of all streams: segments and journals.
    pub max_bytes: Option<u64>,
    /// Free space on the store's file system that is kept, as far as the store itself holds more than so much.
    pub min_free_bytes: Option<u64>,
    /// How many streams there may be. Only ended ones go.
    pub max_streams: Option<u64>,
    /// An ended stream goes when its newest entry is older, and nothing was written to it since.
    pub keep_ended_s: Option<u64>,
}

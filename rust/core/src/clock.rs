//! Wall-clock time, which tests set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the time comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until it is set.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Nanoseconds since the epoch; never negative.
    pub fn now_ns(&self) -> i64 {
        match self {
            #[expect(
                clippy::disallowed_methods,
                reason = "the one place that asks the machine"
            )]
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| {
                    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
                }),
            Self::Manual(now) => now.load(Ordering::Relaxed),
        }
    }
}

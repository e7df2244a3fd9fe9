//! Asking retention for room before entries are dropped for want of it.

use std::time::{Duration, Instant};

use super::cutter::CutterThread;

/// LIMIT: a session's entries stay in its FIFO for so long at most while retention makes room for them. A container that
/// prints more than a FIFO holds waits meanwhile.
const MOST_WAIT: Duration = Duration::from_millis(200);

/// Whether a session has asked since it could last store something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Room {
    #[default]
    NotAsked,
    Asked {
        question: u64,
        until: Instant,
    },
    /// The answer is not waited for any more.
    Over,
}

impl Room {
    /// Asks; `false`: it had asked before, and all the same no room is left. Retention tries once more, but nobody waits for it.
    pub(super) fn ask(&mut self, cutter: &CutterThread, now: Instant) -> bool {
        let question = cutter.ask_for_room();
        if matches!(self, Self::NotAsked) {
            let until = now + MOST_WAIT;
            *self = Self::Asked { question, until };
            return true;
        }
        *self = Self::Over;
        false
    }

    /// The answer has not come yet.
    pub(super) fn is_awaited(self, cutter: &CutterThread, now: Instant) -> bool {
        match self {
            Self::Asked { question, until } => now < until && !cutter.has_answered(question),
            Self::NotAsked | Self::Over => false,
        }
    }

    pub(super) fn stop_waiting(&mut self) {
        *self = Self::Over;
    }
}

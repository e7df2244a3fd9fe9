//! What the supervisor says, on stderr, which lands in dockerd's log.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A worker that dies all the time must not fill dockerd's log: so many lines in each `WINDOW`.
const LINES_PER_WINDOW: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// A pipe that polls writable has room for this much (`PIPE_BUF`), so that a write of it cannot block.
const LONGEST_LINE: usize = 4096;

/// Writes lines to stderr, at most ten a minute.
#[derive(Debug)]
pub(crate) struct Report {
    window_start: Instant,
    said: u32,
    suppressed: u32,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            window_start: Instant::now(),
            said: 0,
            suppressed: 0,
        }
    }

    /// Says one thing, or counts it where too much was said in this minute.
    pub(crate) fn say(&mut self, message: &str) {
        self.say_suppressed();
        if self.admit() {
            write_line(message);
        }
    }

    /// When there is something to say of suppressed lines, and nothing else may come to carry it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (self.suppressed > 0).then(|| self.window_start + WINDOW)
    }

    /// Begins the next minute if it is time, and says how many lines the last one suppressed.
    pub(crate) fn say_suppressed(&mut self) {
        let suppressed = self.roll(Instant::now());
        if suppressed > 0 && self.admit() {
            write_line(&format!(
                "{suppressed} more lines were suppressed in the last minute"
            ));
        }
    }

    fn roll(&mut self, now: Instant) -> u32 {
        if now.duration_since(self.window_start) < WINDOW {
            return 0;
        }
        let suppressed = self.suppressed;
        *self = Self {
            window_start: now,
            said: 0,
            suppressed: 0,
        };
        suppressed
    }

    fn admit(&mut self) -> bool {
        let admitted = self.said < LINES_PER_WINDOW;
        if admitted {
            self.said += 1;
        } else {
            self.suppressed += 1;
        }
        admitted
    }
}

/// A line is dropped rather than waited for: when dockerd does not read its end, PID 1 must not hang.
fn write_line(message: &str) {
    let mut line = format!("logboom-init: {message}\n").into_bytes();
    line.truncate(LONGEST_LINE);
    let mut stderr = io::stderr();
    let mut room = [PollFd::new(&stderr, PollFlags::OUT)];
    let no_wait = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    if poll(&mut room, Some(&no_wait)).is_ok_and(|ready| ready > 0) {
        drop(stderr.write_all(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_a_minute_and_the_rest_is_counted() {
        let mut report = Report::new();
        let admitted = (0..25).filter(|_| report.admit()).count();
        assert_eq!((admitted, report.suppressed), (10, 15));
        assert_eq!(report.deadline(), Some(report.window_start + WINDOW));

        let start = report.window_start;
        assert_eq!(
            report.roll(start + WINDOW.saturating_sub(Duration::from_millis(1))),
            0
        );
        assert!(!report.admit());
        assert_eq!(report.roll(start + WINDOW), 16);
        assert_eq!(report.deadline(), None);
        assert!(report.admit());
    }
}

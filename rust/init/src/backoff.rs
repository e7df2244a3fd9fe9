//! How long to wait before trying again.

use std::time::Duration;

/// The second try in a row waits so long; the first does not wait, because a container may be waiting.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// No try waits longer: containers wait as long, and a worker that dies again and again must still cost little.
const LONGEST_DELAY: Duration = Duration::from_millis(500);
/// What lasted so long was well, and the next failure is a new one.
const STEADY_AFTER: Duration = Duration::from_secs(10);

/// Delays of 0, 50, 100, 200 ms and so on to 500 ms while tries fail in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// The delay after a try that lasted `lived` before it failed.
    pub(crate) fn delay_after(&mut self, lived: Duration) -> Duration {
        let delay = match self.last {
            Some(last) if lived < STEADY_AFTER => (last * 2).clamp(FIRST_DELAY, LONGEST_DELAY),
            _ => Duration::ZERO,
        };
        self.last = Some(delay);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays_ms(backoff: &mut Backoff, lives: &[Duration]) -> Vec<u128> {
        lives
            .iter()
            .map(|lived| backoff.delay_after(*lived).as_millis())
            .collect()
    }

    #[test]
    fn quick_deaths_double_the_delay_up_to_the_longest() {
        let quick = [Duration::from_millis(9999); 10];
        let delays = delays_ms(&mut Backoff::default(), &quick);
        assert_eq!(delays, [0, 50, 100, 200, 400, 500, 500, 500, 500, 500]);
    }

    #[test]
    fn a_steady_life_starts_anew() {
        let mut backoff = Backoff::default();
        delays_ms(&mut backoff, &[Duration::ZERO; 6]);
        let delays = delays_ms(
            &mut backoff,
            &[STEADY_AFTER, Duration::ZERO, Duration::ZERO],
        );
        assert_eq!(delays, [0, 50, 100]);
    }
}

//! What several runs came to.

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::Result;

/// The least, the middle and the most of some runs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of at least one number.
    pub(crate) fn of(mut numbers: Vec<f64>) -> Self {
        numbers.sort_by(f64::total_cmp);
        Self {
            min: numbers.first().copied().unwrap_or_default(),
            median: quantile(&numbers, 0.5),
            max: numbers.last().copied().unwrap_or_default(),
        }
    }

    pub(crate) fn as_json(self) -> Value {
        json!({"min": rounded(self.min), "median": rounded(self.median), "max": rounded(self.max)})
    }
}

/// Where a share of the sorted numbers lies below, between neighbours by their distance.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let place = share * last as f64;
    let below = sorted.get(place as usize).copied().unwrap_or_default();
    let above = sorted
        .get(last.min(place as usize + 1))
        .copied()
        .unwrap_or_default();
    below + (above - below) * place.fract()
}

/// Four significant digits are more than any measurement here is good for.
pub(crate) fn rounded(number: f64) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return 0.0;
    }
    let scale = 10_f64.powi(3 - number.abs().log10().floor() as i32);
    (number * scale).round() / scale
}

fn seconds_of(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Seconds that this thread has spent on a core so far.
pub(crate) fn thread_cpu_s() -> f64 {
    seconds_of(ClockId::ThreadCPUTime)
}

/// Seconds that all threads of this process have spent so far.
pub(crate) fn process_cpu_s() -> f64 {
    seconds_of(ClockId::ProcessCPUTime)
}

/// Seconds on a core that this thread needs for `work`, per pass, in each of some runs. A run has as many passes as make
/// up `least_bytes`, so that short corpora are measured over a time that a clock can tell. One run goes before to warm up.
pub(crate) fn seconds_per_pass(
    runs: usize,
    bytes: usize,
    least_bytes: usize,
    mut work: impl FnMut() -> Result<()>,
) -> Result<Vec<f64>> {
    let passes = least_bytes.div_ceil(bytes.max(1)).max(1);
    let mut seconds = Vec::new();
    for _ in 0..=runs {
        let started = thread_cpu_s();
        for _ in 0..passes {
            work()?;
        }
        seconds.push((thread_cpu_s() - started) / passes as f64);
    }
    Ok(seconds.split_off(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_between_neighbours() {
        let shares = [0.0, 0.25, 0.5, 0.75, 1.0];
        let found = shares.map(|share| quantile(&[1.0, 2.0, 4.0], share).to_string());
        assert_eq!(found, ["1", "1.5", "2", "3", "4"]);
    }

    #[test]
    fn four_digits_are_kept() {
        let kept = [123_456.0, 0.001_234_56, 0.0].map(|number| rounded(number).to_string());
        assert_eq!(kept, ["123500", "0.001235", "0"]);
    }
}

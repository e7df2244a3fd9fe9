//! What came from whom, by the containers' names.
//!
//! A counter lives in the session that counts, so the intake pays one relaxed addition for it. Names are bounded: whoever
//! collects the figures keeps a time series for each.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::stats::add;

/// LIMIT: a longer name counts among the others. Docker's are shorter than a host's, which have 253 characters.
const MAX_NAME_BYTES: usize = 255;

/// What came out of the FIFOs of the containers of one name.
#[derive(Debug, Default)]
pub struct Received {
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl Received {
    pub(super) fn add_entries(&self, count: u64) {
        add(&self.entries, count);
    }

    pub(super) fn add_bytes(&self, count: u64) {
        add(&self.bytes, count);
    }

    /// Entries.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Frame bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// The counters of all names that have one, and of the others together.
#[derive(Debug)]
pub struct Traffic {
    most_names: usize,
    names: Mutex<HashMap<String, Arc<Received>>>,
    others: Arc<Received>,
}

/// What the facts of a session say of its container.
#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

fn name_in(facts: &RawValue) -> Option<String> {
    let named: Named = serde_json::from_str(facts.get()).ok()?;
    named
        .name
        .filter(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES)
}

impl Traffic {
    /// Counters for so many names at once.
    pub fn new(most_names: usize) -> Self {
        Self {
            most_names,
            names: Mutex::default(),
            others: Arc::default(),
        }
    }

    /// Where a session counts. When there are enough names, one that no session has any more makes room: the one that has
    /// printed least. What it has counted goes to the others, so that nothing is lost from the sum.
    pub(super) fn counter(&self, facts: &RawValue) -> Arc<Received> {
        let Some(name) = name_in(facts) else {
            return Arc::clone(&self.others);
        };
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= self.most_names && !names.contains_key(&name) {
            let idle = names
                .iter()
                .filter(|(_, received)| Arc::strong_count(received) == 1)
                .min_by_key(|(_, received)| received.entries())
                .map(|(name, _)| name.clone());
            let Some(received) = idle.and_then(|idle| names.remove(&idle)) else {
                return Arc::clone(&self.others);
            };
            self.others.add_entries(received.entries());
            self.others.add_bytes(received.bytes());
        }
        Arc::clone(names.entry(name).or_default())
    }

    /// Entries and frame bytes by name; without a name, those of all others.
    pub fn snapshot(&self) -> Vec<(Option<String>, u64, u64)> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names
            .iter()
            .map(|(name, received)| (Some(name.clone()), received))
            .chain([(None, &self.others)])
            .map(|(name, received)| (name, received.entries(), received.bytes()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::{MAX_NAME_BYTES, Traffic};

    fn facts(name: &str) -> Box<RawValue> {
        RawValue::from_string(format!(r#"{{"id":"x","name":"{name}"}}"#)).unwrap()
    }

    fn counted(traffic: &Traffic) -> Vec<(Option<String>, u64, u64)> {
        let mut counted = traffic.snapshot();
        counted.sort();
        counted
    }

    #[test]
    fn sessions_of_one_name_count_together_and_those_without_one_with_the_others() {
        let traffic = Traffic::new(8);
        traffic.counter(&facts("web")).add_entries(1);
        traffic.counter(&facts("web")).add_bytes(10);
        let unnamed = [
            "{}",
            r#"{"name":null}"#,
            r#"{"name":""}"#,
            r#"{"name":7}"#,
            "[]",
        ];
        for text in unnamed {
            let facts = RawValue::from_string(text.to_owned()).unwrap();
            traffic.counter(&facts).add_entries(1);
        }
        assert_eq!(
            counted(&traffic),
            [(None, 5, 0), (Some("web".to_owned()), 1, 10)]
        );
    }

    #[test]
    fn a_name_of_the_greatest_length_is_counted_and_a_longer_one_is_not() {
        let traffic = Traffic::new(8);
        let longest = "x".repeat(MAX_NAME_BYTES);
        traffic.counter(&facts(&longest)).add_entries(1);
        traffic
            .counter(&facts(&format!("{longest}x")))
            .add_entries(2);
        assert_eq!(counted(&traffic), [(None, 2, 0), (Some(longest), 1, 0)]);
    }

    #[test]
    fn above_the_limit_names_without_a_session_make_room_and_the_sum_stays() {
        let traffic = Traffic::new(2);
        let busy = traffic.counter(&facts("busy"));
        busy.add_entries(1);
        traffic.counter(&facts("ended")).add_entries(20);
        let next = traffic.counter(&facts("next"));
        next.add_entries(300);
        traffic.counter(&facts("late")).add_entries(4000);
        assert_eq!(
            counted(&traffic),
            [
                (None, 4020, 0),
                (Some("busy".to_owned()), 1, 0),
                (Some("next".to_owned()), 300, 0)
            ]
        );
        drop(next);
        drop(busy);
        traffic.counter(&facts("last")).add_entries(50_000);
        let left: Vec<_> = counted(&traffic);
        assert_eq!(
            left.iter().map(|(_, entries, _)| entries).sum::<u64>(),
            54_321
        );
        assert!(
            left.iter()
                .all(|(name, ..)| name.as_deref() != Some("busy"))
        );
    }

    #[test]
    fn without_any_names_all_are_others() {
        let traffic = Traffic::new(0);
        traffic.counter(&facts("web")).add_bytes(3);
        assert_eq!(counted(&traffic), [(None, 0, 3)]);
    }
}

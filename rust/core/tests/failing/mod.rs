//! Runs in which one call fails: containers that print, on a simulated disk.
#![allow(unreachable_pub, reason = "a module of tests")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use logboom_core::Core;
use logboom_core::replay::Replay;
use logboom_core::stream::Query;

use crate::simulated::{Dice, SimulatedDisk};
use crate::support::{Container, Host, Line, frame, line};

pub struct Run {
    pub host: Host,
    pub disk: SimulatedDisk,
    /// What each container has printed, in order.
    pub printed: BTreeMap<&'static str, Vec<Line>>,
    time_ns: i64,
}

impl Run {
    /// No worker is started yet.
    pub fn new() -> Self {
        let mut host = Host::new();
        host.core = None;
        let disk = SimulatedDisk::with_folder(host.folder.path());
        Self {
            host,
            disk,
            printed: BTreeMap::new(),
            time_ns: 0,
        }
    }

    /// A worker that cannot begin says so; the supervisor starts another.
    pub fn start(&mut self) {
        self.host.core = None;
        let open = || Core::open_on(self.host.settings(), Arc::new(self.disk.clone()));
        let core = open().or_else(|_| open());
        self.host.core = Some(core.unwrap());
    }

    pub fn print(&mut self, id: &'static str, container: &mut Container, count: usize) {
        for _ in 0..count {
            self.time_ns += 1;
            let printed = line(self.time_ns, format!("line {} of {id}", self.time_ns));
            container.write(&frame(&printed));
            self.printed.entry(id).or_default().push(printed);
        }
    }

    /// A reader that cannot begin says so, and the next one does not.
    pub fn read(&self, id: &str, query: &Query) -> Replay {
        let read = || self.host.core().read(id, query);
        read().or_else(|_| read()).unwrap()
    }
}

/// All ways to fail with `LOGBOOM_TEST_CALLS=all`, else so many of them.
pub fn choose<T>(mut all: Vec<T>, count: usize, mut dice: Dice) -> Vec<T> {
    if std::env::var("LOGBOOM_TEST_CALLS").is_ok_and(|calls| calls == "all") {
        return all;
    }
    (0..count.min(all.len()))
        .map(|_| all.swap_remove(dice.roll(all.len())))
        .collect()
}

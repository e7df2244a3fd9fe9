//! Several streams as one log.

use std::sync::{Mutex, MutexGuard, PoisonError};

use logboom_core::playback::{self, Track};
use logboom_core::replay::{Format, Output, Zone};
use logboom_core::stream::Query;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::view::StoreView;

/// Reads several streams of a view.
#[pyclass(frozen, module = "logboom._core")]
pub(crate) struct Playback(Mutex<playback::Playback>);

/// What a call of `Playback.next` gives.
#[pyclass(frozen, get_all, module = "logboom._core")]
pub(crate) struct Printed {
    runs: Vec<(bool, Py<PyBytes>)>,
    entry_count: u64,
}

impl Playback {
    fn lock(&self) -> MutexGuard<'_, playback::Playback> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Playback {
    #[new]
    #[pyo3(signature = (view, *, only_stderr))]
    fn new(view: &StoreView, only_stderr: Option<bool>) -> Self {
        let only = only_stderr.map(|is_stderr| {
            if is_stderr {
                Output::Stderr
            } else {
                Output::Stdout
            }
        });
        Self(Mutex::new(playback::Playback::new(view.0.clone(), only)))
    }

    #[pyo3(signature = (*, container_id, begins_ns, tail, since_ns, until_ns, times, details, prefix))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments in Python")]
    fn add_text(
        &self,
        container_id: String,
        begins_ns: i64,
        tail: Option<u64>,
        since_ns: Option<i64>,
        until_ns: Option<i64>,
        times: Option<&str>,
        details: Option<Vec<u8>>,
        prefix: Vec<u8>,
    ) {
        let times = times.map(|zone| match zone {
            "local" => Zone::local(),
            _ => Zone::Utc,
        });
        self.lock().add(Track {
            container_id,
            query: query(tail, since_ns, until_ns),
            begins_ns,
            format: Format::Text { times, details },
            prefix,
        });
    }

    #[pyo3(signature = (*, container_id, begins_ns, tail, since_ns, until_ns, members))]
    #[expect(clippy::needless_pass_by_value, reason = "Python gives it up")]
    fn add_json(
        &self,
        container_id: String,
        begins_ns: i64,
        tail: Option<u64>,
        since_ns: Option<i64>,
        until_ns: Option<i64>,
        members: Vec<(String, String)>,
    ) {
        self.lock().add(Track {
            container_id,
            query: query(tail, since_ns, until_ns),
            begins_ns,
            format: Format::json(&members),
            prefix: Vec::new(),
        });
    }

    fn next(&self, py: Python<'_>, max_bytes: usize) -> Printed {
        let printed = py.detach(|| {
            let mut printed = playback::Printed::default();
            self.lock().next(max_bytes, &mut printed);
            printed
        });
        let mut from = 0;
        let runs = printed
            .runs
            .iter()
            .map(|(output, end)| {
                let bytes = printed.bytes.get(from..*end).unwrap_or_default();
                from = *end;
                (*output == Output::Stderr, PyBytes::new(py, bytes).unbind())
            })
            .collect();
        Printed {
            runs,
            entry_count: printed.entry_count,
        }
    }

    fn look_again(&self, py: Python<'_>) {
        py.detach(|| self.lock().look_again());
    }

    fn is_over(&self) -> bool {
        self.lock().is_over()
    }
}

fn query(tail: Option<u64>, since_ns: Option<i64>, until_ns: Option<i64>) -> Query {
    Query {
        tail,
        since_ns,
        until_ns,
        ..Query::default()
    }
}

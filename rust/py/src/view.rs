//! The store as its files are.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logboom_core::listing::{self, Sort, State, Table};
use logboom_core::replay::{Replay, Zone};
use logboom_core::store;
use logboom_core::stream::{self, Query};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::to_python;
use crate::reader::Reader;

/// The files of a store.
#[pyclass(frozen, module = "logboom._core")]
pub(crate) struct StoreView(pub(crate) store::StoreView);

/// One stream, or a container that runs and has not printed yet.
#[pyclass(frozen, module = "logboom._core")]
pub(crate) struct Stream(store::Listed);

/// A stream as people know it.
#[pyclass(frozen, module = "logboom._core")]
pub(crate) struct Container(Arc<listing::Container>);

#[pymethods]
impl Stream {
    #[getter]
    fn container_id(&self) -> &str {
        &self.0.container_id
    }

    #[getter]
    fn is_active(&self) -> Option<bool> {
        self.0.is_active
    }

    #[getter]
    fn first_started_ns(&self) -> Option<i64> {
        self.0.first_started_ns
    }

    #[getter]
    fn last_started_ns(&self) -> Option<i64> {
        self.0.last_started_ns
    }

    #[getter]
    fn facts(&self) -> Option<&str> {
        self.0.facts.as_deref()
    }

    #[getter]
    fn held(&self) -> Option<Description> {
        self.0.held.map(Description::from)
    }
}

#[pymethods]
impl Container {
    #[getter]
    fn container_id(&self) -> &str {
        &self.0.listed.container_id
    }

    #[getter]
    fn short_id(&self) -> &str {
        self.0.short_id()
    }

    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    #[getter]
    fn image(&self) -> &str {
        &self.0.image
    }

    #[getter]
    fn labels(&self) -> &str {
        self.0.labels()
    }

    #[getter]
    fn attributes(&self) -> &str {
        self.0.attributes()
    }

    #[getter]
    fn is_active(&self) -> Option<bool> {
        self.0.listed.is_active
    }

    #[getter]
    fn is_named(&self) -> bool {
        self.0.listed.facts.is_some()
    }

    #[getter]
    fn held(&self) -> Option<Description> {
        self.0.listed.held.map(Description::from)
    }
}

/// Containers and what their logs hold.
#[pyclass(frozen, module = "logboom._core")]
pub(crate) struct Listing(listing::Listing);

#[pymethods]
impl Listing {
    fn faults(&self) -> Vec<(&str, String)> {
        let faults = self.0.faults().iter();
        faults
            .map(|(name, error)| (&**name, error.to_string()))
            .collect()
    }

    #[pyo3(signature = (*, utc))]
    fn table(&self, py: Python<'_>, utc: bool) -> String {
        py.detach(|| self.0.table(&zone(utc)))
    }

    fn json<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let text = py.detach(|| self.0.json());
        PyBytes::new(py, &text)
    }
}

fn zone(utc: bool) -> Zone {
    if utc { Zone::Utc } else { Zone::local() }
}

/// Columns of text.
#[pyfunction]
#[pyo3(signature = (head, rows, *, right))]
#[expect(clippy::needless_pass_by_value, reason = "Python gives it up")]
pub(crate) fn table(head: Vec<String>, rows: Vec<Vec<String>>, right: Vec<usize>) -> String {
    let mut table = Table::new(head.iter().map(String::as_str), &right);
    for cell in rows.iter().flatten() {
        table.add(cell);
    }
    table.finish()
}

/// A size for people.
#[pyfunction]
pub(crate) fn show_bytes(size_bytes: u64) -> String {
    listing::show_bytes(size_bytes)
}

/// A time for people.
#[pyfunction]
#[pyo3(signature = (time_ns, *, utc))]
pub(crate) fn show_time(time_ns: Option<i64>, utc: bool) -> String {
    listing::show_time(time_ns, &zone(utc))
}

/// What a stream holds.
#[pyclass(frozen, get_all, module = "logboom._core")]
pub(crate) struct Description {
    entry_count: u64,
    first_ns: Option<i64>,
    last_ns: Option<i64>,
    first_sequence: u64,
    end_sequence: u64,
    text_bytes: u64,
    stored_bytes: u64,
    segment_count: u64,
}

impl From<stream::Description> for Description {
    fn from(description: stream::Description) -> Self {
        Self {
            entry_count: description.entry_count,
            first_ns: description.first_ns,
            last_ns: description.last_ns,
            first_sequence: description.first_sequence,
            end_sequence: description.end_sequence,
            text_bytes: description.text_bytes,
            stored_bytes: description.stored_bytes,
            segment_count: description.segment_count,
        }
    }
}

#[pymethods]
impl StoreView {
    #[staticmethod]
    #[pyo3(signature = (*, data, fifo_root))]
    fn open(py: Python<'_>, data: &str, fifo_root: Option<PathBuf>) -> PyResult<Self> {
        // What dockerd names is absolute; without a prefix it is looked up from the root.
        let fifo_root = fifo_root.map(|fifo_root| PathBuf::from("/").join(fifo_root));
        py.detach(|| store::StoreView::open(Path::new(data), fifo_root))
            .map(Self)
            .map_err(to_python)
    }

    #[getter]
    fn folder(&self) -> String {
        self.0.folder().display().to_string()
    }

    fn stream_ids(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        py.detach(|| self.0.stream_ids()).map_err(to_python)
    }

    fn streams(&self, py: Python<'_>) -> PyResult<Vec<Stream>> {
        let streams = py.detach(|| self.0.list()).map_err(to_python)?;
        Ok(streams.into_iter().map(Stream).collect())
    }

    #[pyo3(signature = (*, after, limit))]
    fn streams_page(&self, py: Python<'_>, after: &str, limit: usize) -> PyResult<Vec<Stream>> {
        let streams = py
            .detach(|| self.0.list_page(after, limit))
            .map_err(to_python)?;
        Ok(streams.into_iter().map(Stream).collect())
    }

    fn containers(&self, py: Python<'_>) -> PyResult<Vec<Container>> {
        let containers = py
            .detach(|| listing::containers(&self.0))
            .map_err(to_python)?;
        Ok(containers
            .into_iter()
            .map(|container| Container(Arc::new(container)))
            .collect())
    }

    #[pyo3(signature = (containers, *, existing, states, sort))]
    #[expect(clippy::needless_pass_by_value, reason = "Python gives it up")]
    fn listing(
        &self,
        py: Python<'_>,
        containers: Vec<Bound<'_, Container>>,
        existing: Option<HashSet<String>>,
        states: Option<Vec<String>>,
        sort: &str,
    ) -> Listing {
        let containers = containers
            .iter()
            .map(|container| Arc::clone(&container.get().0))
            .collect();
        let states = states.map(|states| states.iter().map(|state| state_named(state)).collect());
        let sort = sort_named(sort);
        py.detach(|| {
            let states: Option<Vec<State>> = states;
            let mut listing =
                listing::Listing::look(&self.0, containers, existing.as_ref(), states.as_deref());
            listing.sort(sort);
            Listing(listing)
        })
    }

    #[pyo3(signature = (*, container_id))]
    fn describe(&self, py: Python<'_>, container_id: &str) -> PyResult<Option<Description>> {
        let described = py.detach(|| self.0.describe(container_id));
        Ok(described.map_err(to_python)?.map(Description::from))
    }

    #[pyo3(signature = (*, container_ids, from_ns, span_ns, span_count))]
    #[expect(clippy::needless_pass_by_value, reason = "Python gives it up")]
    fn activity(
        &self,
        py: Python<'_>,
        container_ids: Vec<String>,
        from_ns: i64,
        span_ns: i64,
        span_count: usize,
    ) -> PyResult<Vec<u64>> {
        py.detach(|| {
            let mut spans = vec![0; span_count];
            for container_id in &container_ids {
                if let Some(snapshot) = self.0.snapshot(container_id)? {
                    snapshot.add_activity(from_ns, span_ns, &mut spans)?;
                }
            }
            Ok(spans)
        })
        .map_err(to_python)
    }

    #[pyo3(signature = (*, container_id, tail, since_ns, until_ns, from_sequence))]
    fn read(
        &self,
        py: Python<'_>,
        container_id: &str,
        tail: Option<u64>,
        since_ns: Option<i64>,
        until_ns: Option<i64>,
        from_sequence: Option<u64>,
    ) -> PyResult<Option<Reader>> {
        let query = Query {
            tail,
            since_ns,
            until_ns,
            follow: false,
            from_sequence,
        };
        let read = py.detach(|| {
            let snapshot = self.0.snapshot(container_id)?;
            snapshot
                .map(|snapshot| snapshot.read(&query).map(Replay::new))
                .transpose()
        });
        Ok(read.map_err(to_python)?.map(Reader::new))
    }
}

fn state_named(name: &str) -> State {
    match name {
        "active" => State::Active,
        "ended" => State::Ended,
        "removed" => State::Removed,
        _ => State::Unknown,
    }
}

fn sort_named(name: &str) -> Sort {
    match name {
        "first" => Sort::First,
        "name" => Sort::Name,
        "entries" => Sort::Entries,
        "size" => Sort::Size,
        "stored" => Sort::Stored,
        _ => Sort::Last,
    }
}

//! The store as its files are.

use std::path::{Path, PathBuf};

use logboom_core::replay::Replay;
use logboom_core::store;
use logboom_core::stream::{self, Query};
use pyo3::prelude::*;

use crate::errors::to_python;
use crate::reader::Reader;

/// The files of a store.
#[pyclass(frozen, module = "logboom._core")]
pub(crate) struct StoreView(pub(crate) store::StoreView);

/// One stream, or a container that runs and has not printed yet.
#[pyclass(frozen, module = "logboom._core")]
pub(crate) struct Stream(store::Listed);

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

    #[pyo3(signature = (*, container_id))]
    fn describe(&self, py: Python<'_>, container_id: &str) -> PyResult<Option<Description>> {
        let described = py.detach(|| {
            let snapshot = self.0.snapshot(container_id)?;
            snapshot.map(|snapshot| snapshot.describe()).transpose()
        });
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

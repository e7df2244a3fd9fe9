//! The store.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use logboom_core::clock::Clock;
use logboom_core::stats::DURATION_BOUNDS;
use logboom_core::store::{Removal, StoreLimits};
use logboom_core::stream::{GivenOptions, Options, Query};
use logboom_core::sync_log::FILE_BYTES;
use logboom_core::{Core, Settings};
use pyo3::prelude::*;

use crate::errors::to_python;
use crate::reader::Reader;
use crate::view::StoreView;

/// An option of a container: left out, or given.
#[derive(Clone, Copy)]
struct Given<T>(Option<T>);

impl<'a, 'py, T: FromPyObject<'a, 'py>> FromPyObject<'a, 'py> for Given<T> {
    type Error = T::Error;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> Result<Self, Self::Error> {
        value.extract().map(Some).map(Self)
    }
}

/// All streams of one data folder, and the intake that fills them.
#[pyclass(frozen, module = "logboom._core")]
pub(crate) struct Store(Core);

#[pymethods]
impl Store {
    #[staticmethod]
    #[pyo3(signature = (*, data, fifo_root, block_seconds, pipe_budget_bytes, named_containers, sync))]
    fn open(
        py: Python<'_>,
        data: PathBuf,
        fifo_root: PathBuf,
        block_seconds: u64,
        pipe_budget_bytes: u64,
        named_containers: usize,
        sync: &str,
    ) -> PyResult<Self> {
        let settings = Settings {
            data,
            // What dockerd names is absolute; without a prefix it is looked up from the root.
            fifo_root: PathBuf::from("/").join(fifo_root),
            block_after: Duration::from_secs(block_seconds),
            pipe_budget_bytes,
            named_containers,
            sync: sync.parse().map_err(to_python)?,
            log_file_bytes: FILE_BYTES,
            clock: Clock::System,
        };
        py.detach(|| Core::open(settings))
            .map(Self)
            .map_err(to_python)
    }

    #[pyo3(signature = (
        *,
        file,
        container_id,
        facts,
        max_size_bytes = Given(None),
        max_file = Given(None),
        max_age_s = Given(None),
        compress = Given(None),
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments in Python")]
    fn start_session(
        &self,
        py: Python<'_>,
        file: &str,
        container_id: &str,
        facts: &str,
        max_size_bytes: Given<Option<u64>>,
        max_file: Given<u64>,
        max_age_s: Given<Option<u64>>,
        compress: Given<bool>,
    ) -> PyResult<()> {
        let given = GivenOptions {
            max_size_bytes: max_size_bytes.0,
            max_file: max_file.0,
            max_age_s: max_age_s.0,
            compress: compress.0,
        };
        py.detach(|| self.0.start_session(file, container_id, facts, given))
            .map_err(to_python)
    }

    #[pyo3(signature = (*, file))]
    fn stop_session(&self, py: Python<'_>, file: &str) -> PyResult<bool> {
        py.detach(|| self.0.stop_session(file)).map_err(to_python)
    }

    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.drain()).map_err(to_python)
    }

    #[pyo3(signature = (*, container_id, tail, since_ns, until_ns, follow, from_sequence = None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments in Python")]
    fn read(
        &self,
        py: Python<'_>,
        container_id: &str,
        tail: Option<u64>,
        since_ns: Option<i64>,
        until_ns: Option<i64>,
        follow: bool,
        from_sequence: Option<u64>,
    ) -> PyResult<Reader> {
        let query = Query {
            tail,
            since_ns,
            until_ns,
            follow,
            from_sequence,
        };
        py.detach(|| self.0.read(container_id, &query))
            .map(Reader::new)
            .map_err(to_python)
    }

    #[pyo3(signature = (*, container_id))]
    fn has_log(&self, py: Python<'_>, container_id: &str) -> PyResult<bool> {
        py.detach(|| self.0.has_log(container_id))
            .map_err(to_python)
    }

    #[pyo3(signature = (*, container_id))]
    fn remove(&self, py: Python<'_>, container_id: &str) -> PyResult<&'static str> {
        let removed = py
            .detach(|| self.0.remove(container_id))
            .map_err(to_python)?;
        Ok(match removed {
            Removal::Removed => "removed",
            Removal::Missing => "missing",
            Removal::InUse => "in-use",
        })
    }

    fn view(&self, py: Python<'_>) -> PyResult<StoreView> {
        py.detach(|| self.0.view())
            .map(StoreView)
            .map_err(to_python)
    }

    #[pyo3(signature = (*, max_bytes, min_free_bytes, max_streams, keep_ended_s))]
    fn set_limits(
        &self,
        max_bytes: Option<u64>,
        min_free_bytes: Option<u64>,
        max_streams: Option<u64>,
        keep_ended_s: Option<u64>,
    ) {
        self.0.set_store_limits(StoreLimits {
            max_bytes,
            min_free_bytes,
            max_streams,
            keep_ended_s,
        });
    }

    #[pyo3(signature = (*, max_size_bytes, max_file, max_age_s, compress))]
    fn set_default_options(
        &self,
        max_size_bytes: Option<u64>,
        max_file: u64,
        max_age_s: Option<u64>,
        compress: bool,
    ) {
        self.0.set_default_options(Options {
            max_size_bytes,
            max_file,
            max_age_s,
            compress,
        });
    }

    fn fault(&self) -> Option<String> {
        self.0.fault()
    }

    fn faults(&self) -> Vec<(&'static str, String)> {
        self.0.faults()
    }

    fn folder(&self) -> PathBuf {
        self.0.folder().to_owned()
    }

    fn stall_seconds(&self) -> Option<u64> {
        self.0.stall_seconds()
    }

    fn statistics(&self) -> HashMap<&'static str, u64> {
        self.0.statistics().into_iter().collect()
    }

    fn traffic(&self) -> Vec<(Option<String>, u64, u64)> {
        self.0.traffic().snapshot()
    }

    fn sync_durations(&self) -> (Vec<(f64, u64)>, f64) {
        let (counts, total) = self.0.syncs().snapshot();
        let bounds = DURATION_BOUNDS.iter().map(Duration::as_secs_f64);
        let buckets = bounds.chain([f64::INFINITY]).zip(counts).collect();
        (buckets, total.as_secs_f64())
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}

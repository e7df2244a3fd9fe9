//! Readers.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use logboom_core::Error;
use logboom_core::replay::Replay;
use logboom_core::stream::Progress;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::to_python;

/// What a reader keeps between calls; the memory is used again for each chunk.
struct Open {
    replay: Replay,
    frames: Vec<u8>,
}

/// Walks one stream forwards.
#[pyclass(frozen, module = "logboom._core")]
pub(crate) struct Reader(Mutex<Option<Open>>);

impl Reader {
    pub(crate) fn new(replay: Replay) -> Self {
        Self(Mutex::new(Some(Open {
            replay,
            frames: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Reader {
    fn fileno(&self) -> PyResult<i32> {
        let open = self.lock();
        open.as_ref()
            .map(|open| open.replay.as_fd().as_raw_fd())
            .ok_or_else(|| to_python(Error::Closed))
    }

    fn next_frames<'py>(
        &self,
        py: Python<'py>,
        max_bytes: usize,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let progress = py.detach(|| {
            let mut open = self.lock();
            open.as_mut().map(|open| {
                open.frames.clear();
                open.replay.next_frames(max_bytes, &mut open.frames)
            })
        });
        let open = self.lock();
        match (progress, &*open) {
            (Some(Progress::End), Some(open)) if open.frames.is_empty() => Ok(None),
            (Some(_), Some(open)) => Ok(Some(PyBytes::new(py, &open.frames))),
            _ => Err(to_python(Error::Closed)),
        }
    }

    fn close(&self) {
        self.lock().take();
    }
}

//! Readers.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use logboom_core::Error;
use logboom_core::replay::{self, Format, Replay, Zone};
use logboom_core::stream::Progress;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::to_python;

/// What a reader keeps between calls; the memory is used again for each chunk.
struct Open {
    replay: Replay,
    out: Vec<u8>,
}

/// Walks one stream forwards.
#[pyclass(frozen, module = "logboom._core")]
pub(crate) struct Reader(Mutex<Option<Open>>);

/// What `send_frames` has sent since it last returned one.
#[pyclass(frozen, get_all, module = "logboom._core")]
pub(crate) struct Sent {
    byte_count: usize,
    entry_count: u64,
    is_end: bool,
}

impl From<replay::Sent> for Sent {
    fn from(sent: replay::Sent) -> Self {
        Self {
            byte_count: sent.byte_count,
            entry_count: sent.entry_count,
            is_end: sent.progress == Progress::End,
        }
    }
}

impl Reader {
    pub(crate) fn new(replay: Replay) -> Self {
        Self(Mutex::new(Some(Open {
            replay,
            out: Vec::new(),
        })))
    }

    fn next<'py>(
        &self,
        py: Python<'py>,
        put: impl FnOnce(&mut Replay, &mut Vec<u8>) -> Progress + Send,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let progress = py.detach(|| {
            let mut open = self.lock();
            open.as_mut().map(|open| {
                open.out.clear();
                put(&mut open.replay, &mut open.out)
            })
        });
        let open = self.lock();
        match (progress, &*open) {
            (Some(Progress::End), Some(open)) if open.out.is_empty() => Ok(None),
            (Some(_), Some(open)) => Ok(Some(PyBytes::new(py, &open.out))),
            _ => Err(to_python(Error::Closed)),
        }
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
        self.next(py, |replay, out| replay.next_frames(max_bytes, out))
    }

    fn next_json<'py>(
        &self,
        py: Python<'py>,
        max_bytes: usize,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let format = Format::json(&[]);
        self.next(py, |replay, out| replay.next_lines(max_bytes, &format, out))
    }

    #[pyo3(signature = (max_bytes, *, times))]
    fn next_text<'py>(
        &self,
        py: Python<'py>,
        max_bytes: usize,
        times: bool,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let format = Format::Text {
            times: times.then_some(Zone::Utc),
            details: None,
        };
        self.next(py, |replay, out| replay.next_lines(max_bytes, &format, out))
    }

    fn send_frames(
        &self,
        py: Python<'_>,
        socket: RawFd,
        max_bytes: usize,
    ) -> PyResult<Option<Sent>> {
        #[expect(unsafe_code, reason = "Python names a socket by its number")]
        // SAFETY: the caller keeps the socket open for as long as the call takes.
        let socket = unsafe { BorrowedFd::borrow_raw(socket) };
        let sent = py.detach(|| {
            let mut open = self.lock();
            open.as_mut()
                .map(|open| open.replay.send_frames(max_bytes, socket))
        });
        let sent = sent.ok_or_else(|| to_python(Error::Closed))??;
        Ok(sent.map(Sent::from))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.lock().take()));
    }
}

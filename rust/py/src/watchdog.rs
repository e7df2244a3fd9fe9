//! The watchdog of the event loop.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use logboom_core::watchdog::{self, end_hung_process};
use pyo3::prelude::*;

use crate::errors::to_python;

/// Ends the process when its event loop hangs.
#[pyclass(frozen, module = "logboom._core")]
pub(crate) struct Watchdog(Mutex<Option<watchdog::Watchdog>>);

#[pymethods]
impl Watchdog {
    #[new]
    #[pyo3(signature = (*, hang_seconds))]
    fn new(hang_seconds: u32) -> PyResult<Self> {
        let hang_after = Duration::from_secs(hang_seconds.into());
        watchdog::Watchdog::start(hang_after, move || end_hung_process(hang_after))
            .map(|watchdog| Self(Mutex::new(Some(watchdog))))
            .map_err(to_python)
    }

    fn beat(&self) {
        let watchdog = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watchdog) = &*watchdog {
            watchdog.beat();
        }
    }

    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

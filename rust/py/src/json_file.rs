//! Lines of json-file logs as frames.

use logboom_core::json_file::{self, convert};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// What was made of some lines.
#[pyclass(frozen, module = "logboom._core")]
pub(crate) struct Converted(json_file::Converted);

#[pymethods]
impl Converted {
    #[getter]
    fn frames<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.frames)
    }

    #[getter]
    fn entry_count(&self) -> u64 {
        self.0.entry_count
    }

    #[getter]
    fn damage_count(&self) -> u64 {
        self.0.damage_count
    }

    #[getter]
    fn damage(&self) -> Vec<(usize, String)> {
        self.0.damage.clone()
    }
}

#[pyfunction]
pub(crate) fn convert_json_file(py: Python<'_>, lines: &[u8]) -> Converted {
    Converted(py.detach(|| convert(lines)))
}

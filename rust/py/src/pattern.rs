//! Regular expressions.

use pyo3::prelude::*;

use crate::errors::to_python;

/// A regular expression in RE2's syntax.
#[pyclass(frozen, module = "logboom._core")]
pub(crate) struct Pattern(logboom_core::Pattern);

#[pymethods]
impl Pattern {
    #[new]
    fn new(source: &str) -> PyResult<Self> {
        logboom_core::Pattern::new(source)
            .map(Self)
            .map_err(to_python)
    }

    fn search(&self, py: Python<'_>, text: &str) -> bool {
        py.detach(|| self.0.search(text))
    }
}

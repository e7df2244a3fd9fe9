//! Looking through a store for damage.

use std::path::{Path, PathBuf};

use logboom_core::verify::{SetAside, Verified, verify as verify_store};
use pyo3::prelude::*;

use crate::errors::to_python;

/// Something that is damaged.
#[pyclass(frozen, get_all, module = "logboom._core")]
pub(crate) struct Finding {
    path: PathBuf,
    offset: u64,
    what: String,
}

/// What was looked at, and what was found.
#[pyclass(frozen, module = "logboom._core")]
pub(crate) struct Verification(Verified);

#[pymethods]
impl Verification {
    #[getter]
    fn streams(&self) -> u64 {
        self.0.checked.streams
    }

    #[getter]
    fn files(&self) -> u64 {
        self.0.checked.files
    }

    #[getter]
    fn entries(&self) -> u64 {
        self.0.checked.entries
    }

    #[getter]
    fn findings(&self) -> Vec<Finding> {
        let findings = self.0.checked.findings.iter();
        findings
            .map(|finding| Finding {
                path: finding.path.clone(),
                offset: finding.offset,
                what: finding.what.clone(),
            })
            .collect()
    }

    #[getter]
    fn set_aside(&self) -> Vec<(PathBuf, PathBuf)> {
        let set_aside = self.0.set_aside.iter();
        set_aside
            .map(|SetAside { from, to }| (from.clone(), to.clone()))
            .collect()
    }
}

#[pyfunction]
#[pyo3(signature = (*, data, fifo_root, repair))]
pub(crate) fn verify(
    py: Python<'_>,
    data: PathBuf,
    fifo_root: PathBuf,
    repair: bool,
) -> PyResult<Verification> {
    let fifo_root = Path::new("/").join(fifo_root);
    py.detach(move || verify_store(&data, &fifo_root, repair))
        .map(Verification)
        .map_err(to_python)
}

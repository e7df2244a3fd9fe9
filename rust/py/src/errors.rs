//! The exceptions, and the one mapping from the core's errors.

use logboom_core::Error;
use pyo3::PyErr;
use pyo3::exceptions::PyException;

pyo3::create_exception!(logboom._core, LogboomError, PyException);
pyo3::create_exception!(logboom._core, SessionExistsError, LogboomError);
pyo3::create_exception!(logboom._core, StorageError, LogboomError);
pyo3::create_exception!(logboom._core, ClosedError, LogboomError);
pyo3::create_exception!(logboom._core, InvalidArgumentError, LogboomError);

/// The exception for an error.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(crate) fn to_python(error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::InvalidArgument { .. } => InvalidArgumentError::new_err(message),
        Error::SessionExists { .. } => SessionExistsError::new_err(message),
        Error::Closed => ClosedError::new_err(message),
        // Io, Corrupt, UnsupportedFormat, Locked, and what may come: the disk or what lies on it.
        _ => StorageError::new_err(message),
    }
}

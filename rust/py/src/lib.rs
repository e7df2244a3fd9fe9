//! The Python module `logboom._core`: conversions only. Its documentation is `python/logboom/_core.pyi`.

mod errors;
mod json_file;
mod pattern;
mod playback;
mod reader;
mod store;
mod verify;
mod view;
mod watchdog;

use pyo3::pymodule;

#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::errors::{
        ClosedError, InvalidArgumentError, LogboomError, SessionExistsError, StorageError,
    };
    #[pymodule_export]
    use crate::json_file::{Converted, convert_json_file};
    #[pymodule_export]
    use crate::pattern::Pattern;
    #[pymodule_export]
    use crate::playback::{Playback, Printed};
    #[pymodule_export]
    use crate::reader::{Reader, Sent};
    #[pymodule_export]
    use crate::store::Store;
    #[pymodule_export]
    use crate::verify::{Finding, Verification, verify};
    #[pymodule_export]
    use crate::view::{
        Container, Description, Listing, StoreView, Stream, show_bytes, show_time, table,
    };
    #[pymodule_export]
    use crate::watchdog::Watchdog;

    #[pyo3::pyfunction]
    fn version() -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    #[pyo3::pyfunction]
    fn commit() -> &'static str {
        option_env!("LOGBOOM_COMMIT").unwrap_or("unknown")
    }
}

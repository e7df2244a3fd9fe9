//! The plugin's socket.

use std::fmt::Display;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, unlink};
use rustix::io::Errno;
use rustix::process::umask;

/// Whoever can connect can read all logs: root only.
const SOCKET_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A listening socket and the path it is reached by.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Listens on `path`, in the place of what an earlier run may have left there.
    pub(crate) fn listen(path: &Path) -> Result<Self, String> {
        let fault = |step: &str, cause: &dyn Display| {
            format!("cannot {step} the socket {}: {cause}", path.display())
        };
        match unlink(path) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(cause) => return Err(fault("remove the old file of", &cause)),
        }
        // The file must never exist with a wider mode, not even for a moment. There is one thread.
        let before = umask(SOCKET_MODE.complement());
        let listener = UnixListener::bind(path);
        umask(before);
        let listener = listener.map_err(|cause| fault("listen on", &cause))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Takes the socket out of reach; what has connected already stays connected.
    ///
    /// A call that dockerd makes from here on fails to connect, which it retries as it was. One that
    /// is accepted and then cut off would be retried with an empty body.
    pub(crate) fn withdraw(&self) {
        // If it is gone already, somebody else did the same.
        let _ = unlink(&self.path);
    }
}

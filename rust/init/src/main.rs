//! The supervisor: PID 1 in the plugin.
//!
//! dockerd does not restart a plugin whose PID 1 died, so what can fail runs in another process, the
//! worker. The supervisor binds the plugin's socket and holds it for ever: while no worker runs,
//! requests wait in the socket's queue instead of failing. It starts the worker with that socket as
//! file descriptor 3, and starts it again when it dies.
//!
//! One thread, no files, no protocol. `arguments` says what to run, `socket` listens, `keeper` is where a
//! worker leaves what the next one is to have, `worker` starts and reaps processes, `backoff` says when to try again, `signals` is the only thing it waits on,
//! `report` writes to stderr, `supervisor` is the loop over all of them.

use std::process::ExitCode;

mod arguments;
mod backoff;
mod keeper;
mod report;
mod signals;
mod socket;
mod supervisor;
mod worker;

fn main() -> ExitCode {
    let mut report = report::Report::new();
    match arguments::parse(
        std::env::args_os().skip(1),
        std::env::var_os("LOGBOOM_SOCKET"),
    ) {
        Ok(arguments) => supervisor::Supervisor::new(arguments, report).run(),
        Err(fault) => {
            report.say(&format!("{fault}. Usage: {}", arguments::USAGE));
            ExitCode::from(2)
        }
    }
}

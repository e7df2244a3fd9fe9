//! Noticing that an event loop hangs.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use logboom_core::watchdog::Watchdog;

const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn a_loop_that_beats_no_more_is_noticed_once() {
    let (noticed, notices) = channel();
    let watchdog = Watchdog::start(Duration::from_millis(100), move || {
        assert_eq!(noticed.send(()), Ok(()));
    });
    let watchdog = watchdog.expect("a thread");
    watchdog.beat();
    assert_eq!(notices.recv_timeout(DEADLINE), Ok(()));
    // Whoever could notice once more has gone.
    assert_eq!(
        notices.recv_timeout(DEADLINE),
        Err(RecvTimeoutError::Disconnected)
    );
}

#[test]
fn a_watchdog_that_is_given_up_notices_nothing() {
    let (noticed, notices) = channel();
    let watchdog = Watchdog::start(DEADLINE * 60, move || {
        assert_eq!(noticed.send(()), Ok(()));
    });
    drop(watchdog.expect("a thread"));
    assert_eq!(
        notices.recv_timeout(DEADLINE),
        Err(RecvTimeoutError::Disconnected)
    );
}

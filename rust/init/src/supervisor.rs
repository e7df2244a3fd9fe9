//! The loop: listen, start the worker, wait for something to happen.

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::process::{Signal, set_child_subreaper};

use crate::arguments::Arguments;
use crate::backoff::Backoff;
use crate::keeper::Keeper;
use crate::report::Report;
use crate::signals;
use crate::socket::Socket;
use crate::worker::{Worker, reap};

/// How long the worker may take to store what it has. dockerd kills the plugin 10 s after SIGTERM.
const STOP_GRACE: Duration = Duration::from_secs(9);

/// What has to happen next. A worker exists in `Running` and `Stopping` only, and only `Waiting` leads
/// to a new one: so there are never two.
#[derive(Debug)]
enum State {
    /// No worker; at this moment one is to be started.
    Waiting(Instant),
    Running(Worker),
    /// The worker has been asked to end, and is killed at this moment.
    Stopping(Worker, Option<Instant>),
    Ended(ExitCode),
}

/// Keeps one worker running behind one socket.
#[derive(Debug)]
pub(crate) struct Supervisor {
    arguments: Arguments,
    report: Report,
    backoff: Backoff,
    /// `None` until it could be bound.
    socket: Option<Socket>,
    /// `None`: it could not be made, and what a worker listens on by itself ends with it.
    keeper: Option<Keeper>,
    /// How many workers have been started.
    starts: u64,
    state: State,
}

impl Supervisor {
    pub(crate) fn new(arguments: Arguments, mut report: Report) -> Self {
        let keeper = Keeper::new();
        if let Err(cause) = &keeper {
            report.say(&format!("nothing can be kept for the next worker: {cause}"));
        }
        let state = State::Waiting(Instant::now());
        Self {
            arguments,
            report,
            backoff: Backoff::default(),
            socket: None,
            keeper: keeper.ok(),
            starts: 0,
            state,
        }
    }

    /// Runs until a signal ends it. The code is 0 when the worker ended by itself in time.
    pub(crate) fn run(mut self) -> ExitCode {
        signals::hold();
        if set_child_subreaper(Some(rustix::process::getpid())).is_err() {
            self.report
                .say("orphans will not be reaped, because this is not PID 1");
        }
        loop {
            self.reap_all();
            self.report.say_suppressed();
            self.act_on_time();
            if let State::Ended(code) = self.state {
                return code;
            }
            match signals::wait(self.time_left()) {
                Some(signal @ (Signal::TERM | Signal::INT)) => self.stop(signal),
                Some(Signal::HUP) => self.pass_on(Signal::HUP),
                // SIGCHLD, or the time is over: the next round looks at both.
                _ => {}
            }
        }
    }

    fn time_left(&self) -> Option<Duration> {
        let own = match &self.state {
            State::Waiting(moment) | State::Stopping(_, Some(moment)) => Some(*moment),
            _ => None,
        };
        let earliest = own.into_iter().chain(self.report.deadline()).min();
        earliest.map(|moment| moment.saturating_duration_since(Instant::now()))
    }

    fn act_on_time(&mut self) {
        let now = Instant::now();
        match &mut self.state {
            State::Waiting(moment) if *moment <= now => self.start(),
            State::Stopping(worker, deadline) if deadline.is_some_and(|moment| moment <= now) => {
                *deadline = None;
                let outcome = worker.signal(Signal::KILL);
                let pid = worker.pid;
                self.report.say(&match outcome {
                    Ok(()) => format!("worker {pid} did not end in {STOP_GRACE:?}: killed"),
                    Err(cause) => format!("worker {pid} cannot be killed: {cause}"),
                });
            }
            _ => {}
        }
    }

    fn start(&mut self) {
        match self.try_start() {
            Ok(worker) => {
                self.report.say(&format!("worker {} started", worker.pid));
                self.state = State::Running(worker);
            }
            Err(fault) => self.retry(&fault, Duration::ZERO),
        }
    }

    fn try_start(&mut self) -> Result<Worker, String> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => Socket::listen(&self.arguments.socket)?,
        };
        let socket = self.socket.insert(socket);
        let worker = Worker::start(
            &self.arguments,
            socket.listener.as_fd(),
            self.keeper.as_ref(),
            self.starts,
        )?;
        self.starts += 1;
        Ok(worker)
    }

    fn retry(&mut self, fault: &str, lived: Duration) {
        let delay = self.backoff.delay_after(lived);
        let when = if delay.is_zero() {
            "at once".to_owned()
        } else {
            format!("in {delay:?}")
        };
        self.report.say(&format!("{fault}; starting again {when}"));
        self.state = State::Waiting(Instant::now() + delay);
    }

    fn reap_all(&mut self) {
        while let Some((pid, ended)) = reap() {
            match &self.state {
                State::Running(worker) if worker.pid == pid => {
                    let lived = worker.lived();
                    self.retry(&format!("worker {pid} {ended} after {lived:.1?}"), lived);
                }
                State::Stopping(worker, deadline) if worker.pid == pid => {
                    let code = if deadline.is_some() {
                        ExitCode::SUCCESS
                    } else {
                        ExitCode::FAILURE
                    };
                    self.report.say(&format!("worker {pid} {ended}; ending"));
                    self.state = State::Ended(code);
                }
                _ => {} // An orphan.
            }
        }
    }

    /// Asks the worker to end, and ends with it. Asked again, it passes the signal on and waits no longer.
    fn stop(&mut self, signal: Signal) {
        if let Some(socket) = &self.socket {
            socket.withdraw();
        }
        self.pass_on(signal);
        let before = std::mem::replace(&mut self.state, State::Ended(ExitCode::SUCCESS));
        if let State::Running(worker) = before {
            self.report.say(&format!(
                "ending by signal {}: worker {}",
                signal.as_raw(),
                worker.pid
            ));
            self.state = State::Stopping(worker, Some(Instant::now() + STOP_GRACE));
        } else if let State::Stopping(..) = before {
            self.state = before;
        }
    }

    fn pass_on(&mut self, signal: Signal) {
        if let State::Running(worker) | State::Stopping(worker, _) = &self.state {
            if let Err(cause) = worker.signal(signal) {
                let pid = worker.pid;
                self.report
                    .say(&format!("worker {pid} does not take signals: {cause}"));
            }
        }
    }
}

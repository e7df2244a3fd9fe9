//! The supervisor as dockerd sees it: a process, its socket, its signals and what it says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "the test looks at files from the outside"
)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// A wait that is longer than this has failed. Generous, for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers each connection on file descriptor 3 with its own process id, and does what it is asked to.
/// It takes a lock that a second worker would find taken.
const WORKER: &str = r#"
import fcntl, os, signal, socket, subprocess, sys
folder = sys.argv[1]
lock = open(folder + "/lock", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    open(folder + "/two-at-once", "w")
signal.signal(signal.SIGHUP, lambda *_: open(folder + "/hup", "w"))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
listener = socket.socket(fileno=3)
put, take = (socket.socket(fileno=int(number)) for number in os.environ["SUPERVISOR_KEEPER"].split(","))
while True:
    connection, _ = listener.accept()
    with connection:
        asked = connection.recv(100)
        if asked == b"die":
            os._exit(3)
        if asked == b"ignore TERM":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if asked == b"restarts":
            connection.sendall(os.environ["SUPERVISOR_RESTARTS"].encode())
            continue
        if asked == b"keep":
            kept = socket.socket(socket.AF_UNIX)
            kept.bind(folder + "/kept")
            kept.listen()
            socket.send_fds(put, [b"a note"], [kept.fileno()])
            kept.close()
        if asked == b"answer on what is kept":
            note, ancillary, _, _ = take.recvmsg(100, socket.CMSG_LEN(4), socket.MSG_PEEK)
            kept, _ = socket.socket(fileno=int.from_bytes(ancillary[0][2], sys.byteorder)).accept()
            kept.sendall(note)
            kept.close()
        if asked == b"leave an orphan":
            subprocess.run(["sh", "-c", "sleep 0.01 & echo $! > " + folder + "/orphan"])
        connection.sendall(b"%d" % os.getpid())
"#;

/// The command of the worker that these tests run.
fn worker_in(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    ["python3", "-c", WORKER, folder].map(str::to_owned).into()
}

struct Supervisor {
    child: Child,
    folder: tempfile::TempDir,
}

impl Supervisor {
    fn run(command: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_logboom-init"))
            .env("LOGBOOM_SOCKET", folder.path().join("socket"))
            .arg("--")
            .args(command(folder.path()))
            .stdin(Stdio::null())
            .stderr(fs::File::create(folder.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    fn with_worker() -> Self {
        Self::run(worker_in)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn said(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap()
    }

    fn connect(&self) -> UnixStream {
        let connect = || UnixStream::connect(self.path("socket")).ok();
        let stream = eventually("the socket takes connections", connect);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends one request and gives the answer, which is empty when the worker died of it.
    fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        // A worker that dies with the request unread resets the connection.
        drop(stream.read_to_string(&mut answer));
        answer
    }

    fn worker(&self) -> Pid {
        Pid::from_raw(self.ask("pid").parse().unwrap()).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        eventually("the supervisor ends", || self.child.try_wait().unwrap())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn is_gone(pid: Pid) -> Option<()> {
    test_kill_process(pid).is_err().then_some(())
}

#[test]
fn the_worker_serves_on_a_socket_that_only_its_owner_can_reach() {
    let supervisor = Supervisor::with_worker();
    supervisor.worker();
    let mode = fs::metadata(supervisor.path("socket"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_stale_socket_is_replaced() {
    let supervisor = Supervisor::run(|folder| {
        drop(UnixListener::bind(folder.join("socket")).unwrap());
        worker_in(folder)
    });
    supervisor.worker();
}

#[test]
fn requests_wait_while_the_worker_is_dead_and_there_are_never_two() {
    let supervisor = Supervisor::with_worker();
    let mut last = supervisor.worker();
    for _ in 0..5 {
        kill_process(last, Signal::KILL).unwrap();
        let mut waiting = [supervisor.connect(), supervisor.connect()];
        for stream in &mut waiting {
            stream.write_all(b"pid").unwrap();
        }
        for mut stream in waiting {
            // The dying worker may have accepted one of the two, which is then cut off.
            drop(stream.read_to_string(&mut String::new()));
        }
        let next = supervisor.worker();
        assert_ne!(next, last);
        last = next;
    }
    assert!(!supervisor.path("two-at-once").exists());
}

#[test]
fn a_worker_that_ends_by_itself_is_started_again() {
    let supervisor = Supervisor::with_worker();
    let first = supervisor.worker();
    assert_eq!(supervisor.ask("die"), "");
    assert_ne!(supervisor.worker(), first);
    let said = supervisor.said();
    assert!(
        said.contains(&format!("worker {first} ended with status 3 after")),
        "{said}"
    );
}

#[test]
fn what_a_worker_leaves_in_the_keeper_outlives_it_and_every_later_one_finds_it() {
    let supervisor = Supervisor::with_worker();
    supervisor.ask("keep");
    for _ in 0..3 {
        supervisor.ask("die");
        // Nobody accepts, but the socket listens all the time.
        let mut waiting = UnixStream::connect(supervisor.path("kept")).unwrap();
        supervisor.ask("answer on what is kept");
        let mut answer = String::new();
        waiting.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "a note");
    }
}

#[test]
fn each_worker_knows_how_many_there_were_before_it() {
    let supervisor = Supervisor::with_worker();
    for restarts in ["0", "1", "2"] {
        assert_eq!(supervisor.ask("restarts"), restarts);
        supervisor.ask("die");
    }
}

#[test]
fn orphans_are_reaped() {
    let supervisor = Supervisor::with_worker();
    supervisor.ask("leave an orphan");
    let orphan = fs::read_to_string(supervisor.path("orphan")).unwrap();
    let orphan = Pid::from_raw(orphan.trim().parse().unwrap()).unwrap();
    // A process that nobody reaps would still take signals.
    eventually("the orphan is reaped", || is_gone(orphan));
}

#[test]
fn hangup_reaches_the_worker() {
    let supervisor = Supervisor::with_worker();
    let worker = supervisor.worker();
    supervisor.signal(Signal::HUP);
    eventually("the worker got it", || {
        supervisor.path("hup").exists().then_some(())
    });
    assert_eq!(supervisor.worker(), worker);
}

#[test]
fn terminate_ends_the_worker_then_the_supervisor() {
    let mut supervisor = Supervisor::with_worker();
    let worker = supervisor.worker();
    supervisor.signal(Signal::TERM);
    assert_eq!(supervisor.wait().code(), Some(0));
    assert!(is_gone(worker).is_some());
    assert!(!supervisor.path("socket").exists());
}

#[test]
fn a_worker_that_ignores_terminate_is_killed_within_the_grace() {
    let mut supervisor = Supervisor::with_worker();
    let worker = supervisor.worker();
    supervisor.ask("ignore TERM");
    supervisor.signal(Signal::TERM);
    assert_eq!(supervisor.wait().code(), Some(1));
    assert!(is_gone(worker).is_some());
    let said = supervisor.said();
    assert!(said.contains("did not end in 9s: killed"), "{said}");
}

#[test]
fn the_worker_dies_with_the_supervisor() {
    let mut supervisor = Supervisor::with_worker();
    let worker = supervisor.worker();
    supervisor.signal(Signal::KILL);
    supervisor.wait();
    eventually("the worker is gone", || is_gone(worker));
}

#[test]
fn a_program_that_cannot_start_is_tried_again() {
    let mut supervisor =
        Supervisor::run(|folder| vec![folder.join("later").to_str().unwrap().to_owned()]);
    eventually("the fault is said", || {
        supervisor.said().contains("cannot start").then_some(())
    });
    let program = format!(
        "#!/bin/sh\ntouch {}\nexec sleep 600\n",
        supervisor.path("ran").display()
    );
    let written = supervisor.path("written");
    fs::write(&written, program).unwrap();
    fs::set_permissions(&written, fs::Permissions::from_mode(0o700)).unwrap();
    fs::rename(&written, supervisor.path("later")).unwrap();
    eventually("the program runs", || {
        supervisor.path("ran").exists().then_some(())
    });
    supervisor.signal(Signal::TERM);
    assert_eq!(supervisor.wait().code(), Some(0));
}

#[test]
fn a_socket_that_cannot_be_bound_is_tried_again() {
    let supervisor = Supervisor::run(|folder| {
        fs::create_dir(folder.join("socket")).unwrap();
        worker_in(folder)
    });
    eventually("the fault is said", || {
        supervisor.said().contains("cannot remove").then_some(())
    });
    fs::remove_dir(supervisor.path("socket")).unwrap();
    supervisor.worker();
}

#[test]
fn a_worker_that_always_dies_does_not_flood_stderr_and_does_not_hold_up_the_end() {
    let mut supervisor = Supervisor::run(|folder| {
        let count = format!("echo >> {}/starts; exit 1", folder.display());
        vec!["sh".to_owned(), "-c".to_owned(), count]
    });
    let starts = || {
        fs::read(supervisor.path("starts"))
            .unwrap_or_default()
            .len()
    };
    eventually("seven starts", || (starts() >= 7).then_some(()));
    let said = supervisor.said();
    assert!((2..=10).contains(&said.lines().count()), "{said}");
    supervisor.signal(Signal::TERM);
    assert_eq!(supervisor.wait().code(), Some(0));
}

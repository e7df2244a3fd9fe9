//! A logging plugin that reads and drops: the least that any plugin can cost.
//!
//! It gathers as well as it can: the largest pipe, and a rest of a millisecond after each read that brought little.
//! dockerd finds it by its socket, `/run/docker/plugins/null.sock` in the engine's root folder.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::pipe::fcntl_setpipe_size;

use crate::arguments::Arguments;
use crate::{Result, USAGE};

/// The largest that the kernel gives without a capability.
const PIPE_BYTES: usize = 1 << 20;

/// After a read of less than this, more is let gather.
const ENOUGH_BYTES: usize = 128 << 10;

const GATHER: Duration = Duration::from_millis(1);

/// `null`: serves until it is killed.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let arguments = Arguments::parse(words, &["root"])?;
    let root = PathBuf::from(
        arguments
            .text("root")
            .ok_or_else(|| format!("null needs --root\n{USAGE}"))?,
    );
    let folder = root.join("run/docker/plugins");
    fs::create_dir_all(&folder)?;
    // The path of a socket may be long here, and its limit is 107 bytes.
    std::env::set_current_dir(&folder)?;
    let listener = UnixListener::bind("null.sock")?;
    for connection in listener.incoming() {
        let root = root.clone();
        let connection = connection?;
        thread::spawn(move || {
            if let Err(error) = answer(connection, &root) {
                eprintln!("null plugin: {error}");
            }
        });
    }
    Ok(())
}

/// Answers the requests of one connection.
fn answer(mut connection: UnixStream, root: &Path) -> Result<()> {
    let mut received = Vec::new();
    while let Some((path, body)) = receive(&mut connection, &mut received)? {
        let document = match path.as_str() {
            "/Plugin.Activate" => r#"{"Implements":["LogDriver"]}"#,
            // Else dockerd would keep a log of its own beside.
            "/LogDriver.Capabilities" => r#"{"Cap":{"ReadLogs":true}}"#,
            "/LogDriver.StartLogging" => {
                let request: serde_json::Value = serde_json::from_slice(&body)?;
                let file = request
                    .pointer("/File")
                    .and_then(|file| file.as_str())
                    .ok_or("StartLogging without a File")?;
                let fifo = open_fifo(&root.join(file.trim_start_matches('/')))?;
                thread::spawn(move || {
                    if let Err(error) = drop_all(fifo) {
                        eprintln!("null plugin: {error}");
                    }
                });
                r#"{"Err":""}"#
            }
            "/LogDriver.ReadLogs" => "",
            _ => "{}",
        };
        write!(
            connection,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{document}",
            document.len()
        )?;
    }
    Ok(())
}

/// The path and the body of the next request; `None` at the end. dockerd always says a body's length.
fn receive(
    connection: &mut UnixStream,
    received: &mut Vec<u8>,
) -> Result<Option<(String, Vec<u8>)>> {
    let mut piece = [0; 16 << 10];
    loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head =
                String::from_utf8_lossy(received.get(..end).unwrap_or_default()).into_owned();
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(Ok(0), |(_, value)| value.trim().parse::<usize>())?;
            let total = end + 4 + length;
            if received.len() >= total {
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let body = received.get(end + 4..total).unwrap_or_default().to_vec();
                received.drain(..total);
                return Ok(Some((path, body)));
            }
        }
        let count = connection.read(&mut piece)?;
        if count == 0 {
            return Ok(None);
        }
        received.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
}

fn open_fifo(path: &Path) -> Result<File> {
    let fifo = File::options()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path)?;
    // A smaller one costs time only.
    let _ = fcntl_setpipe_size(&fifo, PIPE_BYTES);
    Ok(fifo)
}

/// Reads until the writer has closed.
fn drop_all(mut fifo: File) -> Result<()> {
    let mut memory = vec![0; PIPE_BYTES];
    loop {
        match fifo.read(&mut memory) {
            Ok(0) => return Ok(()),
            Ok(count) if count >= ENOUGH_BYTES => {}
            Ok(_) => thread::sleep(GATHER),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(&fifo, PollFlags::IN)], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

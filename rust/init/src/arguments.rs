//! What to listen on and what to run.

use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "logboom-init [--socket PATH] [-- COMMAND [ARGUMENT...]]";

/// Where dockerd looks for the socket of a plugin whose manifest says `logboom.sock`.
const DEFAULT_SOCKET: &str = "/run/docker/plugins/logboom.sock";

/// The listening socket is file descriptor 3 of the worker (`worker::SOCKET_DESCRIPTOR`).
const DEFAULT_COMMAND: [&str; 6] = [
    "/usr/bin/python3",
    "-m",
    "logboom",
    "serve",
    "--socket",
    "fd://3",
];

#[derive(Debug, PartialEq)]
pub(crate) struct Arguments {
    pub(crate) socket: PathBuf,
    /// The worker's program.
    pub(crate) program: OsString,
    /// The rest of its command line.
    pub(crate) operands: Vec<OsString>,
}

/// Reads the command line (without the program's own name).
///
/// `environment_socket` is the value of `LOGBOOM_SOCKET`; `--socket` wins over it.
pub(crate) fn parse(
    mut given: impl Iterator<Item = OsString>,
    environment_socket: Option<OsString>,
) -> Result<Arguments, String> {
    let mut socket = environment_socket.filter(|path| !path.is_empty());
    let mut command: Vec<OsString> = DEFAULT_COMMAND.iter().map(OsString::from).collect();
    while let Some(argument) = given.next() {
        if argument == "--socket" {
            let path = given.next().filter(|path| !path.is_empty());
            socket = Some(path.ok_or("--socket needs a path")?);
        } else if argument == "--" {
            command = given.by_ref().collect();
        } else {
            return Err(format!("unknown argument {}", argument.to_string_lossy()));
        }
    }
    let mut command = command.into_iter();
    Ok(Arguments {
        socket: socket.map_or_else(|| DEFAULT_SOCKET.into(), PathBuf::from),
        program: command.next().ok_or("no command after --")?,
        operands: command.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(line: &str, environment_socket: Option<&str>) -> Result<Arguments, String> {
        parse(
            line.split_whitespace().map(OsString::from),
            environment_socket.map(OsString::from),
        )
    }

    #[test]
    fn without_arguments_it_serves_the_plugin() {
        let arguments = parse_words("", None).unwrap();
        assert_eq!(
            arguments.socket,
            PathBuf::from("/run/docker/plugins/logboom.sock")
        );
        assert_eq!(arguments.program, "/usr/bin/python3");
        assert_eq!(
            arguments.operands,
            ["-m", "logboom", "serve", "--socket", "fd://3"]
        );
    }

    #[test]
    fn the_socket_comes_from_the_argument_then_the_environment() {
        assert_eq!(
            parse_words("", Some("/b")).unwrap().socket,
            PathBuf::from("/b")
        );
        assert_eq!(
            parse_words("--socket /a", Some("/b")).unwrap().socket,
            PathBuf::from("/a")
        );
        assert_eq!(
            parse_words("", Some("")).unwrap().socket,
            PathBuf::from(DEFAULT_SOCKET)
        );
    }

    #[test]
    fn all_after_the_dashes_is_the_command() {
        let arguments = parse_words("--socket /a -- sh --socket -- x", None).unwrap();
        assert_eq!(arguments.program, "sh");
        assert_eq!(arguments.operands, ["--socket", "--", "x"]);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            parse_words("--soket /a", None).unwrap_err(),
            "unknown argument --soket"
        );
        assert_eq!(
            parse_words("--socket", None).unwrap_err(),
            "--socket needs a path"
        );
        assert_eq!(parse_words("--", None).unwrap_err(), "no command after --");
    }
}

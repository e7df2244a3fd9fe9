//! Entries as people and their tools read them: as `docker logs` prints them, or as JSON, one entry a line.
//!
//! ```text
//! text   [time SP] [details SP] line            a newline behind it unless the line goes on in a later entry
//! JSON   {"time", "stream", "line", "line_base64"?, "partial"?, "sequence"?, "own"?} LF
//! ```
//!
//! Source of the text: moby, `api/server/httputils/write_log_stream.go`.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::stream::Given;
use crate::wire::{Entry, STDERR};

/// Where `docker logs` would write an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// To its standard output; so is what comes from neither.
    Stdout,
    /// To its standard error.
    Stderr,
}

impl Output {
    /// Where an entry goes.
    pub fn of(entry: &Entry<'_>) -> Self {
        if entry.source == STDERR {
            Self::Stderr
        } else {
            Self::Stdout
        }
    }
}

/// In which zone times are written.
#[derive(Clone, Debug)]
pub enum Zone {
    /// UTC.
    Utc,
    /// The zone of this process: that of `TZ`, or of the machine.
    Local(TimeZone),
}

impl Zone {
    /// The zone of this process.
    pub fn local() -> Self {
        Self::Local(TimeZone::system())
    }

    /// What calendar and clocks show there, and how far they are from UTC.
    pub fn at(&self, time_ns: i64) -> (DateTime, Offset) {
        // 64 bits of nanoseconds end in the year 2262, so there is always such a time.
        let time = Timestamp::from_nanosecond(time_ns.into()).unwrap_or_default();
        let offset = match self {
            Self::Utc => Offset::UTC,
            Self::Local(zone) => zone.to_offset(time),
        };
        (offset.to_datetime(time), offset)
    }
}

/// How entries are written.
#[derive(Clone, Debug)]
pub enum Format {
    /// As `docker logs` does.
    Text {
        /// Each with its time.
        times: Option<Zone>,
        /// What stands before each line, as `--details` does.
        details: Option<Vec<u8>>,
    },
    /// As JSON.
    Json {
        /// Members that stand first in each object, each with its comma.
        head: Vec<u8>,
    },
}

impl Format {
    /// JSON objects that begin with these members.
    pub fn json(members: &[(String, String)]) -> Self {
        let mut head = Vec::new();
        for (name, value) in members {
            put_string(name, &mut head);
            head.push(b':');
            put_string(value, &mut head);
            head.push(b',');
        }
        Self::Json { head }
    }

    /// Lines of several pieces come out as one line.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text { .. })
    }

    /// Appends an entry.
    pub fn put(&self, given: &Given<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Text { times, details } => {
                if let Some(zone) = times {
                    put_time(given.entry.time_ns, zone, out);
                    out.push(b' ');
                }
                if let Some(details) = details {
                    out.extend_from_slice(details);
                    out.push(b' ');
                }
                out.extend_from_slice(given.entry.line);
                if !given.entry.is_continued() {
                    out.push(b'\n');
                }
            }
            Self::Json { head } => put_json(given, head, out),
        }
    }
}

fn put_json(given: &Given<'_>, head: &[u8], out: &mut Vec<u8>) {
    let entry = given.entry;
    out.push(b'{');
    out.extend_from_slice(head);
    out.extend_from_slice(b"\"time\":\"");
    put_time(entry.time_ns, &Zone::Utc, out);
    out.extend_from_slice(b"\",\"stream\":");
    put_string(&String::from_utf8_lossy(entry.source), out);
    out.extend_from_slice(b",\"line\":");
    if let Ok(line) = std::str::from_utf8(entry.line) {
        put_string(line, out);
    } else {
        put_string(&String::from_utf8_lossy(entry.line), out);
        out.extend_from_slice(b",\"line_base64\":\"");
        out.extend_from_slice(STANDARD.encode(entry.line).as_bytes());
        out.push(b'"');
    }
    if entry.partial {
        let piece = entry.piece();
        out.extend_from_slice(b",\"partial\":{\"id\":");
        put_string(&String::from_utf8_lossy(piece.id), out);
        put_number(",\"ordinal\":", piece.ordinal, out);
        put_number(",\"last\":", entry.last, out);
        out.push(b'}');
    }
    if let Some(sequence) = given.sequence {
        put_number(",\"sequence\":", sequence, out);
    }
    if given.is_own {
        out.extend_from_slice(b",\"own\":true");
    }
    out.extend_from_slice(b"}\n");
}

fn put_string(text: &str, out: &mut Vec<u8>) {
    // Memory takes all that is written to it, and a text is always JSON.
    let _ = serde_json::to_writer(out, text);
}

fn put_number(name: &str, value: impl std::fmt::Display, out: &mut Vec<u8>) {
    let _ = write!(out, "{name}{value}");
}

/// Appends a time as Go's `2006-01-02T15:04:05.000000000Z07:00`.
fn put_time(time_ns: i64, zone: &Zone, out: &mut Vec<u8>) {
    let (local, offset) = zone.at(time_ns);
    let mut digits = [0; 29];
    let _ = write!(
        digits.as_mut_slice(),
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}",
        local.year(),
        local.month(),
        local.day(),
        local.hour(),
        local.minute(),
        local.second(),
        local.subsec_nanosecond(),
    );
    out.extend_from_slice(&digits);
    let minutes = offset.seconds() / 60;
    if minutes == 0 {
        out.push(b'Z');
    } else {
        let sign = if minutes < 0 { '-' } else { '+' };
        let (hour, minute) = (minutes.abs() / 60, minutes.abs() % 60);
        let _ = write!(out, "{sign}{hour:02}:{minute:02}");
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::{Format, Zone};
    use crate::stream::Given;
    use crate::wire::Entry;

    const NOON_NS: i64 = 1_769_860_800_000_000_007;

    fn put(format: &Format, entry: &Entry<'_>) -> String {
        let mut out = Vec::new();
        let given = Given {
            entry,
            sequence: Some(7),
            is_own: false,
        };
        format.put(&given, &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    fn entry(line: &[u8]) -> Entry<'_> {
        Entry {
            source: b"stdout",
            time_ns: NOON_NS,
            line,
            ..Entry::default()
        }
    }

    fn text(times: Option<Zone>) -> Format {
        Format::Text {
            times,
            details: None,
        }
    }

    #[test]
    fn a_time_has_nine_digits_and_its_zone() {
        let zone = |posix| TimeZone::posix(posix).unwrap_or(TimeZone::UTC);
        for (zone, expected) in [
            (Zone::Utc, "2026-01-31T12:00:00.000000007Z hello\n"),
            (
                Zone::Local(zone("CET-1CEST,M3.5.0,M10.5.0/3")),
                "2026-01-31T13:00:00.000000007+01:00 hello\n",
            ),
            (
                Zone::Local(zone("NST3:30")),
                "2026-01-31T08:30:00.000000007-03:30 hello\n",
            ),
        ] {
            assert_eq!(put(&text(Some(zone)), &entry(b"hello")), expected);
        }
    }

    #[test]
    fn every_time_that_an_entry_can_have_is_written() {
        for (time_ns, expected) in [
            (i64::MIN, "1677-09-21T00:12:43.145224192Z \n"),
            (-1, "1969-12-31T23:59:59.999999999Z \n"),
            (0, "1970-01-01T00:00:00.000000000Z \n"),
            (i64::MAX, "2262-04-11T23:47:16.854775807Z \n"),
        ] {
            let entry = Entry {
                time_ns,
                ..Entry::default()
            };
            assert_eq!(put(&text(Some(Zone::Utc)), &entry), expected);
        }
    }

    #[test]
    fn a_line_that_goes_on_has_no_newline() {
        let piece = Entry {
            partial: true,
            ..entry(b"begin")
        };
        assert_eq!(put(&text(None), &piece), "begin");
        let end = Entry {
            last: true,
            ..piece
        };
        assert_eq!(put(&text(None), &end), "begin\n");
    }

    #[test]
    fn json_has_every_byte_of_a_line() {
        let json = Format::json(&[("name".to_owned(), "a\"b".to_owned())]);
        assert_eq!(
            put(&json, &entry("a\n\u{e9}\0".as_bytes())),
            "{\"name\":\"a\\\"b\",\"time\":\"2026-01-31T12:00:00.000000007Z\",\"stream\":\"stdout\",\
             \"line\":\"a\\n\u{e9}\\u0000\",\"sequence\":7}\n"
        );
        assert_eq!(
            put(&Format::json(&[]), &entry(b"a\xff")),
            "{\"time\":\"2026-01-31T12:00:00.000000007Z\",\"stream\":\"stdout\",\
             \"line\":\"a\u{fffd}\",\"line_base64\":\"Yf8=\",\"sequence\":7}\n"
        );
    }

    #[test]
    fn json_tells_how_the_pieces_of_a_line_belong_together() {
        let piece = Entry {
            partial: true,
            last: true,
            metadata: Some((&[8, 1, 18, 2, b'i', b'd', 24, 3][..]).into()),
            ..entry(b"end")
        };
        assert_eq!(
            put(&Format::json(&[]), &piece),
            "{\"time\":\"2026-01-31T12:00:00.000000007Z\",\"stream\":\"stdout\",\"line\":\"end\",\
             \"partial\":{\"id\":\"id\",\"ordinal\":3,\"last\":true},\"sequence\":7}\n"
        );
    }
}

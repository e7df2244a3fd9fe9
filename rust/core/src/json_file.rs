//! Lines of Docker's json-file logs, as the frames that dockerd would have written of them.
//!
//! ```text
//! {"log":"a line\n","stream":"stdout","attrs":{...},"time":"2026-01-31T12:00:00.123456789Z"}
//! ```
//!
//! Source: moby, `daemon/logger/jsonfilelog/jsonlog`. A `log` without a newline at its end is a piece of a longer line.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

use crate::wire::{Entry, FRAME_PREFIX_BYTES, MAX_ENTRY_BYTES, encode_frame};

/// How each line begins. Within a string of JSON its quotes would be escaped.
const START: &[u8] = b"{\"log\":\"";

/// LIMIT: what is said of lines that are passed over; they are counted all the same.
const MAX_TOLD: usize = 10;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// What has been made of some lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Converted {
    /// A frame for each entry.
    pub frames: Vec<u8>,
    /// How many.
    pub entry_count: u64,
    /// How many runs of bytes are no entry.
    pub damage_count: u64,
    /// The first of them: the offset of each, and what is wrong.
    pub damage: Vec<(usize, String)>,
}

impl Converted {
    fn pass_over(&mut self, offset: usize, what: String) {
        self.damage_count += 1;
        if self.damage.len() < MAX_TOLD {
            self.damage.push((offset, what));
        }
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), String> {
        let line: Line<'_> = serde_json::from_slice(bytes)
            .map_err(|error| format!("it is no line of a json-file log: {error}"))?;
        let time: Timestamp = line.time.parse().map_err(|error| format!("{error}"))?;
        let time_ns = i64::try_from(time.as_nanosecond())
            .map_err(|_| format!("{time} is a time that no entry can have"))?;
        let whole = line.log.strip_suffix('\n');
        let text = whole.unwrap_or(&line.log).as_bytes();
        let entry = Entry {
            source: line.stream.as_bytes(),
            time_ns,
            line: text,
            partial: whole.is_none(),
            ..Entry::default()
        };
        let begin = self.frames.len();
        encode_frame(&entry, &mut self.frames);
        let message_bytes = self.frames.len() - begin - FRAME_PREFIX_BYTES;
        if message_bytes > MAX_ENTRY_BYTES {
            self.frames.truncate(begin);
            return Err(format!(
                "an entry of {message_bytes} bytes is longer than {MAX_ENTRY_BYTES}"
            ));
        }
        self.entry_count += 1;
        Ok(())
    }
}

/// Converts whole lines. What is none, as a power cut leaves it (NULs, a line that breaks off), is passed over; a line that
/// begins behind it, in the same line of the file too, is not.
pub fn convert(lines: &[u8]) -> Converted {
    let mut converted = Converted::default();
    let mut offset = 0;
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        convert_line(line, offset, &mut converted);
        offset += line.len();
    }
    converted
}

fn convert_line(line: &[u8], offset: usize, converted: &mut Converted) {
    let mut rest = line;
    while !rest.trim_ascii().is_empty() {
        let at = offset + line.len() - rest.len();
        let Err(what) = converted.add(rest) else {
            return;
        };
        converted.pass_over(at, what);
        // Behind the start of what cannot be read, another line may begin that can be.
        let behind = rest.get(1..).unwrap_or_default();
        let Some(next) = memchr::memmem::find(behind, START) else {
            return;
        };
        rest = behind.get(next..).unwrap_or_default();
    }
}

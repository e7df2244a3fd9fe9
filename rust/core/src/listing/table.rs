//! Tables, sizes and times for people.

use std::fmt::Write;

use crate::replay::Zone;

/// Decimal, as Docker has them.
const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/// A size with three digits and a decimal unit: `1.23MB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn show_bytes(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes}B");
    }
    let mut size = bytes as f64;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while size >= 999.5 {
        let Some(larger) = units.next() else { break };
        unit = Some(larger);
        size /= 1000.0;
    }
    let places = match size {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    let digits = format!("{size:.places$}");
    let digits = match places {
        0 => &*digits,
        _ => digits.trim_end_matches('0').trim_end_matches('.'),
    };
    format!("{digits}{}", unit.unwrap_or(&""))
}

/// A number with a comma before each thousand.
pub(super) fn show_count(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A time to the second; `-` where there is none.
pub fn show_time(time_ns: Option<i64>, zone: &Zone) -> String {
    let Some(time_ns) = time_ns else {
        return "-".to_owned();
    };
    let (local, _) = zone.at(time_ns);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        local.year(),
        local.month(),
        local.day(),
        local.hour(),
        local.minute(),
        local.second(),
    )
}

/// Columns with two spaces between them.
#[derive(Debug)]
pub struct Table {
    /// Which columns are aligned to the right.
    is_right: Vec<bool>,
    widths: Vec<usize>,
    /// All cells, row by row, and where each ends and how wide it is: a table may have a million of them.
    text: String,
    cells: Vec<(usize, usize)>,
}

impl Table {
    /// A table with a head, in which these columns are aligned to the right.
    pub fn new<'a>(head: impl Iterator<Item = &'a str>, right: &[usize]) -> Self {
        let head: Vec<&str> = head.collect();
        let mut table = Self {
            is_right: (0..head.len()).map(|at| right.contains(&at)).collect(),
            widths: vec![0; head.len()],
            text: String::new(),
            cells: Vec::new(),
        };
        for cell in head {
            table.add(cell);
        }
        table
    }

    /// Adds the next cell of a row. It may hold anything: what is not printable is written as Python would.
    pub fn add(&mut self, cell: &str) {
        let begin = self.text.len();
        put_printable(cell, &mut self.text);
        let shown = self.text.get(begin..).unwrap_or_default();
        let width = if shown.is_ascii() {
            shown.len()
        } else {
            shown.chars().count()
        };
        let column = self.cells.len() % self.widths.len().max(1);
        if let Some(widest) = self.widths.get_mut(column) {
            *widest = width.max(*widest);
        }
        self.cells.push((self.text.len(), width));
    }

    /// The text of it.
    pub fn finish(&self) -> String {
        let mut text = String::with_capacity(2 * self.text.len());
        let mut begin = 0;
        for row in self.cells.chunks(self.widths.len().max(1)) {
            let columns = self.widths.iter().zip(&self.is_right);
            for (column, (&(end, width), (&widest, &is_right))) in
                row.iter().zip(columns).enumerate()
            {
                let padding = std::iter::repeat_n(' ', widest.saturating_sub(width));
                let cell = self.text.get(begin..end).unwrap_or_default();
                text.push_str(if column == 0 { "" } else { "  " });
                if is_right {
                    text.extend(padding);
                    text.push_str(cell);
                } else {
                    text.push_str(cell);
                    text.extend(padding);
                }
                begin = end;
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
        text
    }
}

/// Appends a text with what would do something to a terminal written out.
fn put_printable(text: &str, shown: &mut String) {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        shown.push_str(text);
        return;
    }
    for character in text.chars() {
        let code = u32::from(character);
        // Memory takes all that is written to it.
        let _ = match character {
            '\n' => write!(shown, "\\n"),
            '\r' => write!(shown, "\\r"),
            '\t' => write!(shown, "\\t"),
            _ if is_printable(character) => write!(shown, "{character}"),
            _ if code < 0x100 => write!(shown, "\\x{code:02x}"),
            _ if code < 0x1_0000 => write!(shown, "\\u{code:04x}"),
            _ => write!(shown, "\\U{code:08x}"),
        };
    }
}

fn is_printable(character: char) -> bool {
    // Behind another character an accent is one that can be printed.
    let escaped = format!("a{character}").escape_debug().to_string();
    matches!(character, '"' | '\'' | '\\') || !escaped.contains('\\')
}

#[cfg(test)]
mod tests {
    use super::{put_printable, show_bytes, show_count, show_time};
    use crate::replay::Zone;

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, shown) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1005, "1kB"),
            (1234, "1.23kB"),
            (9_994, "9.99kB"),
            (9_996, "10kB"),
            (99_940, "99.9kB"),
            (99_960, "100kB"),
            (999_499, "999kB"),
            (999_500, "1MB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(show_bytes(bytes), shown);
        }
    }

    #[test]
    fn thousands_have_commas() {
        for (count, shown) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(show_count(count), shown);
        }
    }

    #[test]
    fn a_time_is_shown_to_the_second() {
        let shown = show_time(Some(1_769_860_800_999_999_999), &Zone::Utc);
        assert_eq!(shown, "2026-01-31 12:00:00");
        assert_eq!(show_time(None, &Zone::Utc), "-");
    }

    #[test]
    fn nothing_reaches_a_terminal_that_it_would_obey() {
        for (text, shown) in [
            ("we\u{1b}[2Jb\u{202e}\n", "we\\x1b[2Jb\\u202e\\n"),
            ("\u{e0001}\u{a0}", "\\U000e0001\\xa0"),
            (
                "e\u{301} \u{e9} \u{65e5}\\\"'",
                "e\u{301} \u{e9} \u{65e5}\\\"'",
            ),
        ] {
            let mut put = String::new();
            put_printable(text, &mut put);
            assert_eq!(put, shown);
        }
    }
}

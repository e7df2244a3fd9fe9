//! Regular expressions from a container's options.

use regex::{Regex, RegexBuilder};

use crate::error::{Error, Result};

/// LIMIT: the compiled size of a pattern. The crate's matching is linear in time whatever the pattern; this bounds memory.
const MAX_PROGRAM_BYTES: usize = 1 << 20;

/// A regular expression in RE2's syntax, as Go's and so Docker's are.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// A syntax error, or a program over the limit.
    pub fn new(source: &str) -> Result<Self> {
        RegexBuilder::new(source)
            .size_limit(MAX_PROGRAM_BYTES)
            .build()
            .map(Self)
            .map_err(|error| Error::invalid("pattern", error.to_string()))
    }

    /// Whether it matches anywhere.
    pub fn search(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

//! Regular expressions from a container's options.

use regex::{Regex, RegexBuilder};

use crate::error::{Error, Result};

/// LIMIT: the compiled size of a pattern. Matching takes time in proportion to this times the text, whatever the pattern; a class
/// of Unicode takes some tens of kilobytes.
const MAX_PROGRAM_BYTES: usize = 256 << 10;

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

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_up_to_the_limit_are_compiled_and_larger_ones_refused() {
        for source in [
            r"^com\.docker\.(compose|swarm)\.",
            r"(?i)^\w+[.-]\d{1,8}$",
            "a{800}",
        ] {
            Pattern::new(source).unwrap();
        }
        for source in ["a{20000}", r"(\w{100}){100}", "((a{100}){100}){100}"] {
            let error = Pattern::new(source).unwrap_err().to_string();
            assert!(error.contains("size limit"), "{error}");
        }
    }

    #[test]
    fn a_pattern_at_the_limit_over_as_many_keys_as_are_searched_is_done_in_time() {
        // No automaton of reasonable size decides this one: each step keeps hundreds of states.
        let pattern = Pattern::new("[ab]*a[ab]{500}c").unwrap();
        let text = "ab".repeat(512);
        let begun = std::time::Instant::now();
        for _ in 0..64 {
            assert!(!pattern.search(&text));
        }
        assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    }
}

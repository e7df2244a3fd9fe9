//! The words of a command line: `--name value`, and the rest.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::{Result, USAGE};

/// What was given to a command.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    named: BTreeMap<String, String>,
    /// Those without a name, in order.
    pub(crate) others: Vec<String>,
}

impl Arguments {
    /// Sorts the words; a name that is not among `known` is an error, so that none is passed over.
    pub(crate) fn parse(words: &[String], known: &[&str]) -> Result<Self> {
        let mut arguments = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else {
                arguments.others.push(word.clone());
                continue;
            };
            if !known.contains(&name) {
                return Err(format!("there is no --{name} here\n{USAGE}").into());
            }
            let value = words
                .next()
                .ok_or_else(|| format!("--{name} needs a value\n{USAGE}"))?;
            arguments.named.insert(name.to_owned(), value.clone());
        }
        Ok(arguments)
    }

    /// A text, if it was given.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(String::as_str)
    }

    /// A number, if it was given.
    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        self.text(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    format!("--{name}: {text:?} is not a number that it can have").into()
                })
            })
            .transpose()
    }
}

//! What is wrong and stays wrong until it is mended, as a sentence.

use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// The outcome of the last try of one thing.
#[derive(Debug, Default)]
pub(crate) struct Fault(Mutex<Option<String>>);

impl Fault {
    /// Remembers an error; a success clears it.
    pub(crate) fn note<T>(&self, result: &Result<T>) {
        match result {
            Ok(_) => self.set(None),
            Err(error) => self.note_error(error),
        }
    }

    /// Remembers an error.
    pub(crate) fn note_error(&self, error: &Error) {
        self.set(Some(error.to_string()));
    }

    fn set(&self, fault: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// What is wrong.
    pub(crate) fn get(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

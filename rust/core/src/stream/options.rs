//! How a log is kept: what its container gave with `--log-opt`, the defaults for what it did not give, and what comes of both.
//!
//! `docs/options.md` has the options under these names. The defaults can change while streams are in use, so a stream keeps what
//! was given, and looks what comes of it whenever it wants to know.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize};

/// A stream at its limit is kept in about so many segments, and loses one when it grows: so that with `max-file=1` most of a
/// log is there at any time.
const SEGMENTS_PER_STREAM: u64 = 16;

/// Smaller segments would cost more in files and index than they free early.
const SEGMENT_MINIMUM_BYTES: u64 = 64 << 10;

/// The segment size of a stream without a limit: few files, yet age still frees space in steps.
const UNLIMITED_SEGMENT_BYTES: u64 = 64_000_000;

/// LIMIT: what `max-size` times `max-file` comes to at most.
const MAX_STREAM_BYTES: u64 = 1 << 60;

/// All options that say how a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `max-size`; `None`: no limit, and `max-file` has no meaning.
    pub max_size_bytes: Option<u64>,
    /// `max-file`.
    pub max_file: u64,
    /// `max-age`; `None`: no limit.
    pub max_age_s: Option<u64>,
    /// `compress`.
    pub compress: bool,
}

/// No limit.
impl Default for Options {
    fn default() -> Self {
        Self {
            max_size_bytes: None,
            max_file: 1,
            max_age_s: None,
            compress: true,
        }
    }
}

impl Options {
    /// What comes of them.
    pub fn limits(&self) -> Limits {
        let stream_bytes = self
            .max_size_bytes
            .map(|bytes| bytes.saturating_mul(self.max_file).min(MAX_STREAM_BYTES));
        let segment_bytes = match (self.max_size_bytes, stream_bytes) {
            (Some(most), Some(stream_bytes)) => (stream_bytes / SEGMENTS_PER_STREAM)
                .max(SEGMENT_MINIMUM_BYTES)
                .min(most),
            _ => UNLIMITED_SEGMENT_BYTES,
        };
        Limits {
            segment_bytes,
            stream_bytes,
            max_age_s: self.max_age_s,
            compress: self.compress,
        }
    }
}

/// The options that a container gave. Each one that is `None` follows the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::option_option, reason = "not given, or given as no limit")]
pub struct GivenOptions {
    /// `max-size`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    pub max_size_bytes: Option<Option<u64>>,
    /// `max-file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_file: Option<u64>,
    /// `max-age`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "given"
    )]
    pub max_age_s: Option<Option<u64>>,
    /// `compress`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<bool>,
}

/// In JSON what was not given is absent, and no limit is `null`.
#[expect(clippy::option_option, reason = "as in `GivenOptions`")]
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl GivenOptions {
    /// All options of the container.
    pub fn over(&self, defaults: &Options) -> Options {
        Options {
            max_size_bytes: self.max_size_bytes.unwrap_or(defaults.max_size_bytes),
            max_file: self.max_file.unwrap_or(defaults.max_file),
            max_age_s: self.max_age_s.unwrap_or(defaults.max_age_s),
            compress: self.compress.unwrap_or(defaults.compress),
        }
    }
}

/// What the options of a container come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// A segment is sealed at this stored size.
    pub segment_bytes: u64,
    /// The oldest segments go above this stored size.
    pub stream_bytes: Option<u64>,
    /// Segments whose newest entry is older go.
    pub max_age_s: Option<u64>,
    /// Whether the text is compressed.
    pub compress: bool,
}

/// Where a stream's limits come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    /// What a container gave, and the defaults for the rest.
    Options(GivenOptions),
    /// A session of a version that wrote down what the options came to, but not which were given.
    Limits(Limits),
}

impl Default for Asked {
    fn default() -> Self {
        Self::Options(GivenOptions::default())
    }
}

impl Asked {
    /// That nothing is deleted.
    pub(super) fn nothing_deleted() -> Self {
        Self::Options(GivenOptions {
            max_size_bytes: Some(None),
            max_age_s: Some(None),
            ..GivenOptions::default()
        })
    }

    pub(super) fn limits(&self, defaults: &Options) -> Limits {
        match self {
            Self::Options(given) => given.over(defaults).limits(),
            Self::Limits(limits) => *limits,
        }
    }
}

/// The defaults, which all streams of a store share.
#[derive(Debug, Default)]
pub struct DefaultOptions(Mutex<Option<Options>>);

impl DefaultOptions {
    /// What holds now; without any setting there is no limit.
    pub fn get(&self) -> Options {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .unwrap_or_default()
    }

    /// Sets them; returns what was set before.
    pub fn set(&self, options: Options) -> Option<Options> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(options)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        GivenOptions, MAX_STREAM_BYTES, Options, SEGMENT_MINIMUM_BYTES, UNLIMITED_SEGMENT_BYTES,
    };

    #[test]
    fn a_segment_is_a_sixteenth_of_the_stream_but_neither_tiny_nor_over_max_size() {
        for (max_size, max_file, segment_bytes, stream_bytes) in [
            (Some(20_000_000), 5, 6_250_000, Some(100_000_000)),
            (Some(20_000_000), 1, 1_250_000, Some(20_000_000)),
            (Some(20_000_000), 100, 20_000_000, Some(2_000_000_000)),
            (Some(100_000), 1, SEGMENT_MINIMUM_BYTES, Some(100_000)),
            (Some(10_000), 1, 10_000, Some(10_000)),
            (None, 5, UNLIMITED_SEGMENT_BYTES, None),
            (
                Some(MAX_STREAM_BYTES),
                1_000_000,
                MAX_STREAM_BYTES / 16,
                Some(MAX_STREAM_BYTES),
            ),
        ] {
            let options = Options {
                max_size_bytes: max_size,
                max_file,
                ..Options::default()
            };
            let limits = options.limits();
            assert_eq!(
                (limits.segment_bytes, limits.stream_bytes),
                (segment_bytes, stream_bytes),
                "{options:?}"
            );
        }
    }

    #[test]
    fn each_option_that_was_not_given_follows_the_defaults_by_itself() {
        let defaults = Options {
            max_size_bytes: Some(1),
            max_file: 2,
            max_age_s: Some(3),
            compress: false,
        };
        assert_eq!(GivenOptions::default().over(&defaults), defaults);
        let given = GivenOptions {
            max_size_bytes: Some(None),
            ..GivenOptions::default()
        };
        let expected = Options {
            max_size_bytes: None,
            ..defaults
        };
        assert_eq!(given.over(&defaults), expected);
        let given = GivenOptions {
            max_file: Some(7),
            max_age_s: Some(Some(8)),
            compress: Some(true),
            ..GivenOptions::default()
        };
        let expected = Options {
            max_size_bytes: Some(1),
            max_file: 7,
            max_age_s: Some(8),
            compress: true,
        };
        assert_eq!(given.over(&defaults), expected);
    }

    #[test]
    fn what_was_not_given_is_absent_in_json_and_no_limit_is_null() {
        for (given, json) in [
            (GivenOptions::default(), "{}"),
            (
                GivenOptions {
                    max_size_bytes: Some(None),
                    max_age_s: Some(Some(60)),
                    ..GivenOptions::default()
                },
                r#"{"max_size_bytes":null,"max_age_s":60}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&given).unwrap(), json);
            assert_eq!(
                serde_json::from_str::<GivenOptions>(json).unwrap(),
                given,
                "{json}"
            );
        }
    }
}

//! Streams as people know them, and what each holds: as a table, or as JSON.
//!
//! A store may have a hundred thousand, so that from its files to the text Python has no object for a row.

mod table;

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::replay::Zone;
use crate::store::{Listed, StoreView};
use crate::stream::Description;
pub use table::{Table, show_bytes, show_time};

/// As docker shows ids.
const SHORT_ID_BYTES: usize = 12;

/// What is looked at of the facts of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Facts<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    image: Cow<'a, str>,
    #[serde(borrow)]
    created: Cow<'a, str>,
    /// Too large ones are left out of the facts.
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    #[serde(borrow)]
    attributes: Option<&'a RawValue>,
}

fn parse(facts: Option<&str>) -> Facts<'_> {
    // Facts that are none of the service's tell nothing.
    facts
        .and_then(|facts| serde_json::from_str(facts).ok())
        .unwrap_or_default()
}

/// A container whose log is in the store, or that runs and has printed nothing.
#[derive(Clone, Debug)]
pub struct Container {
    /// What the store knows of it.
    pub listed: Listed,
    /// Its short id where no name is known.
    pub name: String,
    /// Empty where it is not known.
    pub image: String,
    /// When it was created, or else first seen; 0: not known.
    pub begun_ns: i64,
}

impl Container {
    fn new(listed: Listed) -> Self {
        let facts = parse(listed.facts.as_deref());
        let created = facts.created.parse().ok();
        let created_ns = created.and_then(|created: Timestamp| {
            // Go's zero time, which is unset, is far beyond.
            i64::try_from(created.as_nanosecond()).ok()
        });
        let name = facts.name.strip_prefix('/').unwrap_or(&facts.name);
        let name = match name {
            "" => short_id(&listed.container_id),
            name => name,
        };
        Self {
            name: name.to_owned(),
            begun_ns: created_ns.or(listed.first_started_ns).unwrap_or(0),
            image: facts.image.into_owned(),
            listed,
        }
    }

    /// As docker shows it.
    pub fn short_id(&self) -> &str {
        short_id(&self.listed.container_id)
    }

    /// Its labels as JSON.
    pub fn labels(&self) -> &str {
        let labels = parse(self.listed.facts.as_deref()).labels;
        labels.map_or("{}", or_none)
    }

    /// Its attributes as JSON.
    pub fn attributes(&self) -> &str {
        let attributes = parse(self.listed.facts.as_deref()).attributes;
        attributes.map_or("{}", or_none)
    }

    /// What it is, where it is known which containers the engine has.
    fn state(&self, existing: Option<&HashSet<String>>) -> State {
        let id = &self.listed.container_id;
        match self.listed.is_active {
            Some(true) => State::Active,
            _ if existing.is_some_and(|existing| !existing.contains(id)) => State::Removed,
            Some(false) => State::Ended,
            None => State::Unknown,
        }
    }
}

fn or_none(object: &RawValue) -> &str {
    match object.get() {
        "null" => "{}",
        object => object,
    }
}

fn short_id(id: &str) -> &str {
    id.get(..SHORT_ID_BYTES).unwrap_or(id)
}

/// All containers, oldest first.
///
/// # Errors
/// The disk refused.
pub fn containers(view: &StoreView) -> Result<Vec<Container>> {
    let mut containers: Vec<Container> = view.list()?.into_iter().map(Container::new).collect();
    // Those of the same time stay in the order of their ids.
    containers.sort_by_cached_key(|container| container.begun_ns);
    Ok(containers)
}

/// What is known of a container's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Active,
    /// It does not, and may run again.
    Ended,
    /// The engine has it no more.
    Removed,
    /// Nobody knows.
    Unknown,
}

impl State {
    fn text(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ended => "ended",
            Self::Removed => "removed",
            Self::Unknown => "-",
        }
    }
}

/// By what rows are sorted; times and sizes with the newest and the largest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// The newest entry.
    Last,
    /// The oldest entry, oldest first.
    First,
    /// The name.
    Name,
    /// How many entries.
    Entries,
    /// Their text.
    Size,
    /// Their files.
    Stored,
}

impl Sort {
    fn key(self, held: &Description) -> i128 {
        match self {
            Self::Last => -i128::from(held.last_ns.unwrap_or(0)),
            Self::First => i128::from(held.first_ns.unwrap_or(0)),
            Self::Name => 0,
            Self::Entries => -i128::from(held.entry_count),
            Self::Size => -i128::from(held.text_bytes),
            Self::Stored => -i128::from(held.stored_bytes),
        }
    }
}

#[derive(Debug)]
struct Row {
    container: Arc<Container>,
    state: State,
    /// Nothing where it has printed nothing, or cannot be read.
    held: Description,
}

/// Containers and what their logs hold.
#[derive(Debug)]
pub struct Listing {
    rows: Vec<Row>,
    is_engine_known: bool,
    faults: Vec<(String, Error)>,
}

impl Listing {
    /// Looks at the logs of these. `existing`: the containers that the engine has; `states`: only those that are in one of them.
    pub fn look(
        view: &StoreView,
        containers: Vec<Arc<Container>>,
        existing: Option<&HashSet<String>>,
        states: Option<&[State]>,
    ) -> Self {
        let mut listing = Self {
            rows: Vec::with_capacity(containers.len()),
            is_engine_known: existing.is_some(),
            faults: Vec::new(),
        };
        for container in containers {
            let state = container.state(existing);
            if states.is_some_and(|states| !states.contains(&state)) {
                continue;
            }
            let held = match container.listed.held {
                Some(held) => Ok(Some(held)),
                None => view.describe(&container.listed.container_id),
            };
            let held = held.unwrap_or_else(|error| {
                listing.faults.push((container.name.clone(), error));
                None
            });
            listing.rows.push(Row {
                container,
                state,
                held: held.unwrap_or_default(),
            });
        }
        listing
    }

    /// The names of those that cannot be read, and why.
    pub fn faults(&self) -> &[(String, Error)] {
        &self.faults
    }

    /// Sorts the rows; equal ones by name.
    pub fn sort(&mut self, by: Sort) {
        self.rows.sort_by(|a, b| {
            let keys = by.key(&a.held).cmp(&by.key(&b.held));
            keys.then_with(|| a.container.name.cmp(&b.container.name))
        });
    }

    /// As a table, with times in a zone.
    pub fn table(&self, zone: &Zone) -> String {
        let head = [
            "NAME", "ID", "IMAGE", "STATE", "FIRST", "LAST", "ENTRIES", "SIZE", "STORED",
        ];
        let mut table = Table::new(head.into_iter(), &[6, 7, 8]);
        for row in &self.rows {
            let (container, held) = (&row.container, &row.held);
            table.add(&container.name);
            table.add(container.short_id());
            table.add(match &*container.image {
                "" => "-",
                image => image,
            });
            table.add(row.state.text());
            table.add(&show_time(held.first_ns, zone));
            table.add(&show_time(held.last_ns, zone));
            table.add(&table::show_count(held.entry_count));
            table.add(&show_bytes(held.text_bytes));
            table.add(&show_bytes(held.stored_bytes));
        }
        table.finish()
    }

    /// As JSON, an object a line.
    pub fn json(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for row in &self.rows {
            let listed = &row.container.listed;
            let is_removed = match row.state {
                State::Active => Some(false),
                State::Removed => Some(true),
                State::Ended | State::Unknown => self.is_engine_known.then_some(false),
            };
            let _ = writeln!(
                text,
                r#"{{"name":{},"id":"{}","image":{},"labels":{},"active":{},"removed":{},"first_ns":{},"last_ns":{},"entries":{},"text_bytes":{},"stored_bytes":{}}}"#,
                json(&row.container.name),
                listed.container_id,
                json(&row.container.image),
                // A foreign copy of a store may have them on several lines.
                row.container.labels().replace('\n', " "),
                json(&listed.is_active),
                json(&is_removed),
                json(&row.held.first_ns),
                json(&row.held.last_ns),
                row.held.entry_count,
                row.held.text_bytes,
                row.held.stored_bytes,
            );
        }
        text
    }
}

/// A text, a number or a truth as JSON.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Container, Listing, Row, State};
    use crate::store::Listed;
    use crate::stream::Description;

    fn container(facts: Option<&str>) -> Container {
        Container::new(Listed {
            container_id: "0123456789abcdef".to_owned(),
            is_active: None,
            first_started_ns: Some(7),
            last_started_ns: None,
            facts: facts.map(str::to_owned),
            held: None,
        })
    }

    #[test]
    fn a_container_bears_the_name_of_its_facts_or_its_short_id() {
        for (facts, name) in [
            (Some(r#"{"name":"/web","more":[]}"#), "web"),
            (Some(r#"{"name":"w\u00e9b"}"#), "w\u{e9}b"),
            (Some(r#"{"name":"/"}"#), "0123456789ab"),
            (Some(r#"{"name":7}"#), "0123456789ab"),
            (Some("no JSON"), "0123456789ab"),
            (None, "0123456789ab"),
        ] {
            assert_eq!(container(facts).name, name, "{facts:?}");
        }
    }

    #[test]
    fn a_container_has_begun_when_it_was_created_or_else_first_seen() {
        for (created, begun_ns) in [
            ("1970-01-01T00:00:01.5Z", 1_500_000_000),
            ("1970-01-01T01:00:01+01:00", 1_000_000_000),
            ("0001-01-01T00:00:00Z", 7),
            ("9999-01-01T00:00:00Z", 7),
            ("yesterday", 7),
        ] {
            let facts = format!(r#"{{"created":"{created}"}}"#);
            assert_eq!(container(Some(&facts)).begun_ns, begun_ns, "{created}");
        }
    }

    #[test]
    fn labels_are_an_object_whatever_the_facts_have() {
        for facts in [None, Some("{}"), Some(r#"{"labels":null}"#)] {
            assert_eq!(container(facts).labels(), "{}");
            assert_eq!(container(facts).attributes(), "{}");
        }
        let labelled = container(Some(r#"{"labels":{"a":"b"},"attributes":{"c":"d"}}"#));
        assert_eq!(labelled.labels(), r#"{"a":"b"}"#);
        assert_eq!(labelled.attributes(), r#"{"c":"d"}"#);
    }

    #[test]
    fn json_has_a_line_for_each() {
        let listing = Listing {
            rows: vec![Row {
                container: Arc::new(container(Some("{\"labels\":{\n\"a\":\n\"b\\n\"}}"))),
                state: State::Unknown,
                held: Description::default(),
            }],
            is_engine_known: false,
            faults: Vec::new(),
        };
        let text = String::from_utf8(listing.json()).unwrap();
        assert_eq!(text.lines().count(), 1);
        let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(shown["labels"]["a"], "b\n");
        assert!(shown["removed"].is_null() && shown["first_ns"].is_null());
    }
}

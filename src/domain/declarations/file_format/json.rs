//! The JSON formats.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Malformed, Parsed};
use crate::domain::credentials::secret::Secret;

pub(super) fn object(bytes: &[u8]) -> Result<Parsed, Malformed> {
    let entries: BTreeMap<String, Text> = serde_json::from_slice(bytes)?;
    let texts = entries.into_iter().filter_map(|(name, Text(value))| Some((name, value?)));
    Ok(Parsed { variables: texts.collect(), refused: Vec::new() })
}

pub(super) fn array(bytes: &[u8]) -> Result<Parsed, Malformed> {
    let entries: Vec<&RawValue> = serde_json::from_slice(bytes)?;
    let items = entries.iter().filter_map(|entry| serde_json::from_str::<Item>(entry.get()).ok());
    let variables = items.filter(|item| item.kind == "EnvironmentVariable");
    let texts = variables.filter_map(|item| Some((item.name, item.value.0?)));
    Ok(Parsed { variables: texts.collect(), refused: Vec::new() })
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        // The message of serde_json may quote the file.
        Self::Json { line: error.line(), column: error.column() }
    }
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    value: Text,
}

/// A string, moved into a [`Secret`] without another copy. `None` for any other value.
struct Text(Option<Secret>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(Some(Secret::new(text))))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Text, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Text, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }
}

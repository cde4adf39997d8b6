//! Takes the fields of a JSON object that a description names.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::Fields;
use crate::event::Outcome;

/// Reads the objects of one server.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    event: Vec<String>,
    failure: Vec<String>,
    success: Vec<String>,
    source: Vec<String>,
    user: Vec<String>,
    port: Vec<String>,
}

/// What an object says.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub(super) outcome: Outcome,
    /// Which of the values meant it.
    pub(super) by: usize,
    pub(super) source: String,
    pub(super) user: Option<String>,
    pub(super) port: Option<String>,
}

impl Reader {
    pub(super) fn new(fields: &Fields) -> Self {
        let path = |text: &str| text.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Self {
            event: path(&fields.event),
            failure: fields.failure.clone(),
            success: fields.success.clone(),
            source: path(&fields.source),
            user: path(&fields.user),
            port: path(&fields.port),
        }
    }

    pub(super) fn read(&self, message: &[u8]) -> Option<Found> {
        if !message.starts_with(b"{") {
            return None;
        }
        let object: Json = serde_json::from_slice(message).ok()?;
        let happened = object.at(&self.event)?;
        let among = |values: &[String]| values.iter().position(|value| *value == happened);
        let (outcome, by) = match among(&self.failure) {
            Some(by) => (Outcome::Failure, by),
            None => (Outcome::Success, among(&self.success)?),
        };
        Some(Found {
            outcome,
            by,
            source: object.at(&self.source)?,
            user: object.at(&self.user),
            port: object.at(&self.port),
        })
    }
}

/// A value, with no name twice in an object: what is written by a server that does not escape what a client chose
/// may have one of the client's as well.
enum Json {
    Object(Vec<(String, Json)>),
    Text(String),
    /// An array or `null`, which no description asks for.
    Other,
}

impl Json {
    /// The text at the end of the path; `true`, `false` and numbers as they are written. Nothing for an empty path.
    fn at(&self, path: &[String]) -> Option<String> {
        let (name, rest) = path.split_first()?;
        let Self::Object(fields) = self else { return None };
        let (_, value) = fields.iter().find(|(known, _)| known == name)?;
        match value {
            Self::Text(text) if rest.is_empty() => Some(text.clone()),
            _ => value.at(rest),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields: Vec<(String, Json)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom("a name stands twice"));
            }
            if fields.len() == MOST_FIELDS {
                return Err(A::Error::custom("too many names"));
            }
            fields.push((name, value));
        }
        Ok(Json::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        while seq.next_element::<Json>()?.is_some() {}
        Ok(Json::Other)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Text(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Text(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Text(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Text(value.to_string()))
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }
}

/// No log has as many fields in an object; comparing each with all costs little up to here.
const MOST_FIELDS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &str) -> Option<Found> {
        let fields = Fields {
            event: "msg".to_owned(),
            failure: vec!["login failed".to_owned(), "false".to_owned()],
            success: vec!["login ok".to_owned()],
            source: "client.ip".to_owned(),
            user: "user.name".to_owned(),
            port: "client.port".to_owned(),
        };
        Reader::new(&fields).read(message.as_bytes())
    }

    const LINE: &str = r#"{"msg":"login failed","client":{"ip":"203.0.113.7","port":41022,"x":[1,{"a":null}]},"user":{"name":"a\"b\n"}}"#;

    #[test]
    fn fields_are_found_at_the_end_of_their_paths() {
        let found = read(LINE).unwrap();
        assert_eq!((found.outcome, found.by, found.source.as_str()), (Outcome::Failure, 0, "203.0.113.7"));
        assert_eq!((found.user.as_deref(), found.port.as_deref()), (Some("a\"b\n"), Some("41022")));
        assert_eq!(read(r#"{"msg":false,"client":{"ip":"x"}}"#).unwrap().by, 1);
        assert_eq!(
            read(r#"{"msg":"login ok","client":{"ip":"x"},"user":null}"#).unwrap().outcome,
            Outcome::Success
        );
    }

    #[test]
    fn what_lacks_a_field_or_has_it_twice_says_nothing() {
        for message in [
            r#"{"msg":"login failed"}"#,
            r#"{"msg":"other","client":{"ip":"203.0.113.7"}}"#,
            r#"{"client":{"ip":"203.0.113.7"}}"#,
            r#"{"msg":"login failed","client":"203.0.113.7"}"#,
            r#"{"msg":"login failed","client":{"ip":{"v4":"203.0.113.7"}}}"#,
            r#"{"msg":"login failed","client":{"ip":"203.0.113.7","ip":"192.0.2.66"}}"#,
            r#"{"msg":"login failed","client":{"ip":"203.0.113.7"},"client":{"ip":"192.0.2.66"}}"#,
            r#"{"msg":"login failed","client":{"ip":"203.0.113.7"}"#,
            r#"{"msg":"login failed","client":{"ip":"203.0.113.7"}} x"#,
            r#"["login failed"]"#,
            "",
        ] {
            assert_eq!(read(message), None, "{message}");
        }
    }

    #[test]
    fn an_object_of_any_depth_or_width_is_read_or_refused() {
        let deep = format!(r#"{{"msg":{}"#, "[".repeat(60_000));
        assert_eq!(read(&deep), None);
        let wide: String = (0..5_000).map(|number| format!(r#""f{number}":1"#)).collect::<Vec<_>>().join(",");
        assert_eq!(read(&format!(r#"{{{wide},"msg":"login failed"}}"#)), None);
    }
}

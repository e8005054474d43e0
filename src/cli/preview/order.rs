//! What a page wants of the run.

use serde_json::Value;

/// What a page wants of the run.
#[derive(Debug, PartialEq)]
pub(super) enum Order {
    Pause,
    GoOn,
    /// End here, and keep the picture.
    Stop,
    /// Write the picture as it is now.
    Save,
    /// Give an option another value.
    Set {
        name: String,
        value: Value,
    },
}

impl Order {
    /// As the page sends it, in JSON: `{"do": "set", "name": "alpha", "value": 3}`.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(text).ok()?;
        match value["do"].as_str()? {
            "pause" => Some(Self::Pause),
            "go on" => Some(Self::GoOn),
            "stop" => Some(Self::Stop),
            "save" => Some(Self::Save),
            "set" => {
                Some(Self::Set { name: value["name"].as_str()?.to_owned(), value: value["value"].clone() })
            }
            _ => None,
        }
    }

    /// What the page says until the step that is under way is done.
    pub(super) fn asked(&self) -> &'static str {
        match self {
            Self::Pause => "pauses after this step",
            Self::GoOn => "goes on",
            Self::Stop => "stops after this step",
            Self::Save => "saves after this step",
            Self::Set { .. } => "changes after this step",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_and_anything_else_is_none() {
        let set = Order::Set { name: "alpha".into(), value: 3.into() };
        assert_eq!(Order::read(br#"{"do": "set", "name": "alpha", "value": 3}"#), Some(set));
        assert_eq!(Order::read(br#"{"do": "stop"}"#), Some(Order::Stop));
        for text in
            ["", "stop", "{}", "[]", r#"{"do": 1}"#, r#"{"do": "set"}"#, r#"{"do": "quit"}"#, "\u{fffd}"]
        {
            assert_eq!(Order::read(text.as_bytes()), None, "{text}");
        }
        let deep = [b'['; 16 << 10];
        assert_eq!(Order::read(&deep), None);
    }
}

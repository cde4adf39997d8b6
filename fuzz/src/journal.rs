//! Entries of a journal.

use serde_json::Value;

use crate::input::journal::entry::{Entry, Said};

/// Reads an entry; what it says is what a reader says that knows nothing of journals.
pub fn entry(json: &[u8]) {
    let Ok(entry) = Entry::parse(json) else { return };
    // Where a field that does not matter is not UTF-8, the entry is read and JSON is not.
    let Ok(value) = serde_json::from_slice::<Value>(json) else { return };
    let Said::Message { text, pid, .. } = entry.said() else { return };
    assert_eq!(bytes(&value["MESSAGE"]).as_deref(), Some(text));
    assert!(bytes(&value["_UID"]).is_some(), "who wrote it is known");
    if let Some(pid) = pid {
        let told = bytes(&value["_PID"]).expect("a process id is one value");
        assert_eq!(str::from_utf8(&told).ok().and_then(|told| told.parse().ok()), Some(pid));
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Array(items) => {
            items.iter().map(|item| item.as_u64().and_then(|byte| byte.try_into().ok())).collect()
        }
        _ => None,
    }
}

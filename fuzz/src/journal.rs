//! Entries of a journal.

use serde_json::Value;

use crate::input::journal::entry::{Entry, Said, Writer};

/// Reads an entry; what it says is what a reader says that knows nothing of journals.
pub fn entry(json: &[u8]) {
    let Ok(entry) = Entry::parse(json) else { return };
    // Where a field that does not matter is not UTF-8, the entry is read and JSON is not.
    let Ok(value) = serde_json::from_slice::<Value>(json) else { return };
    let text_of = |name: &str| bytes(&value[name]);
    let in_unit = Writer { program: "acmed".to_owned(), unit: "acme.service".to_owned() };
    let by_root = Writer { program: "acmed".to_owned(), unit: String::new() };
    for writer in [None, Some(&in_unit), Some(&by_root)] {
        let Said::Message { process, text, pid } = entry.said(writer) else { continue };
        assert_eq!(text_of("MESSAGE").as_deref(), Some(text));
        let is_vouched_for = match writer.map(|writer| writer.unit.as_str()) {
            None => text_of("_UID").is_some_and(|user| user == b"0") || text_of("_SYSTEMD_UNIT").is_some(),
            Some("") => text_of("_UID").is_some_and(|user| user == b"0"),
            Some(unit) => text_of("_SYSTEMD_UNIT").is_some_and(|of| of == unit.as_bytes()),
        };
        assert!(is_vouched_for, "who wrote it is known");
        assert!(writer.is_none_or(|writer| process == writer.program.as_bytes()));
        check_pid(pid, &value);
    }
}

fn check_pid(pid: Option<u32>, value: &Value) {
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

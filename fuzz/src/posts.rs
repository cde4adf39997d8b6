//! Events that applications post.

use crate::control::events::{Batch, Form, Posted, PostedEvent};

/// Reads the body of a request; each line is judged or refused, and what is judged is the same when it is posted again.
pub fn body(data: &[u8]) {
    let Some(([form, limit], body)) = data.split_first_chunk() else { return };
    let form = [Form::Json, Form::Lines, Form::Urlencoded][usize::from(*form) % 3];
    let limit = (usize::from(*limit) + 1) * 16;
    let batch = Batch::parse(form, body, limit);
    let told = batch.events.len() as u64 + batch.refused;
    let lines = match form {
        Form::Lines => body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count(),
        Form::Json | Form::Urlencoded => 1,
    };
    assert_eq!(told, lines as u64, "no line is lost");
    assert!(batch.bytes <= body.len() as u64 && batch.too_long <= batch.refused);
    assert_eq!(batch.errors.len() as u64, batch.refused.min(100));
    for error in &batch.errors {
        assert!((1..=body.len() as u64 + 1).contains(&error.line) && !error.error.is_empty());
        assert!(error.error.len() < 2048 && !error.error.contains(char::is_control), "{:?}", error.error);
    }
    for posted in batch.events {
        let again = serde_json::to_vec(&again(&posted)).expect("an event can be written");
        let read = Batch::parse(Form::Json, &again, usize::MAX);
        assert_eq!((read.events, read.errors), (vec![posted], Vec::new()));
    }
}

fn again(posted: &Posted) -> PostedEvent {
    let Posted { event, at, session } = posted.clone();
    PostedEvent {
        source: Some(event.address.expect("no event is judged without a source").to_string()),
        port: event.port,
        user: event.user.map(String::from),
        event: event.outcome,
        kind: Some(event.kind),
        service: Some(event.service.as_str().to_owned()),
        count: Some(event.count),
        at,
        session,
    }
}

//! Takes the auth events that applications post.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http_body_util::{BodyExt as _, Limited};

use super::api::Refusal;
use super::events::{Declined, EventsTaken, Form, MOST_EVENTS};
use super::server::{Answer, BODY, Desk, MayChange};

/// How many seconds whoever finds the guard busy is asked to wait.
const RETRY_AFTER: &str = "1";

pub(super) async fn events<D: Desk>(
    State(desk): State<Arc<D>>,
    Extension(may): Extension<MayChange>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Err(fault) = may.check() {
        return Answer::<()>(Err(fault)).into_response();
    }
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some(form) = Form::of(media) else {
        let hint = "send 'application/json', or an object a line as 'application/x-ndjson'";
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type is none of events", hint);
    };
    let Ok(body) = Limited::new(body, BODY).collect().await else {
        let error = format!("the events do not arrive whole, or are more than {BODY} bytes");
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, &error, IN_PARTS);
    };
    answer(form, desk.events(form, body.to_bytes()).await)
}

fn answer(form: Form, taken: Result<EventsTaken, Declined>) -> Response {
    match taken {
        Ok(taken) if taken.taken > 0 || taken.refused == 0 => Json(taken).into_response(),
        Ok(mut taken) if form != Form::Lines => {
            let error = taken.errors.pop().map_or_else(String::new, |bad| bad.error);
            refusal(StatusCode::BAD_REQUEST, &error, HOW)
        }
        Ok(taken) => (StatusCode::BAD_REQUEST, Json(taken)).into_response(),
        Err(Declined::TooMany) => {
            let error = format!("there are more than {MOST_EVENTS} events");
            refusal(StatusCode::PAYLOAD_TOO_LARGE, &error, IN_PARTS)
        }
        Err(Declined::Busy) => {
            let hint = "post them again in a second";
            let answer =
                refusal(StatusCode::SERVICE_UNAVAILABLE, "too many events wait to be judged already", hint);
            ([(header::RETRY_AFTER, RETRY_AFTER)], answer).into_response()
        }
        Err(Declined::Ending) => {
            let hint = "post them again when it has been started";
            refusal(StatusCode::SERVICE_UNAVAILABLE, "the daemon is shutting down", hint)
        }
    }
}

fn refusal(status: StatusCode, error: &str, hint: &str) -> Response {
    let refusal = Refusal { error: error.to_owned(), hint: Some(hint.to_owned()) };
    (status, Json(refusal)).into_response()
}

const IN_PARTS: &str = "post them in parts";
const HOW: &str = r#"an event is as in {"source":"203.0.113.7","event":"failure","user":"root"}"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::events::BadLine;

    fn taken(taken: u64, refused: u64) -> EventsTaken {
        let errors = (1..=refused).map(|line| BadLine { line, error: "it is bad".to_owned() }).collect();
        EventsTaken { taken, refused, errors }
    }

    #[test]
    fn whoever_finds_the_guard_busy_is_told_when_to_come_again() {
        let answer = answer(Form::Json, Err(Declined::Busy));
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
    }

    #[test]
    fn the_status_says_whether_anything_was_taken() {
        for (form, became, status) in [
            (Form::Lines, Ok(taken(5, 1)), StatusCode::OK),
            (Form::Lines, Ok(taken(0, 0)), StatusCode::OK),
            (Form::Lines, Ok(taken(0, 2)), StatusCode::BAD_REQUEST),
            (Form::Json, Ok(taken(0, 1)), StatusCode::BAD_REQUEST),
            (Form::Urlencoded, Ok(taken(1, 0)), StatusCode::OK),
            (Form::Lines, Err(Declined::TooMany), StatusCode::PAYLOAD_TOO_LARGE),
            (Form::Lines, Err(Declined::Ending), StatusCode::SERVICE_UNAVAILABLE),
        ] {
            let told = format!("{form:?}, {became:?}");
            assert_eq!(answer(form, became).status(), status, "{told}");
        }
    }
}

use super::*;

#[test]
fn a_pass_begins_a_minute_after_the_last_one_or_when_it_is_asked_for() {
    let start = Moment::from_start(Duration::from_secs(1000));
    let (mut resync, _) = Resync::new(start);
    resync.begin(start.plus(Duration::from_secs(59)));
    assert!(!resync.is_under_way());
    resync.begin(start.plus(Duration::from_mins(1)));
    assert!(resync.is_under_way());

    // Who asks while one is under way is answered by the next, which sees all that was done before.
    let (answer, _answered) = tokio::sync::oneshot::channel();
    resync.ask(answer);
    let pass = resync.pass.take().unwrap();
    assert!(pass.answers.is_empty() && !pass.slept);
    resync.pause(start);
    resync.begin(start);
    assert_eq!(resync.pass.take().unwrap().answers.len(), 1);
    resync.pause(start);
    resync.begin(start);
    assert!(!resync.is_under_way());
}

#[test]
fn ends_that_a_sleep_has_put_off_are_no_drift_and_others_are() {
    let (mut resync, _) = Resync::new(Moment::default());
    resync.wake();
    let mut pass = resync.pass.take().unwrap();
    pass.note_other(word(10, false), word(500, false));
    pass.note_other(word(10, true), word(500, true));
    assert_eq!(pass.drift, Drift::default());
    pass.note_other(10, 5);
    pass.note_other(10, word(500, true));
    assert_eq!(pass.drift, Drift { other: 2, ..Drift::default() });
    pass.slept = false;
    pass.note_other(10, 500);
    assert_eq!(pass.drift.other, 3);
}

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 16;

/// What came out: the messages, how many were too long, and whether the stream was given up.
#[derive(PartialEq, Eq, Debug)]
struct Cut {
    frames: Vec<Vec<u8>>,
    too_long: u64,
    broken: bool,
    in_one: bool,
}

/// Feeds `bytes` in pieces of these sizes, in turn.
fn cut(bytes: &[u8], sizes: &[usize]) -> Cut {
    let mut frames = Frames::new(LIMIT);
    let mut got = Vec::new();
    let mut rest = bytes;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        rest = after;
        frames.space()[..piece.len()].copy_from_slice(piece);
        frames.filled(piece.len());
        loop {
            match frames.next() {
                Ok(Some(frame)) => got.push(frame.to_vec()),
                Ok(None) => break,
                Err(BadLength) => {
                    let (too_long, in_one) = (frames.take_too_long(), false);
                    return Cut { frames: got, too_long, broken: true, in_one };
                }
            }
        }
        assert!(frames.buffer.len() <= MAX_DIGITS + 1 + LIMIT + TAIL + BLOCK);
        assert!(frames.space().len() >= BLOCK);
    }
    Cut { frames: got, too_long: frames.take_too_long(), broken: false, in_one: frames.is_in_one() }
}

fn texts(cut: &Cut) -> Vec<String> {
    cut.frames.iter().map(|frame| String::from_utf8_lossy(frame).into_owned()).collect()
}

#[test]
fn a_connection_that_begins_with_a_digit_counts_octets() {
    let cut = cut(b"5 <1>ab12 <2>line\nmore3 <3>8 <4>end\r\n", &[usize::MAX]);
    assert_eq!(texts(&cut), ["<1>ab", "<2>line\nmore", "<3>", "<4>end"]);
    assert!(!cut.broken && !cut.in_one);
}

#[test]
fn a_newline_in_a_counted_message_makes_no_second_one() {
    let forged = "<1>a\n<2>b";
    assert_eq!(texts(&cut(format!("{} {forged}", forged.len()).as_bytes(), &[1])), [forged]);
}

#[test]
fn text_is_ended_by_newlines_or_by_nuls_as_the_first_one_is() {
    assert_eq!(texts(&cut(b"<1>a\r\n<2>b\0c\n\n<3>d\n", &[1])), ["<1>a", "<2>b\0c", "<3>d"]);
    assert_eq!(texts(&cut(b"<1>a\0<2>b\nc\0<3>d\n\0", &[1])), ["<1>a", "<2>b\nc", "<3>d"]);
}

#[test]
fn a_message_over_the_limit_is_skipped_counted_and_not_cut() {
    let exact = "x".repeat(LIMIT);
    let over = "y".repeat(LIMIT + 1);
    let many = "z".repeat(3 * BLOCK);
    for size in [1, 7, BLOCK] {
        let stream = format!("<{exact}\n{exact}\n{over}\n{many}\n{exact}\r\nshort\n");
        let ended = cut(stream.as_bytes(), &[size]);
        assert_eq!((texts(&ended), ended.too_long), (vec![exact.clone(), exact.clone(), "short".into()], 3));
        let counted: String =
            [&*exact, &*over, &*many, &*exact].map(|text| format!("{} {text}", text.len())).concat();
        let counted = cut(counted.as_bytes(), &[size]);
        assert_eq!((texts(&counted), counted.too_long), (vec![exact.clone(), exact.clone()], 2));
        assert!(!counted.in_one);
    }
}

#[test]
fn a_length_that_is_none_ends_the_connection_and_what_came_before_it_is_whole() {
    for bad in ["x", " ", "-1 <", "0 <", "007 <", "12345678 <", "12x", "<1>a\n", "3\n"] {
        let cut = cut(format!("3 <1>{bad}").as_bytes(), &[1]);
        assert!(cut.broken, "{bad:?}");
        assert_eq!(texts(&cut), ["<1>"], "{bad:?}");
    }
    assert!(cut(b"99999999", &[1]).broken, "a length without end");
}

#[test]
fn what_has_begun_and_not_ended_is_known() {
    for (stream, in_one) in
        [("", false), ("<1>a\n", false), ("<1>a", true), ("5 ", true), ("5", true), ("5 <1>ab", false)]
    {
        assert_eq!(cut(stream.as_bytes(), &[1]).in_one, in_one, "{stream:?}");
    }
    assert!(cut(format!("<{}", "x".repeat(99)).as_bytes(), &[1]).in_one, "one that is skipped");
}

/// Messages that are neither empty nor end in what senders put behind them.
fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..LIMIT - 1), 0..20).prop_map(|messages| {
        messages.into_iter().map(|message| [b"<".as_slice(), &message, b">"].concat()).collect()
    })
}

proptest! {
    #[test]
    fn counted_messages_come_out_as_they_went_in_however_they_arrive(
        messages in messages(),
        sizes in prop::collection::vec(1..50_usize, 1..10),
    ) {
        let stream: Vec<u8> = messages
            .iter()
            .flat_map(|message| [format!("{} ", message.len()).into_bytes(), message.clone()].concat())
            .collect();
        prop_assert_eq!(cut(&stream, &sizes).frames, messages);
    }

    #[test]
    fn ended_messages_come_out_as_they_went_in_however_they_arrive(
        messages in messages(),
        sizes in prop::collection::vec(1..50_usize, 1..10),
        nul in any::<bool>(),
    ) {
        let end = if nul { 0 } else { b'\n' };
        // No byte that ends a message elsewhere stands in the first one.
        let plain = |byte: u8| if matches!(byte, 0 | b'\n') { b' ' } else { byte };
        let messages: Vec<Vec<u8>> =
            messages.into_iter().map(|message| message.into_iter().map(plain).collect()).collect();
        let stream: Vec<u8> = messages.iter().flat_map(|message| [&message[..], &[end]].concat()).collect();
        prop_assert_eq!(cut(&stream, &sizes).frames, messages);
    }

    #[test]
    fn random_bytes_give_the_same_in_any_pieces_and_never_more_than_fits(
        bytes in prop::collection::vec(prop_oneof![
            4 => any::<u8>(), 2 => b'0'..=b'9', 1 => Just(b' '), 1 => Just(b'\n'), 1 => Just(0),
        ], 0..400),
        sizes in prop::collection::vec(1..50_usize, 1..10),
    ) {
        let whole = cut(&bytes, &[usize::MAX]);
        prop_assert!(whole.frames.iter().all(|frame| !frame.is_empty() && frame.len() <= LIMIT));
        prop_assert_eq!(cut(&bytes, &sizes), whole);
    }
}

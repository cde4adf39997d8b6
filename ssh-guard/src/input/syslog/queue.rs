//! Keeps messages that cannot be handed on yet: bounded, and so that no sender pushes out another's; pure.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::moment::Moment;

/// Senders that have a row of their own; all further ones share one.
const ROWS: usize = 256;

/// What keeping a message costs beside its bytes.
const OVERHEAD: usize = 64;

/// A message, and when it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Message {
    pub(super) text: Box<[u8]>,
    pub(super) read_at: Moment,
}

/// A row of messages for each sender, which are taken in turn. When there is no room, the longest row loses its oldest
/// message: the newest say who is trying now, and whoever sends too much loses of its own.
#[derive(Debug)]
pub(super) struct Queue {
    rows: VecDeque<Row>,
    room: usize,
    taken: usize,
}

#[derive(Debug)]
struct Row {
    /// None for the row of those who have none of their own.
    sender: Option<IpAddr>,
    messages: VecDeque<Message>,
    cost: usize,
}

impl Queue {
    /// Makes one for messages of `room` bytes together, what keeping them costs included.
    pub(super) fn new(room: usize) -> Self {
        Self { rows: VecDeque::new(), room, taken: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Puts a message at the end of its sender's row; returns how many had to make room.
    pub(super) fn push(&mut self, sender: IpAddr, message: Message) -> u64 {
        let cost = cost(&message);
        let row = self.row(sender);
        row.cost += cost;
        row.messages.push_back(message);
        self.taken += cost;
        let mut lost = 0;
        while self.taken > self.room {
            self.drop_oldest();
            lost += 1;
        }
        lost
    }

    /// Takes the next message, of the sender whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Message> {
        let mut row = self.rows.pop_front()?;
        let message = row.messages.pop_front()?;
        row.cost -= cost(&message);
        self.taken -= cost(&message);
        if !row.messages.is_empty() {
            self.rows.push_back(row);
        }
        Some(message)
    }

    fn row(&mut self, sender: IpAddr) -> &mut Row {
        let own = self.rows.iter().position(|row| row.sender == Some(sender));
        let at = own.unwrap_or_else(|| {
            let sender = (self.rows.len() < ROWS).then_some(sender);
            let shared = self.rows.iter().position(|row| sender.is_none() && row.sender.is_none());
            shared.unwrap_or_else(|| {
                self.rows.push_back(Row { sender, messages: VecDeque::new(), cost: 0 });
                self.rows.len() - 1
            })
        });
        &mut self.rows[at]
    }

    fn drop_oldest(&mut self) {
        let longest = (0..self.rows.len()).max_by_key(|at| self.rows[*at].cost);
        let Some(at) = longest else { return };
        let row = &mut self.rows[at];
        if let Some(message) = row.messages.pop_front() {
            row.cost -= cost(&message);
            self.taken -= cost(&message);
        }
        if row.messages.is_empty() {
            self.rows.remove(at);
        }
    }
}

fn cost(message: &Message) -> usize {
    message.text.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sender(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(0xc612_0000 + number).into()
    }

    fn message(text: &str) -> Message {
        Message { text: text.as_bytes().into(), read_at: Moment::default() }
    }

    /// A queue with room for so many messages of three bytes.
    fn queue(messages: usize) -> Queue {
        Queue::new(messages * (3 + OVERHEAD))
    }

    fn drained(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).map(|m| String::from_utf8_lossy(&m.text).into_owned()).collect()
    }

    #[test]
    fn senders_are_heard_in_turn() {
        let mut queue = queue(10);
        for text in ["a01", "a02", "a03", "b01", "b02", "c01"] {
            let number = u32::from(text.as_bytes()[0]);
            assert_eq!(queue.push(sender(number), message(text)), 0);
        }
        assert_eq!(drained(&mut queue), ["a01", "b01", "c01", "a02", "b02", "a03"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn whoever_floods_loses_its_own_oldest_and_nobody_elses() {
        let mut queue = queue(10);
        queue.push(sender(1), message("b01"));
        let lost: u64 = (0..100).map(|number| queue.push(sender(0), message(&format!("a{number:02}")))).sum();
        queue.push(sender(1), message("b02"));
        assert_eq!(lost, 91);
        let left = drained(&mut queue);
        assert_eq!(left.len(), 10);
        assert!(left.contains(&"b01".to_owned()) && left.contains(&"b02".to_owned()), "{left:?}");
        let own: Vec<_> = left.iter().filter(|text| text.starts_with('a')).collect();
        assert_eq!(own, ["a92", "a93", "a94", "a95", "a96", "a97", "a98", "a99"], "the newest are kept");
    }

    #[test]
    fn any_number_of_senders_takes_no_more_than_the_rows_that_there_are() {
        let mut queue = Queue::new(1 << 20);
        for number in 0..5000 {
            queue.push(sender(number), message("abc"));
        }
        assert_eq!(queue.rows.len(), ROWS + 1);
        assert_eq!(drained(&mut queue).len(), 5000);
        assert_eq!((queue.rows.len(), queue.taken), (0, 0));
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_or_is_told_as_lost_and_it_never_takes_more_than_its_room(
            steps in prop::collection::vec((0..300_u32, 0..40_usize, any::<bool>()), 1..400),
        ) {
            let mut queue = Queue::new(1000);
            let (mut pushed, mut popped, mut lost) = (0_u64, 0_u64, 0);
            for (number, length, pop) in steps {
                lost += queue.push(sender(number), message(&"x".repeat(length)));
                pushed += 1;
                popped += u64::from(pop && queue.pop().is_some());
                prop_assert!(queue.taken <= 1000);
                prop_assert_eq!(queue.rows.iter().map(|row| row.cost).sum::<usize>(), queue.taken);
            }
            prop_assert_eq!(popped + lost + drained(&mut queue).len() as u64, pushed);
        }
    }
}

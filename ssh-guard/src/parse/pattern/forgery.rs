//! Tries whether a client could make a message that a description reads as another's.
//!
//! A description says which words of a message a client chose at most by its group `user`, and a sample shows one
//! message. So pieces of the samples, with a forged address in the place of the true one, are written over the user's name
//! of a sample, and wherever else the expression leaves room, where a word more is no matter: what an attacker would
//! write into his user name. Where the result matches, the address must still be the one that stands in the sample's own
//! place, and a failure must not have become a success.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;

use super::{Found, Pattern, origin};
use crate::event::Outcome;

/// A message that a client could bring about by what it chose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forgery {
    /// The message.
    pub message: Vec<u8>,
    /// Whom it credits instead of the client; nobody else if only its outcome is forged.
    pub credits: Option<IpAddr>,
}

/// Looks for a message that the description reads wrongly, by `samples`, messages that it reads as they are meant.
/// Objects of JSON have no place for one: what a client chose does not leave its field.
#[must_use]
pub fn find(pattern: &Pattern, samples: &[&[u8]]) -> Option<Forgery> {
    let models: Vec<Model<'_>> =
        samples.iter().filter_map(|message| Model::new(pattern, message)).take(MOST_SAMPLES).collect();
    // No sample may show what an expression leaves open whether it is there.
    let mut ends = ENDS.map(<[u8]>::to_vec).to_vec();
    for literal in pattern.literals() {
        if ends.len() < MOST_ENDS && !ends.contains(&literal) {
            ends.push(literal);
        }
    }
    // Messages that one expression reads are alike: of each, the pieces of one will do.
    let mut others: Vec<&Model<'_>> = Vec::new();
    for model in &models {
        if others.len() < MOST_OTHERS && others.iter().all(|other| !other.found.is_read_alike(&model.found)) {
            others.push(model);
        }
    }
    models.iter().find_map(|model| {
        let own = std::iter::once(model);
        own.chain(others.iter().copied()).find_map(|other| model.forged_with(pattern, other, &ends))
    })
}

/// A sample that was read.
struct Model<'a> {
    message: &'a [u8],
    found: Found,
    address: IpAddr,
    forged: IpAddr,
    /// What a client would write to be taken for another: parts of this message around the forged address.
    pieces: Vec<Vec<u8>>,
    /// Where a client's words may stand.
    places: Vec<Range<usize>>,
}

impl<'a> Model<'a> {
    fn new(pattern: &Pattern, message: &'a [u8]) -> Option<Self> {
        let found = pattern.find(message)?;
        let address = origin(&message[found.source.clone()]).address?;
        let forged = FORGED
            .iter()
            .map(|text| text.parse().expect("it is an address"))
            .find(|forged: &IpAddr| forged.is_ipv4() == address.is_ipv4() && *forged != address)?;
        let pieces = pieces(message, &found, forged);
        let places = places(pattern, message, &found);
        Some(Self { message, found, address, forged, pieces, places })
    }

    fn forged_with(&self, pattern: &Pattern, other: &Model<'_>, ends: &[Vec<u8>]) -> Option<Forgery> {
        let mut message = Vec::new();
        for place in &self.places {
            let pieces = other.pieces.iter().flat_map(|piece| ends.iter().map(move |end| (piece, end)));
            for (piece, end) in pieces {
                message.clear();
                message.extend_from_slice(&self.message[..place.start]);
                message.extend_from_slice(piece);
                message.extend_from_slice(end);
                message.extend_from_slice(&self.message[place.end..]);
                let Some(found) = pattern.find(&message) else { continue };
                let credited = origin(&message[found.source]).address;
                let credits = credited.filter(|address| *address != self.address);
                let lets_in = self.found.outcome == Outcome::Failure && found.outcome == Outcome::Success;
                if credits == Some(other.forged) || lets_in && credited.is_some() {
                    return Some(Forgery { message, credits });
                }
            }
        }
        None
    }
}

/// The parts of a message around its source, with another address there.
fn pieces(message: &[u8], found: &Found, forged: IpAddr) -> Vec<Vec<u8>> {
    let source = &found.source;
    let edges = edges(message);
    let mut starts: Vec<usize> = edges.iter().copied().filter(|edge| *edge <= source.start).collect();
    let mut ends: Vec<usize> = edges.iter().copied().filter(|edge| *edge >= source.end).collect();
    starts.drain(..starts.len().saturating_sub(MOST_BEFORE));
    // The first of the message: a whole one is what a client would write first.
    starts.push(0);
    let user = found.user.iter().flat_map(|user| [user.start, user.end]);
    starts.extend(user.filter(|edge| *edge <= source.start));
    ends.truncate(MOST_BEHIND);
    ends.push(message.len());
    let pieces: BTreeSet<Vec<u8>> = starts
        .iter()
        .flat_map(|start| ends.iter().map(move |end| (*start, *end)))
        .map(|(start, end)| {
            let text = forged.to_string();
            [&message[start..source.start], text.as_bytes(), &message[source.end..end]].concat()
        })
        .collect();
    pieces.into_iter().collect()
}

/// The user's name, whatever the expression allows it to be made of, and wherever a word begins or ends and one more
/// changes nothing.
fn places(pattern: &Pattern, message: &[u8], found: &Found) -> Vec<Range<usize>> {
    let is_room = |edge: usize| {
        FILLINGS.iter().any(|filling| {
            let filled = [&message[..edge], filling, &message[edge..]].concat();
            let moved = if edge <= found.source.start { filling.len() } else { 0 };
            let source = found.source.start + moved..found.source.end + moved;
            pattern.find(&filled).is_some_and(|found| found.source == source)
        })
    };
    let mut places: Vec<Range<usize>> = Vec::new();
    if let Some(user) = found.user.clone() {
        places.extend([user.clone(), user.start..user.start, user.end..user.end]);
    }
    let mut edges = edges(message);
    // Those nearest to the address matter most.
    edges.sort_by_key(|edge| edge.abs_diff(found.source.start).min(edge.abs_diff(found.source.end)));
    let rooms = edges.into_iter().filter(|edge| is_room(*edge));
    places.extend(rooms.take(MOST_PLACES).map(|edge| edge..edge));
    places
}

/// The places where letters and digits begin or end, and those between other bytes.
fn edges(message: &[u8]) -> Vec<usize> {
    let inside = |at: usize| message[at - 1].is_ascii_alphanumeric() && message[at].is_ascii_alphanumeric();
    (0..=message.len()).filter(|&at| at == 0 || at == message.len() || !inside(at)).collect()
}

/// Addresses for documentation (RFC 5737, RFC 3849).
const FORGED: [&str; 4] = ["192.0.2.66", "192.0.2.67", "2001:db8:66::66", "2001:db8:66::67"];

/// Words of which one fits wherever there is room for a name; where there is room for digits only, there is none.
const FILLINGS: [&[u8]; 3] = [b"x", b" x", b"x "];

/// What may follow a piece in front of the rest, beside the texts of the expressions.
const ENDS: [&[u8]; 2] = [b"", b" "];
const MOST_ENDS: usize = 10;

/// What is tried grows with these; all together it is less than a million matches, and most often some thousand.
const MOST_SAMPLES: usize = 16;
const MOST_OTHERS: usize = 4;
const MOST_BEFORE: usize = 10;
const MOST_BEHIND: usize = 5;
const MOST_PLACES: usize = 16;

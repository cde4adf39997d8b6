//! Text of unknown make, as errors quote it.

/// Gives `text` on one line, with what cannot be printed escaped, and cut after 60 characters.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// The longest text that an error quotes, in characters.
pub const MAX_SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_stays_on_its_line() {
        assert_eq!(shown("a\nb\u{1b}[0m\u{202e}é"), "a\\nb\\u{1b}[0m\\u{202e}é");
        assert_eq!(shown(&"x".repeat(60)), "x".repeat(60));
        assert_eq!(shown(&"x".repeat(61)), "x".repeat(60) + "…");
    }
}

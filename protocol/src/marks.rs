//! Characters that do not show, or that change how those around them do: what others wrote must not have them where a person reads it.
//!
//! A text with them can look like another one, or turn the rest of a sentence about it. The two joiners that Persian and the scripts of
//! India need within words may stay: they change no order.

/// Whether a character steers a terminal, turns the reading direction, breaks the line, or is never seen.
pub fn steers(c: char) -> bool {
    c.is_control() || turns(c) || hides(c) || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A text on one line, with a space for each character that [`steers`].
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

/// Unicode's `Bidi_Control`.
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Unicode's `Default_Ignorable_Code_Point`, less the joiners U+200C and U+200D, and the anchors of annotations.
fn hides(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_breaks_or_hides_text_steers_and_what_people_write_does_not() {
        let bad = "\0\n\t\u{1b}\u{7f}\u{9b}\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{180b}\u{180e}\u{180f}\u{200b}\u{200e}\
            \u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2060}\u{2065}\u{2066}\u{2067}\u{2068}\u{2069}\u{206f}\u{3164}\u{fe00}\
            \u{fe0f}\u{feff}\u{ffa0}\u{fff0}\u{fff8}\u{fffb}\u{1d173}\u{e0000}\u{e0001}\u{e007f}\u{e01ef}\u{e0fff}";
        for c in bad.chars() {
            assert!(steers(c), "U+{:04X}", u32::from(c));
        }
        for good in
            ["Über 3 µg/dl – „nüchtern“", "می\u{200c}شود", "क्\u{200d}ष", "心電図", "🫀", "\u{a0}e\u{301}\u{fffd}"]
        {
            assert!(!good.contains(steers), "{good}");
            assert_eq!(one_line(good), good);
        }
        assert_eq!(one_line("a\u{202e}b\nc"), "a b c");
    }
}

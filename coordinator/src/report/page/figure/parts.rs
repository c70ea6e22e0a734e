//! What one picture has room for, on a screen and on a page of paper: more is drawn as several of one axis, and what is in none of them is said.

/// More pictures of one thing are not looked at.
const MOST_PICTURES: usize = 4;

/// Splits what is to be drawn into pictures of at most `most`, as equal as can be. With each comes which part of all `what` it is, in words; nothing
/// where it is all.
pub(super) fn parts<T>(mut all: Vec<T>, most: usize, what: &str) -> Vec<(Vec<T>, String)> {
    let count = all.len();
    all.truncate(MOST_PICTURES * most);
    let (drawn, pictures) = (all.len(), all.len().div_ceil(most));
    let mut out = Vec::with_capacity(pictures);
    let mut all = all.into_iter();
    for picture in 0..pictures {
        let (from, to) = (picture * drawn / pictures, (picture + 1) * drawn / pictures);
        let mut said = if pictures > 1 { format!("{what} {} to {to} of {count}", from + 1) } else { String::new() };
        if to == drawn && drawn < count {
            said.push_str("; the others stand in the table only");
        }
        out.push((all.by_ref().take(to - from).collect(), said));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(count: usize) -> Vec<(usize, String)> {
        parts((0..count).collect(), 36, "rows").into_iter().map(|(part, said)| (part.len(), said)).collect()
    }

    #[test]
    fn what_one_picture_has_room_for_is_one_and_more_are_several_that_say_which_part_they_are() {
        assert_eq!(said(36), [(36, String::new())]);
        assert_eq!(said(37), [(18, "rows 1 to 18 of 37".to_owned()), (19, "rows 19 to 37 of 37".to_owned())]);
        assert_eq!(said(0), []);
    }

    #[test]
    fn what_is_in_no_picture_is_said() {
        let all = said(200);
        assert_eq!(all.iter().map(|(count, _)| count).sum::<usize>(), 144);
        assert_eq!(all[3].1, "rows 109 to 144 of 200; the others stand in the table only");
    }
}

//! What the user may have meant.

/// The names nearest to `word`, best first, as part of an error; nothing where none is near.
pub(crate) fn near_to(word: &str, names: &[&str]) -> String {
    match near(word, names).as_slice() {
        [] => String::new(),
        near => format!("; near to it: {}", near.join(", ")),
    }
}

/// The names nearest to `word`, best first.
fn near<'a>(word: &str, names: &[&'a str]) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let most = (word.chars().count() / 3).max(2);
    let mut near: Vec<(usize, &str)> = names
        .iter()
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let within = !word.is_empty() && lower.contains(&word);
            let distance = if within { 0 } else { distance(&word, &lower) };
            (distance <= most).then_some((distance, *name))
        })
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().map(|(_, name)| name).collect()
}

/// Letters to be put in, taken out or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["whatsapp", "telegram", "signal"];

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        assert_eq!(near("watsapp", &NAMES), ["whatsapp"]);
        assert_eq!(near("Signal", &NAMES), ["signal"]);
        assert_eq!(near("tele", &NAMES), ["telegram"]);
    }

    #[test]
    fn what_is_near_to_nothing_gets_no_names() {
        assert_eq!(near_to("qqqqqqqqqq", &NAMES), "");
        assert_eq!(near_to("watsapp", &NAMES), "; near to it: whatsapp");
    }
}

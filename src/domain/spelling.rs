//! Recognizes mistyped words.

use strsim::osa_distance;

/// Whether `text` is `word` with at most so many letters wrong, missing, swapped or too many.
pub fn is_typo_of(word: &str, text: &str, typos: usize) -> bool {
    word.len().abs_diff(text.len()) <= typos && osa_distance(word, text) <= typos
}

/// How many letters of `word` may be wrong. In a short word, two wrong letters make another word.
pub fn tolerated_typos(word: &str) -> usize {
    if word.len() < 6 { 1 } else { 2 }
}

/// The word that `typed` was most likely meant to be, in any case of its letters.
pub fn nearest<'a>(typed: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let alike = words.into_iter().filter_map(|word| {
        let lower = word.to_lowercase();
        let is_alike = is_typo_of(&lower, &typed, tolerated_typos(&lower));
        is_alike.then(|| (osa_distance(&lower, &typed), word))
    });
    alike.min().map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_another_word_is_not() {
        let words = ["ACME", "ghcr.io", "mycompany.azurecr.io"];
        for (typed, meant) in [
            ("AMCE", Some("ACME")),
            ("acm", Some("ACME")),
            ("ghrc.io", Some("ghcr.io")),
            ("mycompany.azurcr.io", Some("mycompany.azurecr.io")),
            ("ABCD", None),
            ("docker.io", None),
        ] {
            assert_eq!(nearest(typed, words), meant, "{typed}");
        }
    }
}

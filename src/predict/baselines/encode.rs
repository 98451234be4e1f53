//! One-hot encodings of architecture texts, as HELP and the tabular benchmarks
//! use them: the n-th word or number of a text is one choice. Tied to one
//! space, unlike [`Features`](crate::predict::Features).

use std::collections::BTreeSet;

/// One row a text. Texts of a space have the same number of words; a word that
/// is the same in every text is no choice and is left out.
pub fn one_hot(texts: &[String]) -> Vec<Vec<f64>> {
    let words: Vec<Vec<&str>> = texts
        .iter()
        .map(|t| {
            t.split(|c: char| !c.is_alphanumeric() && c != '_')
                .filter(|w| !w.is_empty())
                .collect()
        })
        .collect();
    let positions = words.iter().map(Vec::len).max().unwrap_or(0);
    let mut columns: Vec<(usize, &str)> = Vec::new();
    for position in 0..positions {
        let seen: BTreeSet<&str> = words
            .iter()
            .filter_map(|w| w.get(position).copied())
            .collect();
        if seen.len() > 1 {
            columns.extend(seen.into_iter().map(|word| (position, word)));
        }
    }
    words
        .iter()
        .map(|w| {
            columns
                .iter()
                .map(|(p, word)| f64::from(u8::from(w.get(*p) == Some(word))))
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn choices_become_columns_and_constants_do_not() {
        let texts = ["a~0|b".to_string(), "c~0|b".to_string()];
        assert_eq!(super::one_hot(&texts), [[1.0, 0.0], [0.0, 1.0]]);
    }
}

//! Several proxies as one: Abdelfattah et al. 2021 let three vote on each pair of
//! architectures.

/// Of each architecture, against how many others it wins the vote: `scores` has
/// a row a proxy, each of the same length, with minus infinity where a proxy has
/// no score. A proxy votes for the higher score; a pair with as many votes for
/// either side is a draw, half a win for each.
///
/// # Panics
/// When the rows' lengths differ.
pub fn vote(scores: &[Vec<f64>]) -> Vec<f64> {
    let count = scores.first().map_or(0, Vec::len);
    assert!(
        scores.iter().all(|row| row.len() == count),
        "every proxy scores every architecture"
    );
    let mut wins = vec![0.0; count];
    for i in 0..count {
        for j in 0..i {
            let votes: i64 = scores
                .iter()
                .map(|row| i64::from(row[i] > row[j]) - i64::from(row[i] < row[j]))
                .sum();
            match votes.signum() {
                1 => wins[i] += 1.0,
                -1 => wins[j] += 1.0,
                _ => {
                    wins[i] += 0.5;
                    wins[j] += 0.5;
                }
            }
        }
    }
    wins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_majority_decides_each_pair() {
        let none = f64::NEG_INFINITY;
        let scores = [
            vec![1.0, 2.0, 3.0, none],
            vec![10.0, 30.0, 20.0, none],
            vec![0.1, 0.2, 0.3, none],
        ];
        assert_eq!(vote(&scores), [1.0, 2.0, 3.0, 0.0]);
        // Two proxies that disagree, and one without an opinion.
        assert_eq!(
            vote(&[vec![1.0, 2.0], vec![2.0, 1.0], vec![5.0, 5.0]]),
            [0.5, 0.5]
        );
        assert_eq!(vote(&[]), [0.0; 0]);
    }
}

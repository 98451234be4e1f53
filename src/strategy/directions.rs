//! Directions spread evenly over objective space: all vectors of shares in
//! steps of `1 / divisions` that add up to one (Das and Dennis 1998).

/// The directions of so many objectives and divisions.
pub(super) fn das_dennis(objectives: usize, divisions: usize) -> Vec<Vec<f64>> {
    let mut all = Vec::new();
    let mut shares = vec![0; objectives];
    fill(&mut shares, 0, divisions, &mut |shares| {
        let share = |s: &usize| *s as f64 / divisions.max(1) as f64;
        all.push(shares.iter().map(share).collect());
    });
    all
}

fn fill(shares: &mut [usize], at: usize, left: usize, found: &mut impl FnMut(&[usize])) {
    if at + 1 >= shares.len() {
        if let Some(last) = shares.last_mut() {
            *last = left;
            found(shares);
        }
        return;
    }
    for share in 0..=left {
        shares[at] = share;
        fill(shares, at + 1, left - share, found);
    }
}

/// The most divisions, at least one, that make no more than so many directions.
pub(super) fn most_divisions(objectives: usize, directions: usize) -> usize {
    if objectives < 2 {
        return 1;
    }
    let mut divisions = 1;
    while count(objectives, divisions + 1) <= directions {
        divisions += 1;
    }
    divisions
}

/// Divisions and objectives less one, choose the latter.
fn count(objectives: usize, divisions: usize) -> usize {
    let mut count = 1usize;
    for i in 1..objectives {
        count = count.saturating_mul(divisions + i) / i;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_as_many_as_counted_and_add_up_to_one() {
        for (objectives, divisions) in [(1, 1), (2, 9), (3, 12), (4, 5)] {
            let all = das_dennis(objectives, divisions);
            assert_eq!(all.len(), count(objectives, divisions));
            for direction in &all {
                assert!((direction.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            }
        }
        // The numbers of Deb and Jain 2014.
        assert_eq!(count(3, 12), 91);
        assert_eq!(most_divisions(3, 92), 12);
        assert_eq!(most_divisions(3, 2), 1);
        assert_eq!(most_divisions(2, 10), 9);
    }
}

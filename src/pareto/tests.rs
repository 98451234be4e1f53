use proptest::prelude::*;

use super::*;

fn front_by_definition<P: AsRef<[f64]>>(points: &[P]) -> Vec<usize> {
    let beaten = |p: &P| points.iter().any(|q| dominates(q.as_ref(), p.as_ref()));
    (0..points.len()).filter(|i| !beaten(&points[*i])).collect()
}

/// Peels front after front.
fn ranks_by_definition(points: &[Vec<f64>]) -> Vec<usize> {
    let mut ranks = vec![0; points.len()];
    let mut left: Vec<usize> = (0..points.len()).collect();
    for rank in 0.. {
        let remaining: Vec<&Vec<f64>> = left.iter().map(|i| &points[*i]).collect();
        let peeled = front_by_definition(&remaining);
        for place in peeled.iter().rev() {
            ranks[left.remove(*place)] = rank;
        }
        if left.is_empty() {
            return ranks;
        }
    }
    unreachable!("every round peels a point")
}

/// Counts the unit cubes below the reference that a point dominates.
fn volume_by_definition(points: &[Vec<f64>], reference: &[f64]) -> f64 {
    let mut cell = vec![0.0; reference.len()];
    let mut volume = 0.0;
    loop {
        let inside = |p: &Vec<f64>| p.iter().zip(&cell).all(|(x, c)| x <= c);
        volume += f64::from(u8::from(points.iter().any(inside)));
        let Some(axis) = (0..cell.len()).find(|axis| cell[*axis] + 1.0 < reference[*axis]) else {
            return volume;
        };
        cell[..axis].fill(0.0);
        cell[axis] += 1.0;
    }
}

/// Points on a coarse grid, so that ties and repeated points are common.
fn points(
    objectives: std::ops::RangeInclusive<usize>,
    side: u8,
    most: usize,
) -> impl Strategy<Value = Vec<Vec<f64>>> {
    objectives.prop_flat_map(move |m| {
        let number = (0..side).prop_map(f64::from);
        prop::collection::vec(prop::collection::vec(number, m), 1..most)
    })
}

#[test]
fn a_staircase_keeps_its_corners() {
    let points = [[1.0, 5.0], [2.0, 5.0], [2.0, 3.0], [3.0, 4.0], [4.0, 1.0]];
    assert_eq!(front(&points), [0, 2, 4]);
    assert_eq!(front::<2>(&[]), [0; 0]);
    assert_eq!(front(&[[f64::NAN, 0.0], [1.0, 1.0], [1.0, 1.0]]), [1, 2]);
    assert_eq!(ranks(&points), [0, 1, 0, 1, 0]);
    assert_eq!(ranks::<Vec<f64>>(&[]), [0; 0]);
}

#[test]
fn volumes_of_known_points() {
    let points = [[1.0, 3.0], [2.0, 1.0], [2.5, 2.0], [9.0, 0.0]];
    assert_eq!(hypervolume_2d(&points, [4.0, 4.0]), 3.0 + 2.0 * 2.0);
    assert_eq!(hypervolume_2d(&[], [1.0, 1.0]), 0.0);
    let cubes = [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [f64::NAN, 0.0, 0.0]];
    assert_eq!(hypervolume(&cubes, &[2.0; 3]), 3.0);
    assert_eq!(hypervolume(&[[0.5; 6]], &[1.0; 6]), 1.0 / 64.0);
}

/// Deep recursions, which the small cases do not reach.
#[test]
fn ranks_of_many_points_match_the_definition() {
    let mut state = 1u64;
    let mut next = |side: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        ((state >> 33) % side) as f64
    };
    for (m, side) in [(2, 1000), (3, 1000), (4, 1000), (4, 5), (5, 30), (6, 4)] {
        let points: Vec<Vec<f64>> = (0..500)
            .map(|_| (0..m).map(|_| next(side)).collect())
            .collect();
        assert_eq!(
            ranks(&points),
            ranks_by_definition(&points),
            "{m} in {side}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn ranks_match_the_definition(points in points(1..=5, 6, 80)) {
        prop_assert_eq!(ranks(&points), ranks_by_definition(&points));
    }

    #[test]
    fn fronts_match_the_definition(points in points(4..=4, 5, 60)) {
        fn check<const N: usize>(points: &[Vec<f64>]) -> Result<(), TestCaseError> {
            let points: Vec<[f64; N]> = points.iter().map(|p| std::array::from_fn(|i| p[i])).collect();
            let mut found = front(&points);
            prop_assert!(found.is_sorted_by(|a, b| points[*a] <= points[*b]));
            found.sort_unstable();
            prop_assert_eq!(found, front_by_definition(&points));
            Ok(())
        }
        check::<1>(&points)?;
        check::<2>(&points)?;
        check::<3>(&points)?;
        check::<4>(&points)?;
    }

    #[test]
    fn volumes_match_the_definition(points in points(1..=5, 6, 25)) {
        let reference = vec![5.0; points[0].len()];
        let inside: Vec<Vec<f64>> = points.iter().filter(|p| p.iter().all(|x| *x < 5.0)).cloned().collect();
        prop_assert_eq!(hypervolume(&points, &reference), volume_by_definition(&inside, &reference));
    }
}

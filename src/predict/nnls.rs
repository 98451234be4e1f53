//! Non-negative least squares by Lawson and Hanson's active sets, on the
//! normal equations. Small and dense; a touch of ridge keeps collinear costs
//! solvable.

use nalgebra::{DMatrix, DVector};

/// Minimises `x' gram x / 2 - rhs' x` over `x >= 0`. `gram` must be positive
/// definite (add a ridge first).
pub fn nnls(gram: &DMatrix<f64>, rhs: &DVector<f64>) -> DVector<f64> {
    let n = rhs.len();
    let mut active = vec![false; n];
    let mut x = DVector::zeros(n);
    let tolerance = 1e-10 * rhs.amax().max(1e-300);
    for _ in 0..3 * n {
        let gradient = rhs - gram * &x;
        let Some(enter) = (0..n)
            .filter(|i| !active[*i] && gradient[*i] > tolerance)
            .max_by(|i, j| gradient[*i].total_cmp(&gradient[*j]))
        else {
            break;
        };
        active[enter] = true;
        loop {
            let set: Vec<usize> = (0..n).filter(|i| active[*i]).collect();
            let sub = DMatrix::from_fn(set.len(), set.len(), |i, j| gram[(set[i], set[j])]);
            let sub_rhs = DVector::from_fn(set.len(), |i, _| rhs[set[i]]);
            let Some(cholesky) = sub.cholesky() else {
                active[enter] = false;
                return x;
            };
            let solution = cholesky.solve(&sub_rhs);
            if solution.min() > 0.0 {
                x.fill(0.0);
                for (k, i) in set.iter().enumerate() {
                    x[*i] = solution[k];
                }
                break;
            }
            // Walk towards the solution until the first entry meets zero.
            let mut step = 1.0f64;
            for (k, i) in set.iter().enumerate() {
                if solution[k] <= 0.0 {
                    step = step.min(x[*i] / (x[*i] - solution[k]).max(1e-300));
                }
            }
            for (k, i) in set.iter().enumerate() {
                x[*i] += step * (solution[k] - x[*i]);
                if solution[k] <= 0.0 && x[*i] <= 1e-14 {
                    x[*i] = 0.0;
                    active[*i] = false;
                }
            }
            if !active[enter] && set.len() == 1 {
                break;
            }
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_what_would_be_negative_and_solves_the_rest() {
        // Two columns with correlation 0.5; the second would be negative.
        let gram = DMatrix::from_row_slice(2, 2, &[1.0, 0.5, 0.5, 1.0]);
        let x = nnls(&gram, &DVector::from_vec(vec![1.0, 0.2]));
        assert!((x[0] - 1.0).abs() < 1e-12 && x[1] == 0.0);
        let x = nnls(&gram, &DVector::from_vec(vec![1.0, 0.8]));
        assert!((x[0] - 0.8).abs() < 1e-9 && (x[1] - 0.4).abs() < 1e-9);
    }
}

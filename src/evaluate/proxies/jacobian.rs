//! Jacobian covariance, the first version of Mellor et al.'s "Neural Architecture
//! Search without Training" (arXiv 2006.04647v1), as in Abdelfattah et al. 2021:
//! how differently the network reacts to different samples. The rows of the
//! Jacobian (the gradient of the summed outputs by each sample) are correlated
//! with each other; the score is high where they are not, and the eigenvalues of
//! their correlations all near one.

use burn::module::Module;
use nalgebra::DMatrix;

use super::{Proxy, ProxyError, Task};
use crate::model::Model;
use crate::network::{Shape, Weights};

pub(super) const JACOB_COV: Proxy = Proxy {
    name: "jacob_cov",
    about: "how little the samples' input gradients are correlated",
    paper: "Mellor et al. 2020, arXiv 2006.04647v1",
    score,
};

/// Added to eigenvalues, as in the paper's code.
const K: f64 = 1e-5;

fn score(task: &Task) -> Result<f64, ProxyError> {
    if let Shape::Ids { .. } = task.network.input_shape() {
        let reason = "token ids have no gradient".to_string();
        return Err(ProxyError::Unsupported(reason));
    }
    let weights = Weights::random(task.network, task.seed);
    let model = Model::new(task.network, &weights, &task.device)?.no_grad();
    let samples = task.samples().require_grad();
    let sum = model.forward(samples.clone()).sum();
    if !sum.is_tracked() {
        return Err(CONSTANT);
    }
    let gradients = sum.backward();
    let rows = samples.grad(&gradients).ok_or(CONSTANT)?;
    let rows: Vec<f32> = rows
        .into_data()
        .try_into_vec()
        .expect("gradients of f32 are f32");
    of_rows(&rows, task.batch.len())
}

const CONSTANT: ProxyError =
    ProxyError::Degenerate("the gradient of its outputs by a sample is constant");

/// The score of a Jacobian of so many rows.
fn of_rows(jacobian: &[f32], rows: usize) -> Result<f64, ProxyError> {
    let correlations = correlations(jacobian, rows)?;
    let eigenvalues = correlations.symmetric_eigenvalues();
    // Rounding can put those of dependent rows below zero.
    let terms = eigenvalues.iter().map(|v| v.max(0.0) + K);
    Ok(-terms.map(|v| v.ln() + 1.0 / v).sum::<f64>())
}

/// Pearson's correlations of the rows.
fn correlations(jacobian: &[f32], rows: usize) -> Result<DMatrix<f64>, ProxyError> {
    let columns = jacobian.len() / rows;
    let mut normal = Vec::with_capacity(jacobian.len());
    for row in jacobian.chunks_exact(columns) {
        let mean = row.iter().map(|x| *x as f64).sum::<f64>() / columns as f64;
        let centred = row.iter().map(|x| *x as f64 - mean);
        let norm = centred.clone().map(|x| x * x).sum::<f64>().sqrt();
        if !norm.is_finite() {
            return Err(ProxyError::NotFinite(norm));
        }
        if norm == 0.0 {
            return Err(CONSTANT);
        }
        normal.extend(centred.map(|x| x / norm));
    }
    let row = |i: usize| &normal[i * columns..(i + 1) * columns];
    let mut matrix = DMatrix::identity(rows, rows);
    for i in 0..rows {
        for j in 0..i {
            let dot = row(i).iter().zip(row(j)).map(|(a, b)| a * b).sum::<f64>();
            matrix[(i, j)] = dot;
            matrix[(j, i)] = dot;
        }
    }
    Ok(matrix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uncorrelated_rows_score_best() {
        // Each eigenvalue is one, and ln(v) + 1 / v is least there.
        let orthogonal = [1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0, -1.0];
        let best = of_rows(&orthogonal, 2).unwrap();
        let expected = -2.0 * ((1.0 + K).ln() + 1.0 / (1.0 + K));
        assert!((best - expected).abs() < 1e-12, "{best}");
        // Rows correlated by 1/2 have the eigenvalues 1/2 and 3/2.
        let correlated = [1.0, -1.0, 0.0, 1.0, 0.0, -1.0];
        let expected: f64 = [0.5, 1.5]
            .iter()
            .map(|v: &f64| -((v + K).ln() + 1.0 / (v + K)))
            .sum();
        let found = of_rows(&correlated, 2).unwrap();
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
        assert!(found < best);
    }

    #[test]
    fn rows_that_do_not_vary_are_refused() {
        let error = of_rows(&[2.0, 2.0, 1.0, 3.0], 2).unwrap_err();
        assert!(matches!(error, ProxyError::Degenerate(_)), "{error}");
        let error = of_rows(&[f32::NAN, 2.0, 1.0, 3.0], 2).unwrap_err();
        assert!(matches!(error, ProxyError::NotFinite(_)), "{error}");
    }
}

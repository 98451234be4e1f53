//! Gradient-boosted trees (Chen and Guestrin 2016) from the library
//! `forust-ml`, on operator costs and one-hot choices, trained on the new
//! device's measurements alone. Trees of a handful of measurements are shallow
//! and coarse; that is what the method can do with them.

use forust_ml::Matrix;
use forust_ml::gradientbooster::GradientBooster;

use super::{Baseline, World};

pub struct Trees {
    /// All rows, column after column, as the library wants them.
    columns: Vec<f64>,
    n_rows: usize,
    seed: u64,
    fallback: Vec<f64>,
}

impl Trees {
    pub fn new(world: &World, seed: u64) -> Self {
        let rows: Vec<Vec<f64>> = world
            .features
            .iter()
            .zip(&world.one_hot)
            .map(|(f, o)| f.costs.iter().chain(o).copied().collect())
            .collect();
        // Columns that never vary cannot be split.
        let varied = (0..rows[0].len()).filter(|j| rows.iter().any(|r| r[*j] != rows[0][*j]));
        let columns = varied
            .flat_map(|j| rows.iter().map(move |r| r[j]))
            .collect();
        Trees {
            columns,
            n_rows: rows.len(),
            seed,
            fallback: world.macs.clone(),
        }
    }
}

impl Baseline for Trees {
    fn predict(&self, rows: &[usize], latency_ms: &[f64]) -> Vec<f64> {
        if rows.is_empty() {
            return self.fallback.clone();
        }
        let n = rows.len();
        let mean = latency_ms.iter().map(|y| y.ln()).sum::<f64>() / n as f64;
        let target: Vec<f64> = latency_ms.iter().map(|y| y.ln() - mean).collect();
        let n_columns = self.columns.len() / self.n_rows;
        let picked: Vec<f64> = self
            .columns
            .chunks(self.n_rows)
            .flat_map(|column| rows.iter().map(|i| column[*i]))
            .collect();
        let booster = GradientBooster::default()
            .set_objective_type(forust_ml::objective::ObjectiveType::SquaredLoss)
            .set_iterations(200)
            .set_learning_rate(0.1)
            .set_max_depth(3)
            .set_l2(1.0)
            .set_min_leaf_weight(1.0)
            .set_base_score(0.0)
            .set_initialize_base_score(false)
            .set_parallel(false)
            .set_colsample_bytree(0.5)
            .set_seed(self.seed);
        let mut booster = booster;
        if booster
            .fit_unweighted(&Matrix::new(&picked, n, n_columns), &target, None)
            .is_err()
        {
            return vec![mean.exp(); self.n_rows];
        }
        booster
            .predict(&Matrix::new(&self.columns, self.n_rows, n_columns), false)
            .into_iter()
            .map(|log| (mean + log).exp())
            .collect()
    }
}

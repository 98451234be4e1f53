//! Reverse-mode differentiation of small dense networks, for the baselines that
//! are neural: a list of matrices, each made from earlier ones, and the chain
//! rule walked backwards. Samples are columns. Nothing of it is specific to
//! latencies.

use std::sync::Arc;

use nalgebra::DMatrix;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

pub type Matrix = DMatrix<f32>;

/// Output columns as weighted sums of input columns (a sparse matrix), which
/// is gathering, pooling and message passing in one.
#[derive(Debug, Clone, Default)]
pub struct Mix {
    starts: Vec<u32>,
    items: Vec<(u32, f32)>,
}

impl Mix {
    pub fn new<I: IntoIterator<Item = (u32, f32)>>(columns: impl Iterator<Item = I>) -> Self {
        let mut mix = Mix {
            starts: vec![0],
            items: Vec::new(),
        };
        for column in columns {
            mix.items.extend(column);
            mix.starts.push(mix.items.len() as u32);
        }
        mix
    }

    /// Number of output columns.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub fn column(&self, index: usize) -> &[(u32, f32)] {
        &self.items[self.starts[index] as usize..self.starts[index + 1] as usize]
    }

    fn apply(&self, input: &Matrix) -> Matrix {
        let d = input.nrows();
        let mut out = Matrix::zeros(d, self.len());
        for (j, slot) in out.as_mut_slice().chunks_mut(d).enumerate() {
            for (i, weight) in self.column(j) {
                let from = &input.as_slice()[*i as usize * d..][..d];
                slot.iter_mut()
                    .zip(from)
                    .for_each(|(s, v)| *s += weight * v);
            }
        }
        out
    }

    fn apply_transposed(&self, output: &Matrix, into: &mut Matrix) {
        let d = output.nrows();
        for (j, from) in output.as_slice().chunks(d).enumerate() {
            for (i, weight) in self.column(j) {
                let slot = &mut into.as_mut_slice()[*i as usize * d..][..d];
                slot.iter_mut()
                    .zip(from)
                    .for_each(|(s, v)| *s += weight * v);
            }
        }
    }
}

/// A matrix on the tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Var(usize);

enum Op {
    Leaf,
    /// `weights * input + bias`, the bias added to every column.
    Affine(Var, Var, Var),
    Relu(Var),
    Softplus(Var),
    Ln(Var),
    Stack(Var, Var),
    Mix(Var, Arc<Mix>),
    /// The single column repeated for every output column.
    Repeat(Var),
    Shift(Var, Var),
    /// Mean square distance to the constant.
    MeanSquare(Var, Matrix),
}

#[derive(Default)]
pub struct Tape {
    values: Vec<Matrix>,
    ops: Vec<Op>,
}

impl Tape {
    fn push(&mut self, value: Matrix, op: Op) -> Var {
        self.values.push(value);
        self.ops.push(op);
        Var(self.values.len() - 1)
    }

    pub fn value(&self, var: Var) -> &Matrix {
        &self.values[var.0]
    }

    pub fn leaf(&mut self, value: Matrix) -> Var {
        self.push(value, Op::Leaf)
    }

    /// All of them, in their order.
    pub fn leaves(&mut self, values: &[Matrix]) -> Vec<Var> {
        values.iter().map(|v| self.leaf(v.clone())).collect()
    }

    pub fn affine(&mut self, weights: Var, input: Var, bias: Var) -> Var {
        let mut value = self.value(weights) * self.value(input);
        let bias_value = self.value(bias).column(0).into_owned();
        value.column_iter_mut().for_each(|mut c| c += &bias_value);
        self.push(value, Op::Affine(weights, input, bias))
    }

    pub fn relu(&mut self, input: Var) -> Var {
        let value = self.value(input).map(|v| v.max(0.0));
        self.push(value, Op::Relu(input))
    }

    pub fn softplus(&mut self, input: Var) -> Var {
        let value = self.value(input).map(softplus);
        self.push(value, Op::Softplus(input))
    }

    pub fn ln(&mut self, input: Var) -> Var {
        let value = self.value(input).map(|v| v.max(1e-12).ln());
        self.push(value, Op::Ln(input))
    }

    /// `above` over `below`.
    pub fn stack(&mut self, above: Var, below: Var) -> Var {
        let (a, b) = (self.value(above), self.value(below));
        let mut value = Matrix::zeros(a.nrows() + b.nrows(), a.ncols());
        value.rows_mut(0, a.nrows()).copy_from(a);
        value.rows_mut(a.nrows(), b.nrows()).copy_from(b);
        self.push(value, Op::Stack(above, below))
    }

    pub fn mix(&mut self, input: Var, mix: &Arc<Mix>) -> Var {
        let value = mix.apply(self.value(input));
        self.push(value, Op::Mix(input, mix.clone()))
    }

    /// A single column, `times` times.
    pub fn repeat(&mut self, input: Var, times: usize) -> Var {
        let column = self.value(input);
        let value = Matrix::from_fn(column.nrows(), times, |i, _| column[(i, 0)]);
        self.push(value, Op::Repeat(input))
    }

    /// Adds a 1x1 matrix to every entry.
    pub fn shift(&mut self, input: Var, by: Var) -> Var {
        let value = self.value(input).add_scalar(self.value(by)[(0, 0)]);
        self.push(value, Op::Shift(input, by))
    }

    pub fn mean_square(&mut self, input: Var, target: Matrix) -> Var {
        let error = (self.value(input) - &target).norm_squared() / target.len() as f32;
        self.push(
            Matrix::from_element(1, 1, error),
            Op::MeanSquare(input, target),
        )
    }

    /// Gradients of the 1x1 `loss` with respect to `wanted`.
    pub fn gradients(&self, loss: Var, wanted: &[Var]) -> Vec<Matrix> {
        let mut all: Vec<Option<Matrix>> = (0..self.values.len()).map(|_| None).collect();
        all[loss.0] = Some(Matrix::from_element(1, 1, 1.0));
        let add = |all: &mut Vec<Option<Matrix>>, to: Var, value: Matrix| match &mut all[to.0] {
            Some(sum) => *sum += value,
            slot => *slot = Some(value),
        };
        for index in (0..=loss.0).rev() {
            if matches!(self.ops[index], Op::Leaf) {
                continue;
            }
            let Some(gradient) = all[index].take() else {
                continue;
            };
            match &self.ops[index] {
                Op::Leaf => {}
                Op::Affine(weights, input, bias) => {
                    let by_weights = &gradient * self.value(*input).transpose();
                    add(&mut all, *weights, by_weights);
                    let sum = gradient.column_sum();
                    let bias_gradient = Matrix::from_column_slice(sum.len(), 1, sum.as_slice());
                    add(&mut all, *bias, bias_gradient);
                    // Constant inputs need no gradient.
                    if !matches!(self.ops[input.0], Op::Leaf) || wanted.contains(input) {
                        add(&mut all, *input, self.value(*weights).tr_mul(&gradient));
                    }
                }
                Op::Relu(input) => {
                    let by = self
                        .value(*input)
                        .zip_map(&gradient, |v, g| if v > 0.0 { g } else { 0.0 });
                    add(&mut all, *input, by);
                }
                Op::Softplus(input) => {
                    let by = self
                        .value(*input)
                        .zip_map(&gradient, |v, g| g / (1.0 + (-v).exp()));
                    add(&mut all, *input, by);
                }
                Op::Ln(input) => {
                    let by = self
                        .value(*input)
                        .zip_map(&gradient, |v, g| g / v.max(1e-12));
                    add(&mut all, *input, by);
                }
                Op::Stack(above, below) => {
                    let rows = self.value(*above).nrows();
                    let rest = gradient.nrows() - rows;
                    add(&mut all, *above, gradient.rows(0, rows).into_owned());
                    add(&mut all, *below, gradient.rows(rows, rest).into_owned());
                }
                Op::Mix(input, mix) => {
                    let shape = self.value(*input);
                    let mut by = Matrix::zeros(shape.nrows(), shape.ncols());
                    mix.apply_transposed(&gradient, &mut by);
                    add(&mut all, *input, by);
                }
                Op::Repeat(input) => {
                    let sum = gradient.column_sum();
                    add(
                        &mut all,
                        *input,
                        Matrix::from_column_slice(sum.len(), 1, sum.as_slice()),
                    );
                }
                Op::Shift(input, by) => {
                    add(&mut all, *by, Matrix::from_element(1, 1, gradient.sum()));
                    add(&mut all, *input, gradient);
                }
                Op::MeanSquare(input, target) => {
                    let scale = 2.0 * gradient[(0, 0)] / target.len() as f32;
                    add(&mut all, *input, (self.value(*input) - target) * scale);
                }
            }
        }
        wanted
            .iter()
            .map(|w| {
                let shape = self.value(*w);
                all[w.0]
                    .clone()
                    .unwrap_or_else(|| Matrix::zeros(shape.nrows(), shape.ncols()))
            })
            .collect()
    }
}

pub fn softplus(v: f32) -> f32 {
    v.max(0.0) + (-v.abs()).exp().ln_1p()
}

/// Weights of one layer and its bias, after He et al. 2015.
pub fn layer(rng: &mut ChaCha8Rng, outputs: usize, inputs: usize) -> [Matrix; 2] {
    let reach = (6.0 / inputs as f32).sqrt();
    [
        Matrix::from_fn(outputs, inputs, |_, _| rng.random_range(-reach..reach)),
        Matrix::zeros(outputs, 1),
    ]
}

/// Adam (Kingma and Ba 2015) with its usual constants.
pub struct Adam {
    rate: f32,
    step: i32,
    moments: Vec<(Matrix, Matrix)>,
}

impl Adam {
    pub fn new(weights: &[Matrix], rate: f32) -> Self {
        let zero = |w: &Matrix| Matrix::zeros(w.nrows(), w.ncols());
        Adam {
            rate,
            step: 0,
            moments: weights.iter().map(|w| (zero(w), zero(w))).collect(),
        }
    }

    pub fn set_rate(&mut self, rate: f32) {
        self.rate = rate;
    }

    pub fn step(&mut self, weights: &mut [Matrix], gradients: &[Matrix]) {
        self.step += 1;
        let first = 1.0 - 0.9f32.powi(self.step);
        let second = 1.0 - 0.999f32.powi(self.step);
        for ((w, g), (m, v)) in weights.iter_mut().zip(gradients).zip(&mut self.moments) {
            let all = w
                .iter_mut()
                .zip(g.iter())
                .zip(m.iter_mut().zip(v.iter_mut()));
            for ((w, g), (m, v)) in all {
                *m += 0.1 * (g - *m);
                *v += 0.001 * (g * g - *v);
                *w -= self.rate * (*m / first) / ((*v / second).sqrt() + 1e-8);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// A function that uses every operation.
    fn loss(weights: &[Matrix]) -> (f32, Vec<Matrix>) {
        let mut tape = Tape::default();
        let w = tape.leaves(weights);
        let input = tape.leaf(Matrix::from_fn(3, 4, |i, j| (i as f32 - j as f32) / 3.0));
        let hidden = tape.affine(w[0], input, w[1]);
        let hidden = tape.relu(hidden);
        let pool = Arc::new(Mix::new(
            [vec![(0, 0.5), (3, 1.0)], vec![(1, 1.0)]].into_iter(),
        ));
        let pooled = tape.mix(hidden, &pool);
        let twice = tape.repeat(w[1], 2);
        let both = tape.stack(pooled, twice);
        let out = tape.affine(w[2], both, w[3]);
        let out = tape.softplus(out);
        let out = tape.ln(out);
        let out = tape.shift(out, w[3]);
        let loss = tape.mean_square(out, Matrix::from_row_slice(1, 2, &[0.3, -0.4]));
        (tape.value(loss)[(0, 0)], tape.gradients(loss, &w))
    }

    #[test]
    fn gradients_are_differences_of_the_loss() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut weights = layer(&mut rng, 5, 3).to_vec();
        weights.extend(layer(&mut rng, 1, 10));
        weights[1].fill(0.2);
        let (_, gradients) = loss(&weights);
        for (k, gradient) in gradients.iter().enumerate() {
            for at in 0..gradient.len() {
                let mut shifted = weights.clone();
                shifted[k][at] += 1e-2;
                let up = loss(&shifted).0;
                shifted[k][at] -= 2e-2;
                let difference = (up - loss(&shifted).0) / 2e-2;
                let error = (difference - gradient[at]).abs();
                assert!(error < 2e-2 * (1.0 + difference.abs()), "{k} {at}: {error}");
            }
        }
    }
}

//! Architectures as points: standardised numbers that describe the network, to
//! which scores known beforehand belong, and the decisions taken. Two notions of
//! likeness, of which the kernel is made.
//!
//! Scores describe, instead of foretelling by a linear part of their own: that
//! a network with a higher score is more accurate holds over all networks, but
//! hardly among the best, and there a linear part led searches of the tabular
//! benchmark astray.

use rustc_hash::FxHashMap;

use super::Warp;
use super::describe::describe;
use crate::space::{Architecture, Space};
use crate::strategy::Known;

/// Standardised numbers further out than this are drawn in: one absurd network
/// should not look unlike everything.
const CLIP: f32 = 4.0;

/// Points by row. The standardisation is that of the first rows and stays, so
/// that rows added later mean the same.
#[derive(Debug, Default)]
pub(in crate::strategy) struct Points {
    features: Standard,
    /// By score: its normal scores among the first rows, since sizes mean nothing.
    ranks: Option<Vec<Warp>>,
    /// Per choice of the space: 0 where it was not met, else the option plus 1.
    options: Vec<u16>,
    choices: usize,
    rows: usize,
}

/// How unlike two points are.
#[derive(Debug, Clone, Copy)]
pub(in crate::strategy) struct Difference {
    /// Mean squared difference of the standardised features.
    pub features: f32,
    /// Decisions that differ.
    pub decisions: usize,
}

impl Points {
    /// Adds rows. The first call decides the standardisation.
    pub fn extend(&mut self, space: &Space, rows: &[(&Architecture, &Known)]) {
        let ranks = self.ranks.get_or_insert_with(|| ranks(rows));
        let described = |(architecture, known): &(&Architecture, &Known)| {
            let scores = known.scores.iter().zip(&*ranks);
            let mut row: Vec<f64> = scores.map(|(s, rank)| rank.score(*s)).collect();
            match known.features.is_empty() {
                false => row.extend(&known.features),
                true => row.extend(space.network(architecture).iter().flat_map(describe)),
            }
            row
        };
        let raw: Vec<Vec<f64>> = rows.iter().map(described).collect();
        self.features.extend(raw.iter().map(Vec::as_slice));
        self.choices = space.choices().len();
        for (architecture, _) in rows {
            let start = self.options.len();
            self.options.resize(start + self.choices, 0);
            for (choice, option) in architecture.decisions() {
                self.options[start + choice] = *option as u16 + 1;
            }
        }
        self.rows += rows.len();
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    /// How unlike two rows are.
    pub fn difference(&self, a: usize, b: usize) -> Difference {
        Difference {
            features: self.features.distance(a, b),
            decisions: self.decisions(a, b),
        }
    }

    fn decisions(&self, a: usize, b: usize) -> usize {
        let row = |r: usize| &self.options[r * self.choices..(r + 1) * self.choices];
        row(a).iter().zip(row(b)).filter(|(x, y)| x != y).count()
    }

    /// Decisions that two rows can differ in, at most.
    pub fn choices(&self) -> usize {
        self.choices
    }
}

/// By score, the normal scores of what is finite among these rows.
fn ranks(rows: &[(&Architecture, &Known)]) -> Vec<Warp> {
    let width = rows.iter().map(|(_, known)| known.scores.len()).max();
    let column = |at: usize| {
        let values = rows.iter().filter_map(|(_, known)| known.scores.get(at));
        let finite: Vec<f64> = values.copied().filter(|v| v.is_finite()).collect();
        Warp::of(&finite)
    };
    (0..width.unwrap_or(0)).map(column).collect()
}

/// Columns brought to mean 0 and standard deviation 1.
#[derive(Debug, Default)]
struct Standard {
    /// Those that vary; the others tell nothing apart.
    columns: Vec<usize>,
    mean: Vec<f64>,
    sd: Vec<f64>,
    /// Row by row.
    values: Vec<f32>,
    /// Squared length of each row, by column count.
    norms: Vec<f32>,
}

impl Standard {
    fn extend<'a>(&mut self, rows: impl Iterator<Item = &'a [f64]> + Clone) {
        if self.norms.is_empty() {
            self.settle(rows.clone());
        }
        for row in rows {
            let start = self.values.len();
            for (at, column) in self.columns.iter().enumerate() {
                let value = row.get(*column).copied().unwrap_or(f64::NAN);
                let standard = (value - self.mean[at]) / self.sd[at];
                // What is missing is average.
                let standard = if standard.is_finite() { standard } else { 0.0 };
                self.values.push((standard as f32).clamp(-CLIP, CLIP));
            }
            let norm = dot(&self.values[start..], &self.values[start..]);
            self.norms.push(norm);
        }
    }

    /// Means and deviations of what is finite.
    fn settle<'a>(&mut self, rows: impl Iterator<Item = &'a [f64]> + Clone) {
        let width = rows.clone().map(<[f64]>::len).max().unwrap_or(0);
        for column in 0..width {
            let values = rows.clone().filter_map(|row| row.get(column).copied());
            let finite = values.filter(|v| v.is_finite());
            let (mut n, mut mean, mut squares) = (0.0, 0.0, 0.0);
            for value in finite {
                n += 1.0;
                let delta = value - mean;
                mean += delta / n;
                squares += delta * (value - mean);
            }
            let sd = (squares / f64::max(n, 1.0)).sqrt();
            if sd > 1e-9 * mean.abs().max(1e-9) {
                self.columns.push(column);
                self.mean.push(mean);
                self.sd.push(sd);
            }
        }
    }

    fn row(&self, row: usize) -> &[f32] {
        let width = self.columns.len();
        &self.values[row * width..(row + 1) * width]
    }

    fn distance(&self, a: usize, b: usize) -> f32 {
        if self.columns.is_empty() {
            return 0.0;
        }
        let squares = self.norms[a] + self.norms[b] - 2.0 * dot(self.row(a), self.row(b));
        squares.max(0.0) / self.columns.len() as f32
    }
}

/// Eight sums side by side, which compilers turn into vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    let (whole_a, rest_a) = a.as_chunks::<8>();
    let (whole_b, rest_b) = b.as_chunks::<8>();
    for (x, y) in whole_a.iter().zip(whole_b) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

/// Architectures with what is known of them, as rows.
#[derive(Debug, Default)]
pub(in crate::strategy) struct Table {
    pub architectures: Vec<Architecture>,
    pub known: Vec<Known>,
    pub points: Points,
    index: FxHashMap<Architecture, usize>,
}

impl Table {
    /// Adds those that are new; `know` tells of them.
    pub fn extend(
        &mut self,
        space: &Space,
        architectures: impl IntoIterator<Item = Architecture>,
        know: impl Fn(&Architecture) -> Known,
    ) {
        let before = self.architectures.len();
        for architecture in architectures {
            let next = self.architectures.len();
            if self.index.contains_key(&architecture) {
                continue;
            }
            self.index.insert(architecture.clone(), next);
            self.known.push(know(&architecture));
            self.architectures.push(architecture);
        }
        let new: Vec<_> = (before..self.architectures.len())
            .map(|row| (&self.architectures[row], &self.known[row]))
            .collect();
        if !new.is_empty() {
            self.points.extend(space, &new);
        }
        // They are in the points now.
        for known in &mut self.known[before..] {
            known.features = Vec::new();
            known.scores = Vec::new();
        }
    }

    pub fn len(&self) -> usize {
        self.architectures.len()
    }

    pub fn row(&self, architecture: &Architecture) -> Option<usize> {
        self.index.get(architecture).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_tell_networks_apart_by_their_ranks() {
        let text = "space t input image 3x8x8 network { conv3x3({4, 8, 12, 16}) }";
        let space = Space::parse("t", text).unwrap();
        let all: Vec<Architecture> = space.enumerate().collect();
        let distances = |scores: [f64; 4]| {
            let known = scores.map(|score| Known {
                scores: vec![score],
                features: vec![1.0],
                ..Known::default()
            });
            let mut points = Points::default();
            points.extend(&space, &all.iter().zip(&known).collect::<Vec<_>>());
            [1, 2, 3].map(|other| points.difference(0, other).features)
        };
        let [near, middle, far] = distances([0.1, 0.2, 0.3, 0.4]);
        assert!(0.0 < near && near < middle && middle < far);
        // Sizes mean nothing.
        assert_eq!(distances([-7.0, 0.2, 3e4, 1e30]), [near, middle, far]);
        // What is not known is average.
        let [low, _, high] = distances([f64::NAN, 1.0, 2.0, 3.0]);
        assert!(low > 0.0 && (low - high).abs() < 1e-4);
    }
}

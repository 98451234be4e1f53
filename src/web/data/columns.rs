//! Evaluations as columns of numbers: what ten thousand points on a page need,
//! and nothing else of them. Single precision, as a screen has fewer pixels and
//! the text is half as long.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::store::{Evaluated, RunState};
use crate::strategy::Constraint;

/// Evaluations, each field a column; all columns are equally long.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Columns {
    pub candidate: Vec<u64>,
    pub generation: Vec<u64>,
    /// Fractions.
    pub accuracy: Vec<f32>,
    pub fidelity: Vec<f32>,
    /// 1 where every limit of the run is kept.
    pub feasible: Vec<u8>,
    /// 1 where its genotype was evaluated again later.
    pub superseded: Vec<u8>,
    /// Equal for equal genotypes.
    pub key: Vec<u32>,
    pub seconds: Vec<f32>,
    /// By metric: `latency_ms`, `latency_ms@flex`, `energy_mj`, `macs`,
    /// `params`, `memory`.
    pub costs: BTreeMap<String, Cost>,
}

/// A cost with its interval, where it has one. What is not known of an
/// evaluation is NaN, which JSON writes as null.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cost {
    pub value: Vec<f32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub low: Vec<f32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub high: Vec<f32>,
}

impl Columns {
    /// Every evaluation of a run, by candidate number.
    pub fn of(state: &RunState) -> Self {
        let limits = state.constraints();
        let mut columns = Columns::default();
        for evaluated in state.evaluated() {
            let latest = state.candidate_of(&evaluated.genotype);
            let superseded = latest.is_some_and(|c| c.id != evaluated.candidate);
            columns.push(evaluated, &limits, superseded);
        }
        columns
    }

    pub fn len(&self) -> usize {
        self.candidate.len()
    }

    pub fn is_empty(&self) -> bool {
        self.candidate.is_empty()
    }

    /// Rows that are on the front of accuracy against some cost, as far as the
    /// page lets them count: the latest of their genotype, within the limits,
    /// trained for as long as any.
    pub fn fronts(&self) -> BTreeSet<usize> {
        let latest = (0..self.len()).filter(|i| self.superseded[*i] == 0);
        let latest: Vec<usize> = latest.collect();
        let most = latest.iter().map(|i| self.fidelity[*i]);
        let most = most.fold(0.0, f32::max);
        let counts = |i: &usize| self.feasible[*i] == 1 && self.fidelity[*i] == most;
        let ranked: Vec<usize> = latest.into_iter().filter(counts).collect();
        let mut members = BTreeSet::new();
        for cost in self.costs.values() {
            let point = |i: &usize| [f64::from(cost.value[*i]), -f64::from(self.accuracy[*i])];
            let points: Vec<[f64; 2]> = ranked.iter().map(point).collect();
            members.extend(crate::pareto::front(&points).into_iter().map(|i| ranked[i]));
        }
        members
    }

    /// About `most` rows, evenly taken, and all fronts: more points than that
    /// only make a page slow.
    pub fn thinned(mut self, most: usize) -> Self {
        let step = self.len().div_ceil(most.max(1));
        if step <= 1 {
            return self;
        }
        let mut kept: Vec<bool> = (0..self.len()).map(|i| i % step == 0).collect();
        for member in self.fronts() {
            kept[member] = true;
        }
        thin(&mut self.candidate, &kept);
        thin(&mut self.generation, &kept);
        thin(&mut self.accuracy, &kept);
        thin(&mut self.fidelity, &kept);
        thin(&mut self.feasible, &kept);
        thin(&mut self.superseded, &kept);
        thin(&mut self.key, &kept);
        thin(&mut self.seconds, &kept);
        for cost in self.costs.values_mut() {
            thin(&mut cost.value, &kept);
            thin(&mut cost.low, &kept);
            thin(&mut cost.high, &kept);
        }
        self
    }

    /// Adds an evaluation.
    pub fn push(&mut self, e: &Evaluated, limits: &[Constraint], superseded: bool) {
        let before = self.len();
        self.candidate.push(e.candidate);
        self.generation.push(e.generation);
        self.accuracy.push(e.accuracy as f32);
        self.fidelity.push(e.fidelity as f32);
        self.feasible.push(u8::from(e.keeps(limits)));
        self.superseded.push(u8::from(superseded));
        self.key.push(key(&e.genotype));
        self.seconds.push(e.seconds as f32);
        let latency = [e.latency_ms, e.latency_low_ms, e.latency_high_ms];
        self.put("latency_ms", before, latency);
        for (metric, interval) in &e.predictions {
            self.put(metric, before, *interval);
        }
        let exact = [
            ("macs", e.macs),
            ("params", e.params),
            ("memory", e.peak_activation_bytes),
        ];
        for (metric, value) in exact {
            let cost = self.costs.entry(metric.to_owned()).or_default();
            cost.value.push(value as f32);
        }
        // A prediction that others have and this one lacks.
        for cost in self.costs.values_mut() {
            cost.fill(before + 1);
        }
    }

    fn put(&mut self, metric: &str, before: usize, [value, low, high]: [f64; 3]) {
        let cost = self.costs.entry(metric.to_owned()).or_default();
        for (column, number) in [
            (&mut cost.value, value),
            (&mut cost.low, low),
            (&mut cost.high, high),
        ] {
            column.resize(before, f32::NAN);
            column.push(number as f32);
        }
    }
}

/// Keeps the rows so marked; an interval that is not known has none.
fn thin<T: Copy>(column: &mut Vec<T>, kept: &[bool]) {
    let mut row = 0;
    column.retain(|_| {
        row += 1;
        kept[row - 1]
    });
}

impl Cost {
    fn fill(&mut self, length: usize) {
        let is_interval = !self.low.is_empty();
        self.value.resize(length, f32::NAN);
        if is_interval {
            self.low.resize(length, f32::NAN);
            self.high.resize(length, f32::NAN);
        }
    }
}

/// FNV-1a (Fowler, Noll, Vo), 32 bits: tells genotypes apart on a page, where a
/// collision would hide a point from the front and nothing else.
fn key(genotype: &str) -> u32 {
    genotype.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

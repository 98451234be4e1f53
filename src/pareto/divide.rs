//! Ranks in four and more objectives by divide and conquer (Fortin, Grenier
//! and Parizeau 2013, with the ties of Buzdalov and Shalyto 2014): points are
//! split by the median of the last objective; the lower ones then need not be
//! compared with the upper ones in it.

use super::sort::lexicographic;

/// Products of sizes up to which all pairs are compared.
const FEW: usize = 256;

/// The ranks of distinct points in lexicographic order, `m >= 2` numbers each.
pub(super) fn ranks(flat: &[f64], m: usize) -> Vec<u32> {
    let n = flat.len() / m;
    let mut search = Search {
        flat,
        m,
        ranks: vec![0; n],
    };
    let all: Vec<u32> = (0..n as u32).collect();
    search.within(&all, m);
    search.ranks
}

struct Search<'a> {
    flat: &'a [f64],
    m: usize,
    ranks: Vec<u32>,
}

/// Points below, at and above a value of an objective, in their order.
type Split = [Vec<u32>; 3];

impl Search<'_> {
    fn at(&self, point: u32, objective: usize) -> f64 {
        self.flat[point as usize * self.m + objective]
    }

    /// Whether `a` is at most `b` in the first `k` objectives.
    fn weakly(&self, a: u32, b: u32, k: usize) -> bool {
        (0..k).all(|objective| self.at(a, objective) <= self.at(b, objective))
    }

    fn raise(&mut self, point: u32, over: u32) {
        let least = self.ranks[over as usize] + 1;
        let rank = &mut self.ranks[point as usize];
        *rank = (*rank).max(least);
    }

    fn split(&self, points: &[u32], objective: usize, value: f64) -> Split {
        let mut split = Split::default();
        for &point in points {
            let at = self.at(point, objective);
            let part = usize::from(at >= value) + usize::from(at > value);
            split[part].push(point);
        }
        split
    }

    fn median(&self, points: impl Iterator<Item = u32>, objective: usize) -> f64 {
        let mut values: Vec<f64> = points.map(|p| self.at(p, objective)).collect();
        let middle = values.len() / 2;
        *values.select_nth_unstable_by(middle, f64::total_cmp).1
    }

    /// Ranks points, all equal beyond the first `k` objectives, among
    /// themselves, given what is beneath them from outside.
    fn within(&mut self, points: &[u32], k: usize) {
        if points.len() * points.len() <= FEW {
            for (nth, &point) in points.iter().enumerate() {
                for &before in &points[..nth] {
                    if self.weakly(before, point, k) {
                        self.raise(point, before);
                    }
                }
            }
            return;
        }
        if k == 2 {
            return self.sweep_within(points);
        }
        let value = self.median(points.iter().copied(), k - 1);
        let [low, middle, high] = self.split(points, k - 1, value);
        self.within(&low, k);
        self.across(&low, &middle, k - 1);
        self.within(&middle, k - 1);
        let not_high = merged(&low, &middle);
        self.across(&not_high, &high, k - 1);
        self.within(&high, k);
    }

    /// Ranks `upper` above `lower`, whose ranks are final and which is nowhere
    /// above it beyond the first `k` objectives.
    fn across(&mut self, lower: &[u32], upper: &[u32], k: usize) {
        if lower.len() * upper.len() <= FEW || lower.len() == 1 || upper.len() == 1 {
            for &point in upper {
                for &before in lower {
                    if self.weakly(before, point, k) {
                        self.raise(point, before);
                    }
                }
            }
            return;
        }
        if k == 2 {
            return self.sweep_across(lower, upper);
        }
        let bounds = |points: &[u32]| {
            let values = points.iter().map(|&p| self.at(p, k - 1));
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            })
        };
        let (below, above) = (bounds(lower), bounds(upper));
        if below.1 <= above.0 {
            return self.across(lower, upper, k - 1);
        }
        if below.0 > above.1 {
            return;
        }
        let value = self.median(lower.iter().chain(upper).copied(), k - 1);
        let [low, middle, high] = self.split(lower, k - 1, value);
        let [upper_low, upper_middle, upper_high] = self.split(upper, k - 1, value);
        self.across(&low, &upper_low, k);
        self.across(&low, &upper_middle, k - 1);
        self.across(&middle, &upper_middle, k - 1);
        let not_high = merged(&low, &middle);
        self.across(&not_high, &upper_high, k - 1);
        self.across(&high, &upper_high, k);
    }

    /// In the plane, points in lexicographic order: a point is above those met
    /// before it whose second objective is no larger.
    fn sweep_within(&mut self, points: &[u32]) {
        let mut heights = Heights::of(points.iter().map(|&p| self.at(p, 1)));
        for &point in points {
            let height = heights.place(self.at(point, 1));
            let beneath = heights.highest(height);
            let rank = &mut self.ranks[point as usize];
            *rank = (*rank).max(beneath);
            heights.raise(height, *rank + 1);
        }
    }

    fn sweep_across(&mut self, lower: &[u32], upper: &[u32]) {
        let mut heights = Heights::of(lower.iter().map(|&p| self.at(p, 1)));
        let mut next = lower.iter().copied().peekable();
        let plane = |point: u32| {
            let first = point as usize * self.m;
            &self.flat[first..first + 2]
        };
        for &point in upper {
            let met = |&before: &u32| lexicographic(plane(before), plane(point)).is_le();
            while let Some(before) = next.next_if(met) {
                let height = heights.place(self.at(before, 1));
                heights.raise(height, self.ranks[before as usize] + 1);
            }
            let beneath = heights.highest(heights.place(self.at(point, 1)));
            let rank = &mut self.ranks[point as usize];
            *rank = (*rank).max(beneath);
        }
    }
}

/// Two lists in lexicographic order, which is that of their numbers, as one.
fn merged(a: &[u32], b: &[u32]) -> Vec<u32> {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut all = Vec::with_capacity(a.len() + b.len());
    loop {
        let from_a = match (a.peek(), b.peek()) {
            (Some(x), Some(y)) => x < y,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return all,
        };
        let next = if from_a { a.next() } else { b.next() };
        all.extend(next);
    }
}

/// The maximum over prefixes of sorted values, under raising: a Fenwick tree.
struct Heights {
    values: Vec<f64>,
    tree: Vec<u32>,
}

impl Heights {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        values.dedup();
        Heights {
            tree: vec![0; values.len() + 1],
            values,
        }
    }

    /// How many of the values are at most this.
    fn place(&self, value: f64) -> usize {
        self.values.partition_point(|&v| v <= value)
    }

    fn raise(&mut self, mut place: usize, to: u32) {
        while place < self.tree.len() {
            self.tree[place] = self.tree[place].max(to);
            place += place & place.wrapping_neg();
        }
    }

    fn highest(&self, mut place: usize) -> u32 {
        let mut highest = 0;
        while place > 0 {
            highest = highest.max(self.tree[place]);
            place &= place - 1;
        }
        highest
    }
}

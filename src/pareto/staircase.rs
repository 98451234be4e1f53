//! A front in the plane under insertion: steps to the right and down, in
//! `O(log n)` each.

use std::collections::BTreeMap;

/// The non-dominated of the points inserted, by their first coordinate.
#[derive(Debug, Clone, Default)]
pub(super) struct Staircase {
    steps: BTreeMap<Key, f64>,
}

/// A number that is not NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Key(f64);

impl Eq for Key {}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0
            .partial_cmp(&other.0)
            .unwrap_or(std::cmp::Ordering::Equal)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Staircase {
    /// Whether a point inserted is at most this one in both coordinates.
    pub fn covers(&self, x: f64, y: f64) -> bool {
        let left = self.steps.range(..=Key(x)).next_back();
        left.is_some_and(|(_, &lowest)| lowest <= y)
    }

    /// Inserts a point that is not covered.
    pub fn insert(&mut self, x: f64, y: f64) {
        self.insert_under(x, y, f64::INFINITY, f64::INFINITY);
    }

    /// Inserts a point that is not covered, and returns the area below the
    /// corner that it alone covers.
    pub fn insert_under(&mut self, x: f64, y: f64, right: f64, top: f64) -> f64 {
        let left = self.steps.range(..Key(x)).next_back();
        let mut ceiling = left.map_or(top, |(_, &y)| y);
        let (mut area, mut from) = (0.0, x);
        loop {
            let next = self.steps.range(Key(from)..).next();
            let Some((&Key(at), &height)) = next else {
                area += (right - from) * (ceiling - y);
                break;
            };
            area += (at - from) * (ceiling - y);
            if height < y {
                break;
            }
            self.steps.remove(&Key(at));
            (ceiling, from) = (height, at);
        }
        self.steps.insert(Key(x), y);
        area
    }
}

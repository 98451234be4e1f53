//! Axes with ticks at round numbers, linear or logarithmic, in the form the
//! plotting library takes coordinates in.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// One axis: which values it shows and where its ticks are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub is_log: bool,
    /// Values at the ends.
    pub low: f64,
    pub high: f64,
    /// Values with a tick, ascending.
    pub ticks: Vec<f64>,
    /// Decimals that tell linear ticks apart.
    decimals: usize,
}

/// Empty margin at both ends, as a part of the data's extent.
const MARGIN: f64 = 0.05;

impl Axis {
    /// A linear axis over `low..=high` with about `count` ticks.
    pub fn linear(low: f64, high: f64, count: usize) -> Self {
        // Without any extent, let the single value stand in the middle.
        let extent = match high - low {
            e if e > 1e-9 * high.abs().max(1e-9) => e,
            _ => high.abs().max(1e-3) * 0.2,
        };
        let middle = 0.5 * (low + high);
        let half = extent * (0.5 + MARGIN);
        let (low, high) = (middle - half, middle + half);
        let step = round_step(2.0 * half / count as f64);
        let first = (low / step).ceil() as i64;
        let last = (high / step).floor() as i64;
        let is_whole = |decimals: &usize| {
            let scaled = step * 10f64.powi(*decimals as i32);
            (scaled - scaled.round()).abs() < 1e-6 * scaled
        };
        Axis {
            is_log: false,
            low,
            high,
            ticks: (first..=last).map(|n| n as f64 * step).collect(),
            decimals: (0..12).find(is_whole).unwrap_or(12),
        }
    }

    /// A logarithmic axis over `low..=high`, both positive.
    pub fn log(low: f64, high: f64) -> Self {
        let margin = 10f64.powf(MARGIN * (high / low).log10().max(0.5));
        let (low, high) = (low / margin, high * margin);
        let digits: &[f64] = match (high / low).log10() {
            decades if decades < 1.3 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
            decades if decades < 3.0 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let decades = low.log10().floor() as i32..=high.log10().floor() as i32;
        let ticks = decades
            .flat_map(|decade| digits.iter().map(move |d| d * 10f64.powi(decade)))
            .filter(|tick| (low..=high).contains(tick))
            .collect();
        Axis {
            is_log: true,
            low,
            high,
            ticks,
            decimals: 0,
        }
    }

    /// How far along the axis a value lies, 0 to 1; beyond for others.
    fn part(&self, value: f64) -> f64 {
        match self.is_log {
            true => (value / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    /// Values off the axis are drawn at its ends.
    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let part = self.part(*value).clamp(0.0, 1.0);
        limit.0 + (part * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => Vec::new(),
            false => self.ticks.clone(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        match self.is_log {
            // Two digits are all a logarithmic tick has.
            true => format!("{value:.1e}")
                .parse::<f64>()
                .map_or_else(|_| value.to_string(), |rounded| rounded.to_string()),
            false => format!("{value:.0$}", self.decimals),
        }
    }
}

/// The smallest of 1, 2, 2.5, 5 times a power of ten that is at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 2.5, 5.0]
        .into_iter()
        .map(|d| d * power)
        .find(|s| *s >= step * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|t| axis.format_ext(t)).collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        let whole = Axis::linear(91.3, 98.7, 6);
        assert_eq!(labels(&whole), ["92", "94", "96", "98"]);
        let tenths = Axis::linear(0.11, 0.42, 7);
        assert_eq!(
            labels(&tenths),
            ["0.10", "0.15", "0.20", "0.25", "0.30", "0.35", "0.40"]
        );
        let halves = Axis::linear(0.0, 10.0, 5);
        assert_eq!(labels(&halves), ["0.0", "2.5", "5.0", "7.5", "10.0"]);
    }

    #[test]
    fn logarithmic_ticks_fall_on_digits() {
        let one_decade = Axis::log(0.4, 3.0);
        assert_eq!(
            labels(&one_decade),
            ["0.4", "0.5", "0.7", "1", "1.5", "2", "3"]
        );
        let two_decades = Axis::log(0.5, 60.0);
        assert_eq!(
            labels(&two_decades),
            ["0.5", "1", "2", "5", "10", "20", "50"]
        );
        assert_eq!(labels(&Axis::log(0.01, 1e4)).len(), 7);
    }

    #[test]
    fn a_single_value_stands_in_the_middle() {
        for axis in [Axis::linear(5.0, 5.0, 6), Axis::log(5.0, 5.0)] {
            assert_eq!(axis.map(&5.0, (100, 300)), 200);
            assert!(!axis.ticks.is_empty(), "{axis:?}");
        }
    }

    #[test]
    fn values_off_the_axis_stay_at_its_ends() {
        let axis = Axis::log(0.4, 30.0);
        assert_eq!(axis.map(&0.0, (100, 300)), 100);
        assert_eq!(axis.map(&1e9, (100, 300)), 300);
    }
}

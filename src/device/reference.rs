//! A small fixed network run now and then between samples. Its latency should
//! never change; where it does, the device changed (throttling, a new
//! neighbour), and the network under measurement is not to blame.

use super::stats::{check_sample, median};
use super::trace::{inner_runs, since_ms, warm_up};
use super::{Clock, Deployable, Engine, ProbeError, Protocol, RunOptions, Session};
use crate::network::{Activation, Conv, Network, NodeId, Op, PoolKind, Shape, ShapeError};

/// Fewest samples whose median is the baseline.
const BASELINE_SAMPLES: usize = 25;

/// A loaded reference network and its latency at the outset.
pub struct Reference {
    session: Box<dyn Session>,
    inner_runs: usize,
    baseline_ms: f64,
}

impl Reference {
    /// Loads the reference network into `engine`, warms it up and times it.
    ///
    /// # Errors
    /// As for any measurement.
    pub fn load(
        engine: &dyn Engine,
        protocol: &Protocol,
        clock: &dyn Clock,
    ) -> Result<Self, ProbeError> {
        let model = Deployable::untrained("reference", reference_network(), 0)?;
        let session = engine.load(&model, &RunOptions::default())?;
        Self::from_session(session, protocol, clock)
    }

    /// As [`load`](Self::load), with a session of one's own.
    ///
    /// # Errors
    /// As for any measurement.
    pub fn from_session(
        mut session: Box<dyn Session>,
        protocol: &Protocol,
        clock: &dyn Clock,
    ) -> Result<Self, ProbeError> {
        protocol.check()?;
        let warmup = warm_up(session.as_mut(), protocol, clock)?;
        let mut reference = Reference {
            session,
            inner_runs: inner_runs(warmup.run_ms, protocol.min_sample_ms),
            baseline_ms: f64::NAN,
        };
        let start = clock.now_ns();
        let mut samples = Vec::new();
        while samples.len() < BASELINE_SAMPLES || since_ms(start, clock) < protocol.min_sampling_ms
        {
            samples.push(reference.sample(clock)?);
        }
        reference.baseline_ms = median(&samples);
        Ok(reference)
    }

    /// Median latency when the reference was loaded.
    pub fn baseline_ms(&self) -> f64 {
        self.baseline_ms
    }

    /// Times the reference once more, after a run that brings back what other
    /// networks have driven out of the caches.
    ///
    /// # Errors
    /// When the engine fails or the clock misbehaves.
    pub fn sample(&mut self, clock: &dyn Clock) -> Result<f64, ProbeError> {
        self.session.run()?;
        let sample_ms = self.session.time(self.inner_runs, clock)?;
        check_sample(sample_ms)?;
        Ok(sample_ms)
    }
}

/// The reference: an inverted residual's three convolutions between a strided
/// stem and a classifier, 0.29 M multiply-accumulates. It must never change, or
/// drifts recorded by different versions stop being comparable.
pub(super) fn reference_network() -> Network {
    build().expect("the reference network's shapes fit")
}

fn build() -> Result<Network, ShapeError> {
    let mut net = Network::new(Shape::image(3, 32, 32));
    let relu = Op::Activation(Activation::Relu);
    let mut x = NodeId(0);
    for conv in [
        Conv::same(8, 3, 2),
        Conv::same(24, 1, 1),
        Conv::same(24, 3, 2).groups(24),
        Conv::same(16, 1, 1),
        Conv::same(16, 3, 1),
    ] {
        x = net.push(Op::Conv(conv.bias(true)), &[x])?;
        x = net.push(relu, &[x])?;
    }
    let kind = PoolKind::Avg;
    x = net.push(Op::GlobalPool { kind }, &[x])?;
    x = net.push(Op::Flatten, &[x])?;
    net.push(
        Op::Linear {
            out_features: 10,
            bias: true,
        },
        &[x],
    )?;
    Ok(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_stays_as_it_is() {
        let network = reference_network();
        assert_eq!(network.costs().macs, 290_464);
        insta::assert_snapshot!(network.hash(), @"f965a3c571dacc850a8998c46da70450");
    }
}

//! A probe is a way to reach a device and measure networks on it. The local
//! probe measures on this machine, through whichever engine it is given.

use super::{
    Clock, Deployable, DeviceFacts, Engine, Measurement, MonotonicClock, ProbeError, Protocol,
    Reference, RunOptions, trace::trace,
};

/// A device that can be asked for latencies.
pub trait Probe {
    /// Under what name results are filed: device and engine.
    fn name(&self) -> String;

    /// What the device says of itself now.
    fn facts(&self) -> DeviceFacts;

    /// Measures one network.
    ///
    /// # Errors
    /// When the device cannot run it or returns no usable latencies.
    fn measure(
        &mut self,
        model: &Deployable,
        protocol: &Protocol,
    ) -> Result<Measurement, ProbeError>;
}

/// Measures `model` once with `engine` on this machine.
///
/// # Errors
/// When the engine rejects or fails the network, or the protocol makes no sense.
pub fn measure(
    engine: &dyn Engine,
    model: &Deployable,
    options: &RunOptions,
    protocol: &Protocol,
    reference: Option<&mut Reference>,
    clock: &dyn Clock,
) -> Result<Measurement, ProbeError> {
    let device = DeviceFacts::collect();
    let baseline_ms = reference.as_ref().map(|r| r.baseline_ms());
    let mut session = engine.load(model, options)?;
    let trace = trace(session.as_mut(), protocol, reference, clock)?;
    Measurement::from_trace(
        model.name(),
        engine.name(),
        device,
        options,
        trace,
        baseline_ms,
    )
}

/// This machine. The reference network is loaded at the first measurement and
/// kept, so that all drifts are relative to the same moment.
pub struct LocalProbe {
    engine: Box<dyn Engine>,
    options: RunOptions,
    clock: Box<dyn Clock>,
    reference: Option<Reference>,
}

impl LocalProbe {
    pub fn new(engine: Box<dyn Engine>, options: RunOptions) -> Self {
        Self::with_clock(engine, options, Box::new(MonotonicClock::new()))
    }

    /// With a clock of one's own, such as a board's cycle counter.
    pub fn with_clock(engine: Box<dyn Engine>, options: RunOptions, clock: Box<dyn Clock>) -> Self {
        LocalProbe {
            engine,
            options,
            clock,
            reference: None,
        }
    }
}

impl Probe for LocalProbe {
    fn name(&self) -> String {
        format!("local/{}", self.engine.name())
    }

    fn facts(&self) -> DeviceFacts {
        DeviceFacts::collect()
    }

    fn measure(
        &mut self,
        model: &Deployable,
        protocol: &Protocol,
    ) -> Result<Measurement, ProbeError> {
        let engine = self.engine.as_ref();
        let clock = self.clock.as_ref();
        let reference = match &mut self.reference {
            Some(reference) => reference,
            none => none.insert(Reference::load(engine, protocol, clock)?),
        };
        measure(
            engine,
            model,
            &self.options,
            protocol,
            Some(reference),
            clock,
        )
    }
}

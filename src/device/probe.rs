//! A probe is a way to reach a device and measure networks on it. The local
//! probe measures on this machine, through whichever engine it is given.

use super::{
    Clock, Deployable, DeviceFacts, EnergyMeter, Engine, Limits, Measurement, MemoryWatch,
    MonotonicClock, Observation, ProbeError, Protocol, Reference, RunOptions, Session, median,
    trace::trace,
};

/// Energy is the mean of as many runs as fill this time: counters move in
/// steps of about a millisecond.
const ENERGY_MS: f64 = 50.0;

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

/// Measures `model` once with `engine`: loading, the cold run, the samples,
/// then peak memory and, where there is a meter, energy.
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
    let load = || engine.load(model, options);
    observe(engine, &load, protocol, reference, clock)?.measurement(
        model.name(),
        engine.name(),
        options,
    )
}

/// As [`measure`], of whatever `load` loads into the engine, not yet summed up.
///
/// # Errors
/// As [`measure`].
pub fn observe(
    engine: &dyn Engine,
    load: &dyn Fn() -> Result<Box<dyn Session>, ProbeError>,
    protocol: &Protocol,
    reference: Option<&mut Reference>,
    clock: &dyn Clock,
) -> Result<Observation, ProbeError> {
    let facts = engine.facts();
    let baseline_ms = reference.as_ref().map(|r| r.baseline_ms());
    let simulated = engine.is_simulated();
    let watch = match simulated {
        true => None,
        false => engine.process_id().and_then(MemoryWatch::begin),
    };
    let start_ns = clock.now_ns();
    let mut session = load()?;
    let waited_ms = clock.now_ns().saturating_sub(start_ns) as f64 / 1e6;
    let load_ms = session.load_ms().unwrap_or(waited_ms);
    let trace = trace(session.as_mut(), protocol, reference, clock)?;
    let told = session.memory()?;
    let memory = told.or_else(|| watch.and_then(MemoryWatch::end));
    let energy_mj = energy_mj(session.as_mut(), median(&trace.samples_ms), simulated)?;
    Ok(Observation {
        trace,
        baseline_ms,
        facts,
        load_ms: Some(load_ms),
        memory,
        energy_mj,
        engine_version: engine.version(),
        simulated,
    })
}

/// By the device's own meter, else by this machine's.
fn energy_mj(
    session: &mut dyn Session,
    run_ms: f64,
    simulated: bool,
) -> Result<Option<f64>, ProbeError> {
    let runs = ((ENERGY_MS / run_ms).ceil() as usize).clamp(1, 10_000);
    if let Some(energy) = session.energy_mj(runs)? {
        return Ok(Some(energy));
    }
    let Some(meter) = EnergyMeter::find().filter(|_| !simulated) else {
        return Ok(None);
    };
    let Some(start) = meter.read() else {
        return Ok(None);
    };
    for _ in 0..runs {
        session.run()?;
    }
    Ok(meter.since_mj(&start).map(|mj| mj / runs as f64))
}

/// This machine. The reference network is loaded at the first measurement and
/// kept, so that all drifts are relative to the same moment.
pub struct LocalProbe {
    engine: Box<dyn Engine>,
    options: RunOptions,
    limits: Limits,
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
            limits: Limits::default(),
            clock,
            reference: None,
        }
    }

    /// Networks beyond these are failures: by their size before they are loaded,
    /// by their latency once it is known.
    pub fn limited(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl Probe for LocalProbe {
    fn name(&self) -> String {
        format!("local/{}", self.engine.name())
    }

    fn facts(&self) -> DeviceFacts {
        self.engine.facts()
    }

    fn measure(
        &mut self,
        model: &Deployable,
        protocol: &Protocol,
    ) -> Result<Measurement, ProbeError> {
        let engine = self.engine.as_ref();
        let name = engine.name();
        let batch = self.options.batch;
        self.limits.check_size(&name, model.network(), batch)?;
        let clock = self.clock.as_ref();
        if self.reference.is_none() && !engine.is_simulated() {
            self.reference = Some(Reference::load(engine, protocol, clock)?);
        }
        let measured = measure(
            engine,
            model,
            &self.options,
            protocol,
            self.reference.as_mut(),
            clock,
        );
        if matches!(measured, Err(ProbeError::Plugin { .. })) {
            // It went with its process.
            self.reference = None;
        }
        let measured = measured?;
        self.limits.check_latency(&name, measured.median_ms())?;
        Ok(measured)
    }
}

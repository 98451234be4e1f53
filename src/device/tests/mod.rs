//! Measuring under a scripted clock: every rule of the protocol is shown by
//! sessions whose latencies are known in advance. Surveys have their own file.

mod survey;

use std::cell::Cell;
use std::rc::Rc;

use super::*;
use crate::network::{Conv, Network, NodeId, Op, Shape};

/// A clock that only sessions move.
#[derive(Clone, Default)]
struct FakeClock(Rc<Cell<u64>>);

impl Clock for FakeClock {
    fn now_ns(&self) -> u64 {
        self.0.get()
    }
}

/// What the n-th run does: take so many milliseconds, or fail.
type Script = Rc<dyn Fn(usize, f64) -> Option<f64>>;

/// A session whose runs take what a script says, given the number of the run
/// and the time in milliseconds.
struct FakeSession {
    clock: FakeClock,
    script: Script,
    runs: usize,
}

impl Session for FakeSession {
    fn run(&mut self) -> Result<(), ProbeError> {
        let now = self.clock.0.get();
        let took = (self.script)(self.runs, now as f64 / 1e6);
        self.runs += 1;
        match took {
            Some(ms) => {
                self.clock
                    .0
                    .set(now.saturating_add_signed((ms * 1e6) as i64));
                Ok(())
            }
            None => Err(ProbeError::Run {
                engine: "fake".into(),
                reason: format!("run {} was scripted to fail", self.runs),
            }),
        }
    }
}

/// An engine whose latencies are the network's MACs, one a microsecond, changed
/// by a script.
struct FakeEngine {
    clock: FakeClock,
    slowdown: Rc<dyn Fn(usize, f64) -> Option<f64>>,
}

impl Engine for FakeEngine {
    fn name(&self) -> String {
        "fake".into()
    }

    fn load(&self, model: &Deployable, _: &RunOptions) -> Result<Box<dyn Session>, ProbeError> {
        let ms = model.network().costs().macs as f64 / 1e3;
        let slowdown = self.slowdown.clone();
        Ok(Box::new(FakeSession {
            clock: self.clock.clone(),
            script: Rc::new(move |run, now_ms| slowdown(run, now_ms).map(|s| ms * s)),
            runs: 0,
        }))
    }
}

fn protocol() -> Protocol {
    Protocol {
        min_warmup_runs: 4,
        min_warmup_ms: 0.0,
        max_warmup_runs: 50,
        max_warmup_ms: 1e6,
        min_sampling_ms: 0.0,
        budget_ms: 1_000.0,
        min_samples: 10,
        max_samples: 300,
        ..Protocol::quick()
    }
}

fn run(
    protocol: &Protocol,
    script: impl Fn(usize, f64) -> Option<f64> + 'static,
) -> Result<Trace, ProbeError> {
    let clock = FakeClock::default();
    let mut session = FakeSession {
        clock: clock.clone(),
        script: Rc::new(script),
        runs: 0,
    };
    trace(&mut session, protocol, None, &clock)
}

/// Noise without a generator: multiples of the golden ratio are spread evenly.
fn noise(run: usize) -> f64 {
    (run as f64 * 0.618_033_988_75).fract() - 0.5
}

/// A square convolution of `channels` squared MACs on one pixel.
fn pointwise(channels: usize) -> Deployable {
    let mut net = Network::new(Shape::image(channels, 1, 1));
    net.push(Op::Conv(Conv::same(channels, 1, 1)), &[NodeId(0)])
        .unwrap();
    Deployable::untrained(format!("pointwise{channels}"), net, 0).unwrap()
}

#[test]
fn warm_up_lasts_until_latencies_settle() {
    // The first run is cold; the next twenty get faster by a tenth each.
    let trace = run(&protocol(), |run, _| {
        Some(match run {
            0 => 90.0,
            1..=20 => 2.0 + 10.0 * 0.9f64.powi(run as i32),
            _ => 2.0,
        })
    })
    .unwrap();
    assert_eq!(trace.cold_ms, 90.0);
    assert!(trace.warmup_stable);
    assert!(trace.warmup_runs > 20, "{}", trace.warmup_runs);
    assert!(trace.samples_ms.iter().all(|s| *s == 2.0));
    assert_eq!(trace.inner_runs, 1);
    assert_eq!(trace.stop, StopReason::Precise);
    assert_eq!(trace.samples_ms.len(), 10);
}

#[test]
fn warm_up_that_never_settles_ends_with_a_warning() {
    let trace = run(&protocol(), |run, _| Some(1.0 + run as f64)).unwrap();
    assert!(!trace.warmup_stable);
    assert_eq!(trace.warmup_runs, 50);
    let measurement = summed_up(trace, None);
    assert!(
        measurement
            .warnings
            .contains(&Warning::UnstableWarmup { runs: 50 })
    );
}

#[test]
fn warm_up_takes_its_least_time() {
    let slow = Protocol {
        min_warmup_ms: 40.0,
        ..protocol()
    };
    assert_eq!(run(&slow, |_, _| Some(2.0)).unwrap().warmup_runs, 20);
}

fn summed_up(trace: Trace, baseline_ms: Option<f64>) -> Measurement {
    let device = DeviceFacts::default();
    let options = RunOptions::default();
    Measurement::from_trace("net", "fake".into(), device, &options, trace, baseline_ms).unwrap()
}

#[test]
fn sampling_goes_on_until_the_interval_is_narrow() {
    let spread = |width: f64| {
        let trace = run(&protocol(), move |run, _| Some(5.0 + width * noise(run))).unwrap();
        (trace.samples_ms.len(), trace.stop)
    };
    let (few, precise) = spread(0.2);
    assert_eq!(precise, StopReason::Precise);
    let (more, precise) = spread(0.6);
    assert_eq!(precise, StopReason::Precise);
    assert!(more > few, "{more} samples against {few}");
}

#[test]
fn a_narrow_interval_within_a_moment_is_not_trusted() {
    let patient = Protocol {
        min_sampling_ms: 100.0,
        ..protocol()
    };
    assert_eq!(
        run(&patient, |_, _| Some(2.0)).unwrap().samples_ms.len(),
        50
    );
}

#[test]
fn the_budget_and_the_greatest_number_of_samples_end_sampling() {
    let wild = |run: usize, _: f64| Some(6.0 + 8.0 * noise(run));
    let trace = run(&protocol(), wild).unwrap();
    assert_eq!(trace.stop, StopReason::Budget);
    let total: f64 = trace.samples_ms.iter().sum();
    assert!((1_000.0..1_010.0).contains(&total), "{total} ms");
    let warnings = summed_up(trace, None).warnings;
    let wide = |w: &Warning| matches!(w, Warning::WideInterval { .. });
    assert!(warnings.iter().any(wide), "{warnings:?}");

    let short = Protocol {
        max_samples: 40,
        ..protocol()
    };
    let trace = run(&short, wild).unwrap();
    assert_eq!(
        (trace.stop, trace.samples_ms.len()),
        (StopReason::MaxSamples, 40)
    );
}

#[test]
fn short_runs_are_timed_together() {
    let trace = run(&protocol(), |_, _| Some(0.03)).unwrap();
    assert_eq!(trace.inner_runs, 7);
    assert!((trace.samples_ms[0] - 0.03).abs() < 1e-9);
}

#[test]
fn outliers_are_counted_and_kept() {
    // Four interruptions among the first samples.
    let trace = run(&protocol(), |run, _| {
        let interrupted = run > 20 && run % 10 == 0;
        Some(if interrupted {
            40.0
        } else {
            5.0 + 0.5 * noise(run)
        })
    })
    .unwrap();
    let expected = trace.samples_ms.iter().filter(|s| **s > 30.0).count();
    assert!(expected > 0);
    let summary = summed_up(trace, None).summary;
    assert_eq!(summary.outliers, expected);
    assert!((summary.median_ms - 5.0).abs() < 0.2);
}

#[test]
fn a_median_made_of_interruptions_is_called_so() {
    // Two of three runs are preempted, which no interval of the median shows.
    let script = |run: usize, _: f64| Some(if run.is_multiple_of(3) { 2.0 } else { 9.0 });
    let warnings = summed_up(run(&protocol(), script).unwrap(), None).warnings;
    assert!(
        warnings.contains(&Warning::Interrupted { ratio: 4.5 }),
        "{warnings:?}"
    );
}

#[test]
fn a_slowing_device_shows_in_the_reference_and_not_in_the_verdict() {
    let clock = FakeClock::default();
    // Thermal throttling: half speed from 200 ms on.
    let throttled = |now_ms: f64| if now_ms < 200.0 { 1.0 } else { 2.0 };
    let session = |ms: f64| FakeSession {
        clock: clock.clone(),
        script: Rc::new(move |_, now_ms| Some(ms * throttled(now_ms))),
        runs: 0,
    };
    let protocol = protocol();
    let mut reference = Reference::from_session(Box::new(session(0.5)), &protocol, &clock).unwrap();
    assert_eq!(reference.baseline_ms(), 0.5);
    assert!(clock.now_ns() < 100_000_000);

    clock.0.set(300_000_000);
    let trace = trace(&mut session(5.0), &protocol, Some(&mut reference), &clock).unwrap();
    assert!(trace.reference_ms.len() >= 2);
    let measurement = summed_up(trace, Some(reference.baseline_ms()));
    assert_eq!(measurement.drift, Some(2.0));
    assert_eq!(measurement.warnings, [Warning::Drift { ratio: 2.0 }]);
    assert_eq!(measurement.median_ms(), 10.0);
    assert_eq!(measurement.drift_free_ms(), 5.0);
}

#[test]
fn failures_and_absurd_clocks_are_errors() {
    let error = run(&protocol(), |run, _| (run < 30).then_some(1.0 + run as f64)).unwrap_err();
    insta::assert_snapshot!(
        error,
        @"engine `fake` failed while running the network: run 31 was scripted to fail"
    );
    // A clock that stands still, then one that goes back.
    let error = run(&protocol(), |_, _| Some(0.0)).unwrap_err();
    insta::assert_snapshot!(
        error,
        @"a latency of 0 ms is no measurement (it is not positive); check the clock and the engine, and measure again"
    );
    let error = run(&protocol(), |run, _| {
        Some(if run == 12 { -1.0 } else { 2.0 })
    })
    .unwrap_err();
    insta::assert_snapshot!(
        error,
        @"a latency of -1 ms is no measurement (the clock went backwards); check the clock and the engine, and measure again"
    );
    let error = run(&protocol(), |_, _| Some(5_000.0)).unwrap_err();
    insta::assert_snapshot!(
        error,
        @"one run takes 5000 ms, so 10 samples would far exceed the budget of 1000 ms; raise the protocol's budget_ms or lower its min_samples"
    );
}

#[test]
fn protocols_are_checked() {
    Protocol::quick().check().unwrap();
    Protocol::thorough().check().unwrap();
    let error = |change: &dyn Fn(&mut Protocol)| {
        let mut protocol = Protocol::quick();
        change(&mut protocol);
        protocol.check().unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        error(&|p| p.min_samples = 5),
        @"the protocol's min_samples must be at least 6, or the median has no 95 % interval"
    );
    insta::assert_snapshot!(
        error(&|p| p.budget_ms = f64::NAN),
        @"the protocol's budget_ms must be a positive number"
    );
    insta::assert_snapshot!(
        error(&|p| p.max_samples = 10),
        @"the protocol's max_samples must not be below min_samples"
    );
}

#[test]
fn measurements_survive_json() {
    let trace = run(&protocol(), |run, _| Some(5.0 + noise(run))).unwrap();
    let measurement = summed_up(trace, None);
    let text = serde_json::to_string(&measurement).unwrap();
    assert!(text.contains("\"median_ms\":"));
    assert_eq!(
        serde_json::from_str::<Measurement>(&text).unwrap(),
        measurement
    );
}

#[test]
fn tract_measures_a_real_network() {
    let mut probe = LocalProbe::new(Box::new(TractEngine), RunOptions::default());
    let brief = Protocol {
        min_sampling_ms: 5.0,
        budget_ms: 30.0,
        min_samples: 6,
        ..Protocol::quick()
    };
    let measurement = probe.measure(&pointwise(64), &brief).unwrap();
    assert_eq!(
        (measurement.engine.as_str(), probe.name().as_str()),
        ("tract", "local/tract")
    );
    assert!(measurement.median_ms() > 0.0 && measurement.median_ms() < 50.0);
    assert!(measurement.drift.is_some_and(|d| d > 0.0));
    assert!(measurement.device.logical_cores.is_some());
}

#[test]
fn tract_refuses_what_it_cannot_do() {
    let error = |batch, threads| {
        TractEngine
            .load(&pointwise(4), &RunOptions { batch, threads })
            .err()
            .unwrap()
            .to_string()
    };
    insta::assert_snapshot!(
        error(1, 4),
        @"engine `tract` does not support 4 threads; it is built to run on exactly one: set threads to 1"
    );
    insta::assert_snapshot!(
        error(0, 1),
        @"engine `tract` does not support an empty batch; set batch to 1 or more"
    );
    let error = infer(
        b"not a model",
        &crate::network::Array {
            dims: vec![1],
            data: vec![0.0],
        },
    );
    assert!(matches!(error, Err(ProbeError::Load { .. })));
}

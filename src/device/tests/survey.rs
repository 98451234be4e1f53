//! Surveys of several networks, and what joins their passes.

use std::ops::ControlFlow;

use super::*;

#[test]
fn a_survey_repeats_in_new_orders_and_tells_its_noise() {
    let clock = FakeClock::default();
    // Every load is up to 2 % off, as layouts in memory are.
    let loads = Rc::new(Cell::new(0));
    let engine = FakeEngine {
        clock: clock.clone(),
        slowdown: Rc::new(move |run, _| {
            if run == 0 {
                loads.set(loads.get() + 1);
            }
            Some(1.0 + 0.04 * noise(loads.get()))
        }),
    };
    let mut probe =
        LocalProbe::with_clock(Box::new(engine), RunOptions::default(), Box::new(clock));
    let models: Vec<Deployable> = (0..8).map(|i| pointwise(20 + 5 * i)).collect();
    let mut order = Vec::new();
    let survey = measure_many(&mut probe, &models, &protocol(), 3, &mut |step| {
        assert_eq!(step.step, order.len() + 1);
        assert_eq!(step.steps, 16);
        order.push(step.index);
        ControlFlow::Continue(())
    })
    .unwrap();
    let (first, second) = order.split_at(8);
    assert_ne!(first, second);
    for pass in [first, second] {
        let mut sorted = pass.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..8).collect::<Vec<_>>());
    }
    for (model, result) in models.iter().zip(&survey.results) {
        let measurement = result.as_ref().unwrap();
        assert_eq!(measurement.network, model.name());
        assert_eq!(measurement.passes.len(), 2);
        let expected = model.network().costs().macs as f64 / 1e3;
        assert!((measurement.median_ms() / expected - 1.0).abs() < 0.05);
        for pass in &measurement.passes {
            let (low, high) = measurement.summary.ci95_ms;
            assert!(low <= pass.median_ms && pass.median_ms <= high);
        }
    }
    let repeatability = survey.repeatability.unwrap();
    assert_eq!(repeatability.spearman, Some(1.0));
    assert!(repeatability.max_gap > 0.0 && repeatability.max_gap < 0.05);
}

#[test]
fn passes_are_added_until_their_noise_no_longer_matters() {
    let survey = |width: f64| {
        let clock = FakeClock::default();
        let loads = Rc::new(Cell::new(0));
        let engine = FakeEngine {
            clock: clock.clone(),
            slowdown: Rc::new(move |run, _| {
                if run == 0 {
                    loads.set(loads.get() + 1);
                }
                Some(1.0 + width * noise(loads.get()))
            }),
        };
        let clock = Box::new(clock);
        let mut probe = LocalProbe::with_clock(Box::new(engine), RunOptions::default(), clock);
        let models: Vec<Deployable> = (0..8).map(|i| pointwise(20 + 5 * i)).collect();
        let each = &mut |_: Step<'_>| ControlFlow::Continue(());
        let survey = measure_many(&mut probe, &models, &protocol(), 3, each).unwrap();
        let passes = survey
            .results
            .iter()
            .map(|r| r.as_ref().unwrap().passes.len());
        passes.collect::<Vec<_>>()
    };
    // Evenly over a width w, the median gap of two is 0.29 w.
    assert_eq!(survey(0.035), [2; 8]);
    let noisy = survey(0.12);
    assert!(noisy.iter().all(|n| (3..=5).contains(n)), "{noisy:?}");
}

#[test]
fn a_network_disturbed_in_one_pass_is_measured_again() {
    let clock = FakeClock::default();
    let loads = Rc::new(Cell::new(0));
    let engine = FakeEngine {
        clock: clock.clone(),
        // The reference is the first load; the third network measured is
        // disturbed, all of it, in the first pass only.
        slowdown: Rc::new(move |run, _| {
            if run == 0 {
                loads.set(loads.get() + 1);
            }
            Some(if loads.get() == 4 { 1.8 } else { 1.0 })
        }),
    };
    let mut probe =
        LocalProbe::with_clock(Box::new(engine), RunOptions::default(), Box::new(clock));
    let models: Vec<Deployable> = (0..5).map(|i| pointwise(20 + 5 * i)).collect();
    let mut order = Vec::new();
    let survey = measure_many(&mut probe, &models, &protocol(), 1, &mut |step| {
        order.push((step.index, step.step, step.steps));
        ControlFlow::Continue(())
    })
    .unwrap();
    let disturbed = order[2].0;
    assert_eq!(order[10], (disturbed, 11, 11));
    assert_eq!(order.len(), 11);
    for (model, result) in models.iter().zip(&survey.results) {
        let measurement = result.as_ref().unwrap();
        let expected = model.network().costs().macs as f64 / 1e3;
        assert!((measurement.median_ms() / expected - 1.0).abs() < 1e-6);
    }
    let again = survey.results[disturbed].as_ref().unwrap();
    assert_eq!(again.passes.len(), 3);
    // The disturbed pass is on record but does not count.
    assert!(again.passes[0].median_ms > 1.5 * again.summary.ci95_ms.1);
    assert!(again.samples_ms.len() > again.summary.samples);
    assert!(
        again
            .warnings
            .iter()
            .all(|w| !matches!(w, Warning::PassesDisagree { .. }))
    );
    assert!(survey.repeatability.unwrap().max_gap > 0.5);
}

#[test]
fn a_device_that_throttles_is_told_apart_from_a_disturbed_pass() {
    // One fast pass on a cool device, then only slow ones.
    let pass = |ms: f64| summed_up(run(&protocol(), move |_, _| Some(ms)).unwrap(), None);
    let mut measurement = pass(10.0);
    for _ in 0..4 {
        measurement = measurement.join(pass(14.0)).unwrap();
    }
    assert_eq!(measurement.median_ms(), 14.0);
    assert_eq!(measurement.summary.ci95_ms, (10.0, 14.0));
    let warnings: Vec<String> = measurement.warnings.iter().map(|w| w.to_string()).collect();
    insta::assert_snapshot!(warnings.join("\n"), @r"
    10 of 50 samples are outliers
    no pass over this network confirms another: they differ by 40 % or more
    ");
}

#[test]
fn a_failing_network_keeps_its_error_and_the_others_their_results() {
    let clock = FakeClock::default();
    let engine = FakeEngine {
        clock: clock.clone(),
        slowdown: Rc::new(|_, _| Some(1.0)),
    };
    struct Picky(FakeEngine);
    impl Engine for Picky {
        fn name(&self) -> String {
            self.0.name()
        }
        fn load(&self, m: &Deployable, o: &RunOptions) -> Result<Box<dyn Session>, ProbeError> {
            if m.name() == "pointwise30" {
                return Err(ProbeError::Load {
                    engine: self.name(),
                    reason: "30 channels are too many".into(),
                });
            }
            self.0.load(m, o)
        }
    }
    let engine = Box::new(Picky(engine));
    let mut probe = LocalProbe::with_clock(engine, RunOptions::default(), Box::new(clock));
    let models: Vec<Deployable> = [20, 30, 40].map(pointwise).into();
    let mut steps = 0;
    let survey = measure_many(&mut probe, &models, &protocol(), 0, &mut |_| {
        steps += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    // The failed one is not tried again.
    assert_eq!(steps, 5);
    assert!(survey.results[0].is_ok() && survey.results[2].is_ok());
    assert!(matches!(survey.results[1], Err(ProbeError::Load { .. })));

    let stopped = measure_many(&mut probe, &models, &protocol(), 0, &mut |_| {
        ControlFlow::Break(())
    });
    assert!(matches!(stopped, Err(ProbeError::Stopped)));
}

use std::ops::ControlFlow;

use burn::tensor::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::data::Dataset;
use crate::network::Network;
use crate::space::Space;
use crate::supernet::tests::{SMALL, space};

fn config(method: Method) -> GradientConfig {
    GradientConfig {
        batch_size: 32,
        warm_up: 1,
        train_images: Some(256),
        ..GradientConfig::of(method, 3)
    }
}

/// A latency that decisions do not simply add up to.
fn latency(network: &Network) -> f64 {
    let costs = network.costs();
    0.1 + costs.macs as f64 / 1e5 + (costs.params as f64).sqrt() / 100.0
}

fn run(space: &Space, config: GradientConfig) -> GradientSearch {
    let dataset = Dataset::embedded();
    let mut search = GradientSearch::new(space, &dataset, config).unwrap();
    search
        .run(
            space,
            &dataset,
            &Device::flex(),
            Some(&latency),
            &mut |_| ControlFlow::Continue(()),
        )
        .unwrap();
    search
}

#[test]
fn expected_latencies_are_those_of_the_whole_distribution() {
    let space = space(SMALL);
    let mut alphas = Alphas::new(&space);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let adam = Adam {
        learning_rate: 0.4,
        betas: [0.0, 0.0],
        weight_decay: 0.0,
    };
    let gradient: Vec<Option<Vec<f64>>> = alphas
        .zeros()
        .iter()
        .enumerate()
        .map(|(c, l)| Some((0..l.len()).map(|o| (c + o) as f64 - 1.5).collect()))
        .collect();
    alphas.update(&gradient, &adam);
    let exact: f64 = space
        .enumerate()
        .map(|a| alphas.log_probability(&a).exp() * latency(&space.network(&a).unwrap()))
        .sum();
    let mut expected = ExpectedLatency::new(&space, &latency);
    let found = expected.expected(&alphas, 4_000, &mut rng);
    assert!(
        (found.mean_ms / exact - 1.0).abs() < 0.02,
        "{} {exact}",
        found.mean_ms
    );
    // The derivative by a probability: what more of an option costs, others less.
    let by_hand = |choice: usize| -> Vec<f64> {
        (0..alphas.logits(choice).len())
            .map(|option| {
                let (mut sum, mut all) = (0.0, 0.0);
                for a in space
                    .enumerate()
                    .filter(|a| a.option(choice) == Some(option))
                {
                    let p = alphas.log_probability(&a).exp();
                    sum += p * latency(&space.network(&a).unwrap());
                    all += p;
                }
                sum / all
            })
            .collect()
    };
    let width = 0;
    let (own, exact) = (&found.by_option[width], by_hand(width));
    let step = (own[1] - own[0], exact[1] - exact[0]);
    assert!((step.0 / step.1 - 1.0).abs() < 0.05, "{step:?}");
}

#[test]
fn a_pair_moves_without_the_others() {
    let space = space("space t input image 1x8x8 network { conv({1, 3, 5, 7}, 2) }");
    let mut alphas = Alphas::new(&space);
    let adam = Adam {
        learning_rate: 0.5,
        betas: [0.0, 0.999],
        weight_decay: 0.0,
    };
    alphas.update_pair(0, [1, 3], [1.0, -1.0], &adam);
    let after = alphas.probabilities()[0].clone();
    assert!((after[0] - 0.25).abs() < 1e-12 && (after[2] - 0.25).abs() < 1e-12);
    assert!(after[3] > 0.3 && after[1] < 0.2, "{after:?}");
}

#[test]
fn every_method_runs_and_goes_on_where_it_was_stopped() {
    let (space, dataset) = (space(SMALL), Dataset::embedded());
    for method in Method::ALL {
        let config = GradientConfig {
            latency: LatencyGoal::Weighted { weight: 0.1 },
            ..config(method)
        };
        let unbroken = run(&space, config.clone());
        assert_eq!(unbroken.curve.len(), 3, "{method:?}");
        let (first, last) = (&unbroken.curve[0], &unbroken.curve[2]);
        // Single paths see each weight too rarely in twelve steps.
        assert!(
            last.weight_loss < first.weight_loss || !method.mixes(),
            "{method:?} {:?}",
            unbroken.curve
        );
        assert!(first.alpha_loss.is_none() && last.expected_ms.is_some());
        assert!(last.entropy < 1.0);
        space.parse_genotype(&last.genotype).unwrap();
        let mut broken = GradientSearch::new(&space, &dataset, config.clone()).unwrap();
        let mut kept = Vec::new();
        let stopped = broken.run(
            &space,
            &dataset,
            &Device::flex(),
            Some(&latency),
            &mut |search| {
                kept = search.to_bytes(&space);
                match search.curve.len() {
                    2 => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            },
        );
        assert!(stopped.is_err());
        let mut resumed = GradientSearch::from_bytes(&kept, &space, &config).unwrap();
        resumed
            .run(
                &space,
                &dataset,
                &Device::flex(),
                Some(&latency),
                &mut |_| ControlFlow::Continue(()),
            )
            .unwrap();
        assert_eq!(resumed.alphas, unbroken.alphas, "{method:?}");
        assert_eq!(resumed.weights, unbroken.weights, "{method:?}");
    }
}

#[test]
fn a_target_latency_is_met_from_either_side() {
    let space = space(SMALL);
    let mut all: Vec<f64> = space
        .enumerate()
        .map(|a| latency(&space.network(&a).unwrap()))
        .collect();
    all.sort_by(f64::total_cmp);
    for target in [all[all.len() / 4], all[3 * all.len() / 4]] {
        let search = run(
            &space,
            GradientConfig {
                latency: LatencyGoal::Target { ms: target },
                alpha_rate: 0.1,
                epochs: 12,
                ..config(Method::Gdas)
            },
        );
        let derived = search.derive(&space, Some(&latency), Some(target), 3);
        let met = derived[0].latency_ms.unwrap();
        assert!((met / target - 1.0).abs() <= 0.05, "{met} for {target}");
        // The distribution itself went there, not the choice from it alone.
        let expected = search.curve.last().unwrap().expected_ms.unwrap();
        assert!(
            (expected / target - 1.0).abs() < 0.25,
            "{expected} for {target}"
        );
        assert!(
            derived
                .iter()
                .skip(1)
                .all(|d| d.architecture != derived[0].architecture)
        );
    }
}

#[test]
fn a_price_on_latency_makes_networks_faster() {
    let space = space(SMALL);
    let of = |weight| {
        let search = run(
            &space,
            GradientConfig {
                latency: LatencyGoal::Weighted { weight },
                alpha_rate: 0.1,
                epochs: 6,
                ..config(Method::Proxyless)
            },
        );
        let mut expected = ExpectedLatency::new(&space, &latency);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        expected.expected_mean(&search.alphas, 500, &mut rng)
    };
    assert!(of(3.0) < 0.9 * of(0.0));
}

#[test]
fn a_collapse_to_skips_is_told() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/search-spaces/nasbench201.space"
    );
    let space = Space::load(std::path::Path::new(path)).unwrap();
    let of = |label: &str| {
        let cell = space.decide(|choice, _| {
            let labels = &space.choices()[choice].labels;
            labels.iter().position(|l| l == label).unwrap()
        });
        Collapse::of(&space, &cell.unwrap())
    };
    let skips = of("skip");
    assert_eq!((skips.weightless, skips.choices), (6, 6));
    let warning = skips.warning().unwrap();
    assert!(
        warning.contains("6 of 6") && warning.contains("`skip`"),
        "{warning}"
    );
    let convolutions = of("conv3x3");
    assert_eq!((convolutions.weightless, convolutions.choices), (0, 6));
    assert_eq!(convolutions.warning(), None);
    // What is taken out is not what a search collapses to.
    let mut labels = ["conv3x3", "none", "none", "conv1x1", "none", "none"].into_iter();
    let sparse = space.decide(|choice, _| {
        let label = labels.next().unwrap();
        let known = &space.choices()[choice].labels;
        known.iter().position(|l| l == label).unwrap()
    });
    let sparse = Collapse::of(&space, &sparse.unwrap());
    assert_eq!(sparse.weightless, 0, "{sparse:?}");
}

#[test]
fn what_cannot_be_searched_is_said() {
    let dataset = Dataset::embedded();
    for method in Method::ALL {
        let space = space(
            "space t input image 1x{28, 32} classes 10 network { conv3x3(4, stride 4) bn relu
                choose { a => conv3x3(4) | b => skip } pool avg global linear(classes) }",
        );
        let error = GradientSearch::new(&space, &dataset, config(method)).unwrap_err();
        let error = format!("{:?}", miette::Report::msg(format!("{error:?}")));
        assert!(error.contains("resolution"), "{error}");
    }
    let small = space(SMALL);
    let wrong = |change: fn(&mut GradientConfig)| {
        let mut wrong = config(Method::Gdas);
        change(&mut wrong);
        GradientSearch::new(&small, &dataset, wrong)
            .unwrap_err()
            .to_string()
    };
    assert!(wrong(|c| c.epochs = 0).contains("`epochs`"));
    assert!(wrong(|c| c.latency = LatencyGoal::Target { ms: -1.0 }).contains("target latency"));
    let mut diverging = GradientSearch::new(
        &small,
        &dataset,
        GradientConfig {
            learning_rate: 1e30,
            clip: 1e30,
            ..config(Method::Darts)
        },
    )
    .unwrap();
    let error = diverging
        .run(&small, &dataset, &Device::flex(), None, &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap_err();
    assert!(error.to_string().contains("diverged"), "{error}");
    let other = space("space t input image 1x28x28 classes 10 network { flatten linear(classes) }");
    let bytes = diverging.to_bytes(&small);
    let error = GradientSearch::from_bytes(&bytes, &other, &diverging.config).unwrap_err();
    assert!(error.to_string().contains("another space"));
}

#[test]
fn a_gpu_searches_too() {
    use crate::model::{Backend, backend};
    let gpu = match backend::device(Backend::Wgpu) {
        Ok(gpu) => gpu,
        Err(error) => {
            eprintln!("*** SKIPPED: differentiable search was not tested with wgpu: {error} ***");
            return;
        }
    };
    let (space, dataset) = (space(SMALL), Dataset::embedded());
    let config = GradientConfig {
        batch_size: 16,
        warm_up: 1,
        train_images: Some(64),
        ..GradientConfig::of(Method::Proxyless, 2)
    };
    let of = |device: &Device| {
        let mut search = GradientSearch::new(&space, &dataset, config.clone()).unwrap();
        search
            .run(&space, &dataset, device, None, &mut |_| {
                ControlFlow::Continue(())
            })
            .unwrap();
        search.curve
    };
    let (cpu, gpu) = (of(&Device::flex()), of(&gpu));
    for (a, b) in cpu.iter().zip(&gpu) {
        assert!((a.weight_loss - b.weight_loss).abs() < 0.02, "{a:?} {b:?}");
        assert_eq!(a.genotype, b.genotype);
    }
}

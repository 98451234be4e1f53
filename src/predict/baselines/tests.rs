use std::convert::Infallible;
use std::sync::OnceLock;

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::network::{Activation, Conv, NodeId, Op, PoolKind, Shape};
use crate::predict::metrics::{agreement, spearman};

/// A chain of inverted bottlenecks as six numbers: width, four blocks (0 is no
/// block; else kernel 3 or 5 times expansion 1 or 3), classifier width.
fn network(text: &str) -> Result<Network, Infallible> {
    let choices: Vec<usize> = text.split(' ').map(|w| w.parse().unwrap()).collect();
    let mut net = Network::new(Shape::image(3, 32, 32));
    let mut push = |op, inputs: &[NodeId]| net.push(op, inputs).unwrap();
    let width = [8, 16, 24][choices[0]];
    let mut x = push(Op::Conv(Conv::same(width, 3, 2)), &[NodeId(0)]);
    for block in &choices[1..5] {
        if *block == 0 {
            continue;
        }
        let (kernel, expansion) = ([3, 5][(block - 1) % 2], [1, 3][(block - 1) / 2]);
        let wide = width * expansion;
        let entry = x;
        x = push(Op::Conv(Conv::same(wide, 1, 1)), &[x]);
        x = push(Op::Activation(Activation::Relu), &[x]);
        x = push(Op::Conv(Conv::same(wide, kernel, 1).groups(wide)), &[x]);
        x = push(Op::Conv(Conv::same(width, 1, 1)), &[x]);
        x = push(Op::Add, &[x, entry]);
    }
    let wide = [32, 128][choices[5]];
    x = push(Op::Conv(Conv::same(wide, 1, 1)), &[x]);
    let kind = PoolKind::Avg;
    x = push(Op::GlobalPool { kind }, &[x]);
    x = push(Op::Flatten, &[x]);
    let bias = true;
    push(
        Op::Linear {
            out_features: 10,
            bias,
        },
        &[x],
    );
    Ok(net)
}

fn texts() -> Vec<String> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    // 3 * 5^4 * 2 architectures; 400 of them.
    index::sample(&mut rng, 3750, 400)
        .into_iter()
        .map(|mut code| {
            let radices = [3, 5, 5, 5, 5, 2];
            let words = radices.map(|radix| {
                let digit = code % radix;
                code /= radix;
                digit.to_string()
            });
            words.join(" ")
        })
        .collect()
}

/// Milliseconds of a device from its launch time, arithmetic and bandwidth.
fn latencies(launch: f64, macs_per_ms: f64, bytes_per_ms: f64) -> Vec<f64> {
    let time = |text: &String| {
        let Ok(net) = network(text);
        let each = kernels(&net).into_iter().map(|k| {
            let bytes = k.input_bytes + k.output_bytes + k.weight_bytes;
            launch + k.macs / macs_per_ms + bytes / bytes_per_ms
        });
        0.01 + each.sum::<f64>()
    };
    texts().iter().map(time).collect()
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let texts = texts();
        let features: Vec<Features> = texts
            .iter()
            .map(|t| network(t).map(|n| Features::of(&n)).unwrap())
            .collect();
        let known = vec![
            latencies(0.001, 1e7, 1e7),
            latencies(0.05, 1e8, 1e8),
            latencies(0.002, 1e8, 4e6),
            latencies(0.005, 5e6, 1e8),
        ];
        World::new(&texts, &features, known, network).unwrap()
    })
}

fn rows(n: usize, seed: u64) -> Vec<usize> {
    index::sample(&mut ChaCha8Rng::seed_from_u64(seed), 400, n).into_vec()
}

/// Mean Spearman correlation over three reference sets.
fn learns(kind: Kind, n: usize, device: &[f64]) -> f64 {
    let baseline = kind.prepare(world(), 0);
    let one = |seed| {
        let rows = rows(n, seed);
        let known: Vec<f64> = rows.iter().map(|i| device[*i]).collect();
        spearman(&baseline.predict(&rows, &known), device)
    };
    (one(0) + one(1) + one(2)) / 3.0
}

/// A device unlike the known ones: between arithmetic and launches.
fn unseen() -> Vec<f64> {
    latencies(0.01, 2e7, 3e7)
}

#[test]
fn arithmetic_predictors_rank_the_device_they_assume() {
    assert!(learns(Kind::Macs, 10, &latencies(0.0, 1e7, 1e12)) > 0.99);
    // Far from the roof's bend the two terms rank as their sum does.
    assert!(learns(Kind::Roofline, 10, &latencies(0.0, 1e12, 1e7)) > 0.99);
    assert!(learns(Kind::Roofline, 10, &latencies(0.0, 1e7, 1e12)) > 0.99);
    assert!(learns(Kind::Parameters, 10, &unseen()) > 0.4);
}

#[test]
fn regressors_learn_the_device_from_twenty_measurements() {
    for (kind, floor) in [
        (Kind::LookupTable, 0.95),
        (Kind::Ridge, 0.8),
        (Kind::GaussianProcess, 0.9),
        (Kind::Trees, 0.6),
        (Kind::Gnn, 0.85),
    ] {
        let rho = learns(kind, 20, &unseen());
        assert!(rho > floor, "{}: {rho:.3}", kind.name());
    }
}

#[test]
fn meta_trained_predictors_need_ten() {
    for (kind, floor) in [
        (Kind::NearestDevice, 0.85),
        (Kind::DeviceRidge, 0.95),
        (Kind::PretrainedGnn, 0.9),
        (Kind::Maml, 0.9),
        (Kind::Tokens, 0.9),
    ] {
        assert!(kind.is_meta_trained());
        let rho = learns(kind, 10, &unseen());
        assert!(rho > floor, "{}: {rho:.3}", kind.name());
    }
}

#[test]
fn three_measurements_or_none_give_positive_figures() {
    let device = unseen();
    for kind in Kind::ALL {
        let baseline = kind.prepare(world(), 0);
        for n in [0, 1, 3] {
            let rows = rows(n, 9);
            let known: Vec<f64> = rows.iter().map(|i| device[*i]).collect();
            let predicted = baseline.predict(&rows, &known);
            assert_eq!(predicted.len(), device.len(), "{}", kind.name());
            let sane = predicted.iter().all(|p| p.is_finite() && *p > 0.0);
            assert!(sane, "{} with {n}", kind.name());
            if n == 3 {
                let error = agreement(&predicted, &device).median_ape;
                assert!(error < 0.9, "{}: {error}", kind.name());
            }
        }
    }
}

#[test]
fn equal_seeds_give_equal_predictors() {
    let device = unseen();
    let rows = rows(5, 1);
    let known: Vec<f64> = rows.iter().map(|i| device[*i]).collect();
    for kind in [Kind::Maml, Kind::Tokens, Kind::PretrainedGnn, Kind::Trees] {
        let once = kind.prepare(world(), 4).predict(&rows, &known);
        let again = kind.prepare(world(), 4).predict(&rows, &known);
        assert_eq!(once, again, "{}", kind.name());
    }
}

#[test]
fn names_read_back() {
    for kind in Kind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
    }
    let error = "flops".parse::<Kind>().unwrap_err();
    assert!(error.contains("roofline"), "{error}");
}

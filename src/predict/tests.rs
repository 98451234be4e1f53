use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::features::kernels;
use super::*;
use crate::network::{Activation, Conv, Network, NodeId, Op, PoolKind, Shape};

/// A device that is not in any basis: each kernel takes the longer of its
/// arithmetic and its traffic, and a launch.
#[derive(Clone, Copy)]
pub(super) struct Roofline {
    overhead_ms: f64,
    launch_ms: f64,
    mega_macs_per_ms: f64,
    /// Depthwise arithmetic is this much slower.
    depthwise_penalty: f64,
    mega_bytes_per_ms: f64,
}

pub(super) const CPU: Roofline = Roofline {
    overhead_ms: 0.02,
    launch_ms: 0.004,
    mega_macs_per_ms: 8.0,
    depthwise_penalty: 4.0,
    mega_bytes_per_ms: 6.0,
};

const LAUNCH_BOUND: Roofline = Roofline {
    overhead_ms: 0.05,
    launch_ms: 0.08,
    mega_macs_per_ms: 2000.0,
    depthwise_penalty: 2.0,
    mega_bytes_per_ms: 300.0,
};

const BANDWIDTH_BOUND: Roofline = Roofline {
    overhead_ms: 0.005,
    launch_ms: 0.0005,
    mega_macs_per_ms: 500.0,
    depthwise_penalty: 1.0,
    mega_bytes_per_ms: 2.0,
};

impl Roofline {
    fn latency_ms(&self, net: &Network) -> f64 {
        let kernels = kernels(net).into_iter().map(|k| {
            let depthwise = k.kind == features::KernelKind::Depthwise;
            let penalty = if depthwise {
                self.depthwise_penalty
            } else {
                1.0
            };
            let arithmetic = k.macs * 1e-6 * penalty / self.mega_macs_per_ms;
            let bytes = k.input_bytes + k.output_bytes + k.weight_bytes;
            self.launch_ms + arithmetic.max(bytes * 1e-6 / self.mega_bytes_per_ms)
        });
        self.overhead_ms + kernels.sum::<f64>()
    }

    /// Latencies with a log-normal error of about `noise`.
    pub(super) fn measure(&self, nets: &[Network], noise: f64, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        nets.iter()
            .map(|n| {
                // Twelve uniform draws are nearly normal.
                let z: f64 = (0..12).map(|_| rng.random_range(-0.5..0.5)).sum();
                self.latency_ms(n) * (noise * z).exp()
            })
            .collect()
    }
}

/// A small network on 1x28x28 of the kind a user's space holds: about 0.1 to 5
/// million multiply-accumulates, far below every table of the basis.
fn small_network(rng: &mut ChaCha8Rng) -> Network {
    let mut net = Network::new(Shape::image(1, 28, 28));
    let width = [8, 12, 16, 24][rng.random_range(0..4)];
    let kernel = [3, 5][rng.random_range(0..2)];
    let mut x = conv(&mut net, NodeId(0), Conv::same(width, kernel, 2), true);
    for stage in 0..2 {
        let out = width * (stage + 1) + [0, 8][rng.random_range(0..2)];
        for block in 0..rng.random_range(1..4) {
            let stride = if block == 0 { 2 } else { 1 };
            x = if rng.random_range(0..3) == 0 {
                conv(&mut net, x, Conv::same(out, 3, stride), true)
            } else {
                let expand = [2, 3, 6][rng.random_range(0..3)];
                let kernel = [3, 5][rng.random_range(0..2)];
                mbconv(&mut net, x, out, expand, kernel, stride)
            };
        }
    }
    finish(&mut net, x);
    net
}

fn conv(net: &mut Network, x: NodeId, conv: Conv, activation: bool) -> NodeId {
    let x = net.push(Op::Conv(conv), &[x]).unwrap();
    let x = net.push(Op::BatchNorm, &[x]).unwrap();
    if activation {
        net.push(Op::Activation(Activation::Relu6), &[x]).unwrap()
    } else {
        x
    }
}

fn mbconv(
    net: &mut Network,
    input: NodeId,
    out: usize,
    expand: usize,
    kernel: usize,
    stride: usize,
) -> NodeId {
    let channels = net.shape(input).channels();
    let mid = channels * expand;
    let x = conv(net, input, Conv::same(mid, 1, 1), true);
    let x = conv(net, x, Conv::same(mid, kernel, stride).groups(mid), true);
    let x = conv(net, x, Conv::same(out, 1, 1), false);
    if stride == 1 && channels == out {
        net.push(Op::Add, &[x, input]).unwrap()
    } else {
        x
    }
}

fn finish(net: &mut Network, x: NodeId) {
    let kind = PoolKind::Avg;
    let x = net.push(Op::GlobalPool { kind }, &[x]).unwrap();
    let x = net.push(Op::Flatten, &[x]).unwrap();
    let linear = Op::Linear {
        out_features: 10,
        bias: true,
    };
    net.push(linear, &[x]).unwrap();
}

pub(super) fn small_networks(n: usize, seed: u64) -> Vec<Network> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| small_network(&mut rng)).collect()
}

pub(super) fn pairs(nets: &[Network], latency_ms: &[f64]) -> Vec<(Network, f64)> {
    nets.iter()
        .cloned()
        .zip(latency_ms.iter().copied())
        .collect()
}

/// Calibrates on ten networks and scores a hundred others, noise-free.
fn small_space_agreement(device: Roofline, noise: f64, seed: u64) -> (Agreement, f64) {
    let candidates = small_networks(120, seed);
    let chosen = Predictor::shipped().choose_references(&candidates, 10, seed);
    let references: Vec<Network> = chosen.iter().map(|i| candidates[*i].clone()).collect();
    let measured = device.measure(&references, noise, seed);
    let calibrated = Predictor::shipped()
        .calibrate(&pairs(&references, &measured), &Options::default())
        .unwrap();
    let others = small_networks(100, seed + 1000);
    let truth = device.measure(&others, noise, seed + 2000);
    let predictions = calibrated.predict_batch(&others);
    let covered = predictions
        .iter()
        .zip(&truth)
        .filter(|(p, t)| (p.low_ms..=p.high_ms).contains(*t))
        .count();
    let predicted: Vec<f64> = predictions.iter().map(|p| p.latency_ms).collect();
    (agreement(&predicted, &truth), covered as f64 / 100.0)
}

#[test]
fn ten_measurements_serve_a_small_space_no_table_covers() {
    for (name, device) in [
        ("cpu", CPU),
        ("launch-bound", LAUNCH_BOUND),
        ("bandwidth-bound", BANDWIDTH_BOUND),
    ] {
        for seed in 0..3 {
            let (a, coverage) = small_space_agreement(device, 0.03, seed);
            assert!(a.spearman > 0.97, "{name} {seed}: {a:?}");
            assert!(a.mape < 0.08, "{name} {seed}: {a:?}");
            assert!(coverage > 0.7, "{name} {seed}: covered {coverage}");
        }
    }
}

#[test]
fn extrapolation_grows_with_the_network_and_never_saturates() {
    let references = small_networks(10, 5);
    for device in [CPU, LAUNCH_BOUND, BANDWIDTH_BOUND] {
        let measured = device.measure(&references, 0.02, 5);
        let calibrated = Predictor::shipped()
            .calibrate(&pairs(&references, &measured), &Options::default())
            .unwrap();
        // Widths up to 40 times those measured: thousands of times the MACs.
        let tower = |width: usize, depth: usize| {
            let mut net = Network::new(Shape::image(1, 28, 28));
            let mut x = conv(&mut net, NodeId(0), Conv::same(width, 3, 2), true);
            for _ in 0..depth {
                x = mbconv(&mut net, x, width, 3, 3, 1);
            }
            finish(&mut net, x);
            net
        };
        let wider: Vec<f64> = [8, 16, 32, 64, 128, 256, 512]
            .map(|w| calibrated.predict(&tower(w, 3)).latency_ms)
            .to_vec();
        let deeper: Vec<f64> = [1, 2, 4, 8, 16, 32]
            .map(|d| calibrated.predict(&tower(16, d)).latency_ms)
            .to_vec();
        for growth in [&wider, &deeper] {
            assert!(growth.windows(2).all(|w| w[1] > w[0]), "{growth:?}");
        }
        // Twice the depth doubles what is not overhead.
        let last = deeper[5] / deeper[4];
        assert!((1.5..2.5).contains(&last), "{deeper:?}");
        let truth = device.latency_ms(&tower(512, 3));
        let factor = wider[6] / truth;
        assert!(
            (0.2..5.0).contains(&factor),
            "{wider:?} where {truth} is true"
        );
    }
}

#[test]
fn uncertainty_shrinks_with_measurements_and_grows_with_distance() {
    let nets = small_networks(60, 9);
    let latency = CPU.measure(&nets, 0.02, 9);
    let all = pairs(&nets, &latency);
    let sd = |n: usize| {
        let calibrated = Predictor::shipped()
            .calibrate(&all[..n], &Options::default())
            .unwrap();
        let sum: f64 = nets[40..]
            .iter()
            .map(|x| calibrated.predict(x).sd_log)
            .sum();
        (sum / 20.0, calibrated)
    };
    let (three, _) = sd(3);
    let (thirty, calibrated) = sd(30);
    assert!(thirty < three, "{thirty} against {three}");
    let far = tables::TableSpace::FbNet
        .network(&["7"; 22].join(" "))
        .unwrap();
    let distant = calibrated.predict(&far);
    assert!(
        distant.sd_log > 2.0 * thirty,
        "{distant:?} against {thirty}"
    );
}

#[test]
fn bad_measurements_are_refused_with_their_place() {
    let nets = small_networks(4, 1);
    let message = |latencies: &[f64]| {
        Predictor::shipped()
            .calibrate(&pairs(&nets, latencies), &Options::default())
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(message(&[]), @"0 measurements are too few: measure at least one network, better ten");
    insta::assert_snapshot!(message(&[1.0, f64::NAN, 2.0]), @"measurement 1 (counted from 0) has latency NaN ms; latencies must be positive and finite, from 1e-6 to 1e9: measure it again, leave it out or check the unit");
    insta::assert_snapshot!(message(&[1.0, 2.0, 0.0]), @"measurement 2 (counted from 0) has latency 0 ms; latencies must be positive and finite, from 1e-6 to 1e9: measure it again, leave it out or check the unit");
    insta::assert_snapshot!(message(&[-1.0, 2.0, 3.0]), @"measurement 0 (counted from 0) has latency -1 ms; latencies must be positive and finite, from 1e-6 to 1e9: measure it again, leave it out or check the unit");
}

#[test]
fn an_outlier_is_named_and_hardly_matters() {
    let nets = small_networks(40, 3);
    let mut latency = CPU.measure(&nets, 0.02, 3);
    latency[4] *= 20.0;
    let calibrated = Predictor::shipped()
        .calibrate(&pairs(&nets[..10], &latency[..10]), &Options::default())
        .unwrap();
    let named = |w: &Warning| matches!(w, Warning::Outlier { index: 4, .. });
    assert!(
        calibrated.warnings().iter().any(named),
        "{:?}",
        calibrated.warnings()
    );
    let predicted: Vec<f64> = nets[10..]
        .iter()
        .map(|n| calibrated.latency_ms(n))
        .collect();
    let a = agreement(&predicted, &latency[10..]);
    assert!(a.spearman > 0.9 && a.mape < 0.15, "{a:?}");
}

#[test]
fn a_spike_matters_less_where_it_is_recognised() {
    let nets = small_networks(60, 31);
    let clean = CPU.measure(&nets, 0.02, 31);
    let mut spiked = clean.clone();
    spiked[3] *= 1.5;
    spiked[7] *= 1.3;
    let errors = |reject_outliers| {
        let calibrated = Predictor::shipped()
            .calibrate(
                &pairs(&nets[..10], &spiked[..10]),
                &Options { reject_outliers },
            )
            .unwrap();
        let predicted: Vec<f64> = nets[10..]
            .iter()
            .map(|n| calibrated.latency_ms(n))
            .collect();
        agreement(&predicted, &clean[10..]).mape
    };
    let (robust, trusting) = (errors(true), errors(false));
    assert!(robust < trusting, "{robust} against {trusting}");
}

#[test]
fn one_measurement_tells_the_speed_with_a_wide_interval() {
    let nets = small_networks(40, 12);
    let latency = CPU.measure(&nets, 0.02, 12);
    let with = |n: usize| {
        let calibrated = Predictor::shipped()
            .calibrate(&pairs(&nets[..n], &latency[..n]), &Options::default())
            .unwrap();
        let predictions = calibrated.predict_batch(&nets[20..]);
        let covered = predictions
            .iter()
            .zip(&latency[20..])
            .filter(|(p, t)| (p.low_ms..=p.high_ms).contains(*t))
            .count();
        let width = predictions.iter().map(|p| p.sd_log).sum::<f64>() / 20.0;
        (covered, width, calibrated)
    };
    let (covered, one, calibrated) = with(1);
    assert!(covered >= 16, "{covered} of 20");
    assert_eq!(calibrated.warnings(), [Warning::Few { measurements: 1 }]);
    let (covered, two, _) = with(2);
    assert!(covered >= 16, "{covered} of 20");
    let (_, ten, _) = with(10);
    assert!(one > 1.5 * ten && two > 1.2 * ten, "{one}, {two}, {ten}");
}

#[test]
fn duplicates_and_constant_latencies_are_warned_of() {
    let mut nets = small_networks(8, 4);
    nets[3] = nets[0].clone();
    let varied = CPU.measure(&nets, 0.02, 4);
    let calibrate = |latency: &[f64]| {
        Predictor::shipped()
            .calibrate(&pairs(&nets, latency), &Options::default())
            .unwrap()
    };
    let usual = calibrate(&varied);
    assert_eq!(
        usual.warnings(),
        [Warning::Duplicates {
            indices: vec![0, 3]
        }]
    );
    let constant = calibrate(&[1.5; 8]);
    assert!(
        constant
            .warnings()
            .contains(&Warning::ConstantLatency { latency_ms: 1.5 })
    );
    let other = &small_networks(1, 77)[0];
    let p = constant.predict(other);
    assert!(
        p.latency_ms.is_finite() && p.low_ms < 1.5 && p.high_ms > 1.5,
        "{p:?}"
    );
}

#[test]
fn a_calibration_survives_json() {
    let nets = small_networks(6, 6);
    let latency = CPU.measure(&nets, 0.02, 6);
    let calibrated = Predictor::shipped()
        .calibrate(&pairs(&nets, &latency), &Options::default())
        .unwrap();
    let text = serde_json::to_string(&calibrated).unwrap();
    let back: Calibrated = serde_json::from_str(&text).unwrap();
    let (p, q) = (calibrated.predict(&nets[0]), back.predict(&nets[0]));
    assert!((p.latency_ms / q.latency_ms - 1.0).abs() < 1e-9);
    assert!((calibrated.latency_ms(&nets[0]) / p.latency_ms - 1.0).abs() < 1e-9);
    assert_eq!(calibrated.leave_one_out().len(), 6);
}

#[test]
fn chosen_references_are_repeatable_distinct_and_nested() {
    let nets = small_networks(80, 8);
    let ten = Predictor::shipped().choose_references(&nets, 10, 0);
    assert_eq!(ten, Predictor::shipped().choose_references(&nets, 10, 0));
    assert_eq!(
        ten[..4],
        Predictor::shipped().choose_references(&nets, 4, 0)[..]
    );
    let mut distinct = ten.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 10);
    assert_eq!(
        Predictor::shipped()
            .choose_references(&nets[..3], 10, 0)
            .len(),
        3
    );
}

#[test]
fn checkpoints_are_whole_or_refused() {
    let bytes = Predictor::shipped().save();
    assert_eq!(&Predictor::load(&bytes).unwrap(), Predictor::shipped());
    let message = |bytes: &[u8]| Predictor::load(bytes).unwrap_err().to_string();
    insta::assert_snapshot!(message(b"PK"), @"this is not a bespoke latency predictor (it does not start with its magic word)");
    let mut newer = bytes.clone();
    newer[8] = 99;
    insta::assert_snapshot!(message(&newer), @"the predictor is of version 99, this program reads version 4: train it again with `bespoke predictor train`, or use the shipped one");
    let damaged = "the predictor's file is damaged or truncated (its checksum does not match): fetch or train it again";
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert_eq!(message(&flipped), damaged);
    for length in [9, 43, 44, bytes.len() / 2, bytes.len() - 1] {
        assert_eq!(message(&bytes[..length]), damaged);
    }
}

/// The test devices' mean Spearman correlation with one chosen reference set.
fn chosen_spearman(space: tables::TableSpace) -> f64 {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("predictors/data");
    let measured = train::Measured::read(&dir, space).unwrap();
    let devices = protocol::split(space).test;
    let references = eval::References::Chosen { sets: 1 };
    let scores = eval::evaluate(Predictor::shipped(), &measured, devices, references, 10);
    eval::summarise(&scores).spearman
}

#[test]
fn the_shipped_predictor_beats_help_on_its_own_protocol() {
    // HELP publishes 0.932 and 0.910 (Lee et al. 2021).
    let nasbench201 = chosen_spearman(tables::TableSpace::NasBench201);
    assert!(nasbench201 > 0.955, "{nasbench201}");
    let fbnet = chosen_spearman(tables::TableSpace::FbNet);
    assert!(fbnet > 0.96, "{fbnet}");
}

#[test]
fn training_is_deterministic_and_gives_the_shipped_weights() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("predictors/data");
    let measured = [train::Measured::read(&dir, tables::TableSpace::Ofa).unwrap()];
    let options = train::TrainOptions {
        draws: 1,
        ..Default::default()
    };
    let once = train::train(&measured, &options);
    assert_eq!(once, train::train(&measured, &options));
    // Other processors may round differently in the last digits.
    let shipped = Predictor::shipped()
        .bases()
        .iter()
        .find(|b| b.name == "ofa")
        .unwrap();
    for (a, b) in once.bases()[0].weights.iter().zip(&shipped.weights) {
        let scale = a.iter().copied().fold(0.0, f64::max);
        for (x, y) in a.iter().zip(b) {
            assert!((x - y).abs() <= 1e-3 * scale, "{x} against {y}");
        }
    }
}

#[test]
fn a_product_with_zero_is_folded_into_the_convolution_before_it() {
    use super::features::{Execution, cost_names};
    // What pixel3 shows: only the edge into the first node computes, and its
    // result is multiplied by zero. A convolution is executed still, a pool
    // is not.
    let count = |edge: &str, cost: &str, execution| {
        let text = format!("|{edge}~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|");
        let network = tables::TableSpace::NasBench201.network(&text).unwrap();
        let index = cost_names().iter().position(|n| n == cost).unwrap();
        Features::of(&network).on(execution)[index]
    };
    let (written, optimised) = (Execution::Written, Execution::Optimised);
    let conv = |execution| count("nor_conv_3x3", "dense.count", execution);
    assert_eq!(conv(written), conv(optimised));
    let pool = |execution| count("avg_pool_3x3", "pool.count", execution);
    // Fifteen cells; the reduction blocks' own pools stay.
    assert_eq!(pool(written) - pool(optimised), 15.0);
}

#[test]
fn whole_milliseconds_are_recognised_and_count_as_noise() {
    let variance = |latencies: [f64; 3]| {
        let logs = latencies.map(f64::ln);
        resolution::Resolution::of(&logs).variances(&logs)[0]
    };
    let step_ms: f64 = 1.0;
    assert!((variance([12.0, 15.0, 21.0]) - (step_ms / 12.0).powi(2) / 12.0).abs() < 1e-9);
    assert!(variance([12.0, 15.3, 21.07]) < 1e-6);
}

mod definitions;
mod refused;

use burn::tensor::{Tensor, TensorData};

use super::*;
use crate::data::Dataset;
use crate::model::Model;
use crate::network::{Activation, Attention, Conv, NodeId, Op, PoolKind, Role, Shape, Weights};

fn proxy(name: &str) -> Proxy {
    Proxy::by_name(name).unwrap()
}

fn scored(name: &str, network: &Network, batch: &Batch, seed: u64) -> Result<f64, ProxyError> {
    score(proxy(name), network, batch, seed, &Device::flex())
}

/// A network from operators on the last node.
fn chain(input: Shape, ops: &[Op]) -> Network {
    let mut network = Network::new(input);
    for op in ops {
        let last = network.output();
        network.push(*op, &[last]).unwrap();
    }
    network
}

const fn linear(out_features: usize) -> Op {
    Op::Linear {
        out_features,
        bias: false,
    }
}

const RELU: Op = Op::Activation(Activation::Relu);
const AVERAGE: Op = Op::GlobalPool {
    kind: PoolKind::Avg,
};

fn conv(channels: usize, kernel: usize, stride: usize) -> Op {
    Op::Conv(Conv::same(channels, kernel, stride))
}

fn batch(shape: Shape, samples: &[f32], labels: &[u8]) -> Batch {
    Batch {
        shape,
        samples: samples.to_vec(),
        labels: labels.to_vec(),
    }
}

fn vector(features: usize) -> Shape {
    Shape::Vector { features }
}

/// The filter of a node, row by row, as synflow or others see it.
fn filter(network: &Network, node: usize, seed: u64) -> Vec<f64> {
    let weights = Weights::random(network, seed);
    let data = &weights.tensors[&format!("n{node}.weight")].data;
    data.iter().map(|w| *w as f64).collect()
}

#[track_caller]
fn close(found: f64, expected: f64, tolerance: f64) {
    let off = (found - expected).abs() / (1.0 + expected.abs());
    assert!(off <= tolerance, "{found} is not {expected}");
}

/// Branches that are added, concatenated and pooled, with normalisation.
fn branches(activation: Activation) -> Network {
    let mut n = Network::new(Shape::image(2, 6, 6));
    let a = n.push(conv(4, 3, 2), &[NodeId(0)]).unwrap();
    let a = n.push(Op::BatchNorm, &[a]).unwrap();
    let a = n.push(Op::Activation(activation), &[a]).unwrap();
    let b = n.push(conv(4, 3, 1), &[a]).unwrap();
    let b = n.push(Op::BatchNorm, &[b]).unwrap();
    let c = n.push(conv(4, 1, 1), &[a]).unwrap();
    let sum = n.push(Op::Add, &[a, b, c]).unwrap();
    let pool = Op::Pool {
        kind: PoolKind::Avg,
        kernel: 3,
        stride: 1,
        padding: 1,
    };
    let d = n.push(pool, &[a]).unwrap();
    let e = n.push(Op::Concat, &[sum, d]).unwrap();
    let e = n.push(Op::Activation(activation), &[e]).unwrap();
    let e = n.push(AVERAGE, &[e]).unwrap();
    let e = n.push(Op::Flatten, &[e]).unwrap();
    n.push(linear(3), &[e]).unwrap();
    n
}

fn example(network: &Network, size: usize) -> Batch {
    Source::Noise.batch(network, size, 5).unwrap()
}

#[test]
fn equal_seeds_give_equal_scores_whatever_the_threads() {
    let network = branches(Activation::HardSwish);
    let batch = example(&network, 8);
    for proxy in ALL {
        let of = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let run = || score(*proxy, &network, &batch, seed, &Device::flex());
            pool.build().unwrap().install(run).unwrap().to_bits()
        };
        assert_eq!(of(1, 3), of(3, 3), "{}", proxy.name);
        assert_ne!(of(1, 3), of(1, 4), "{}", proxy.name);
    }
}

#[test]
fn many_are_scored_in_order_and_by_their_own_resolution() {
    let data = Dataset::embedded();
    let at = |size: usize| {
        chain(
            Shape::image(1, size, size),
            &[
                conv(4, 3, 2),
                Op::BatchNorm,
                RELU,
                AVERAGE,
                Op::Flatten,
                linear(10),
            ],
        )
    };
    let coloured = chain(Shape::image(3, 8, 8), &[AVERAGE, Op::Flatten, linear(10)]);
    let networks = [at(8), at(12), coloured];
    let proxies = [proxy("naswot"), proxy("snip")];
    let run = |threads| {
        let many = Many {
            proxies: &proxies,
            source: Source::Data(&data),
            batch: 4,
            seed: 2,
            threads,
        };
        score_many(&networks, many, &Device::flex(), &|| {})
    };
    let (one, two) = (run(1), run(2));
    for (a, b) in one.iter().flatten().zip(two.iter().flatten()) {
        assert_eq!(a.rank_value(), b.rank_value());
        assert!(a.seconds > 0.0);
    }
    assert!(one[0][0].score.is_ok() && one[1][1].score.is_ok());
    assert_ne!(one[0][0].rank_value(), one[1][0].rank_value());
    let error = one[2][0].score.as_ref().unwrap_err().to_string();
    assert!(error.contains("the samples are 1x28x28"), "{error}");
    assert_eq!(one[2][1].rank_value(), f64::NEG_INFINITY);
}

#[test]
fn batches_are_drawn_by_seed() {
    let data = Dataset::embedded();
    let network = chain(Shape::image(1, 28, 28), &[AVERAGE, Op::Flatten, linear(10)]);
    let of = |seed| Source::Data(&data).batch(&network, 16, seed).unwrap();
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    assert_eq!((of(1).len(), of(1).samples.len()), (16, 16 * 784));
    let noise = Source::Noise.batch(&network, 16, 1).unwrap();
    assert_eq!((noise.len(), noise.samples.len()), (16, 16 * 784));
    assert!(noise.labels.iter().all(|label| *label < 10));
}

#[test]
fn proxies_have_names_of_their_own() {
    for (index, proxy) in ALL.iter().enumerate() {
        assert_eq!(Proxy::by_name(proxy.name).unwrap(), ALL[index]);
        assert!(proxy.paper.contains("arXiv"), "{}", proxy.name);
        assert!(!proxy.about.is_empty());
    }
}

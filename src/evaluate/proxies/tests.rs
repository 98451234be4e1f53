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
fn synflow_of_a_chain_is_its_flow_once_a_layer() {
    let network = chain(vector(3), &[linear(4), RELU, linear(2)]);
    let (first, second) = (filter(&network, 1, 9), filter(&network, 3, 9));
    // Each layer's weights times their gradients sum to the whole flow.
    let hidden: Vec<f64> = first
        .chunks(3)
        .map(|row| row.iter().map(|w| w.abs()).sum())
        .collect();
    let flow: f64 = second
        .chunks(4)
        .flat_map(|row| row.iter().zip(&hidden).map(|(w, h)| w.abs() * h))
        .sum();
    let found = scored("synflow", &network, &example(&network, 2), 9).unwrap();
    close(found, (1.0 + 2.0 * flow).ln(), 1e-5);
}

#[test]
fn synflow_is_the_derivative_by_a_common_factor_of_all_weights() {
    // The sum over weights of w dR/dw is d R(t w) / dt at t = 1 (Euler).
    let network = branches(Activation::Relu);
    let surrogate = super::linear::linear(&network).unwrap();
    let flow = |factor: f32| {
        let mut weights = Weights::random(&surrogate, 4);
        for array in weights.tensors.values_mut() {
            array.data.iter_mut().for_each(|w| *w = w.abs() * factor);
        }
        let device = Device::flex();
        let model = Model::new(&surrogate, &weights, &device).unwrap();
        let ones = Tensor::from_data(TensorData::new(vec![1.0f32; 72], [1, 2, 6, 6]), &device);
        model.forward(ones).sum().into_scalar::<f32>() as f64
    };
    let h = 1.0 / 64.0;
    let derivative = (flow(1.0 + h) - flow(1.0 - h)) / (2.0 * h as f64);
    let found = scored("synflow", &network, &example(&network, 2), 4).unwrap();
    close(found, (1.0 + derivative).ln(), 1e-3);
}

#[test]
fn synflow_of_a_deep_network_does_not_overflow() {
    const LAYERS: usize = 150;
    let network = chain(vector(16), &[linear(16); LAYERS]);
    let mut flow = vec![1.0; 16];
    let mut log = 0.0;
    for node in 1..=LAYERS {
        let weights = filter(&network, node, 2);
        flow = weights
            .chunks(16)
            .map(|row| row.iter().zip(&flow).map(|(w, x)| w.abs() * x).sum())
            .collect();
        let max = flow.iter().copied().fold(0.0, f64::max);
        flow.iter_mut().for_each(|x| *x /= max);
        log += max.ln();
    }
    let expected = log + flow.iter().sum::<f64>().ln() + (LAYERS as f64).ln();
    assert!(expected > 200.0, "{expected} would have fitted in 32 bits");
    let found = scored("synflow", &network, &example(&network, 2), 2).unwrap();
    close(found, expected, 1e-6);
}

#[test]
fn synflow_takes_a_gate_for_open() {
    let gated = |gate: Option<Activation>| {
        let mut n = Network::new(Shape::image(2, 4, 4));
        let a = n.push(conv(4, 3, 1), &[NodeId(0)]).unwrap();
        let x = match gate {
            Some(activation) => {
                let g = n.push(AVERAGE, &[a]).unwrap();
                let g = n.push(Op::Activation(activation), &[g]).unwrap();
                n.push(Op::Mul, &[a, g]).unwrap()
            }
            None => a,
        };
        let x = n.push(AVERAGE, &[x]).unwrap();
        let x = n.push(Op::Flatten, &[x]).unwrap();
        n.push(linear(2), &[x]).unwrap();
        n
    };
    let of = |n: &Network| scored("synflow", n, &example(n, 2), 1).unwrap();
    let open = of(&gated(None));
    close(of(&gated(Some(Activation::Sigmoid))), open, 1e-6);
    close(of(&gated(Some(Activation::HardSigmoid))), open, 1e-6);
    // A gate that grows counts as a factor: squares of the flow.
    assert!(of(&gated(Some(Activation::Relu))) > open + 0.5);
}

#[test]
fn gradient_scores_of_softmax_regression_are_the_textbook_ones() {
    let network = chain(vector(2), &[linear(3)]);
    let x = [[1.0, -2.0], [0.5, 0.25], [-1.0, 3.0], [2.0, 2.0]];
    let labels = [0u8, 2, 1, 1];
    let w = filter(&network, 1, 6);
    // (softmax(W x) - y) x', averaged over samples.
    let mut gradient = [0.0; 6];
    for (x, label) in x.iter().zip(labels) {
        let logits: Vec<f64> = w.chunks(2).map(|r| r[0] * x[0] + r[1] * x[1]).collect();
        let total: f64 = logits.iter().map(|l| l.exp()).sum();
        for (class, logit) in logits.iter().enumerate() {
            let off = logit.exp() / total - f64::from(class == label as usize);
            for (i, x) in x.iter().enumerate() {
                gradient[2 * class + i] += off * x / 4.0;
            }
        }
    }
    let samples: Vec<f32> = x.iter().flatten().map(|x| *x as f32).collect();
    let batch = batch(vector(2), &samples, &labels);
    let norm: f64 = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    close(
        scored("grad_norm", &network, &batch, 6).unwrap(),
        norm,
        1e-5,
    );
    let saliency = w.iter().zip(gradient).map(|(w, g)| (w * g).abs()).sum();
    close(scored("snip", &network, &batch, 6).unwrap(), saliency, 1e-5);
}

#[test]
fn gradient_scores_count_filters_alone() {
    // Batch norm has gradients too; they are not among the filters.
    let network = branches(Activation::Relu);
    let names: Vec<String> = gradient::filters(&network).map(|s| s.name()).collect();
    assert_eq!(names, ["n1.weight", "n4.weight", "n6.weight", "n13.weight"]);
}

#[test]
fn jacobians_of_a_linear_network_are_all_the_same() {
    let network = chain(vector(5), &[linear(4), linear(3)]);
    let k = 1e-5f64;
    let n = 4.0;
    let expected = -((n + k).ln() + 1.0 / (n + k)) - 3.0 * (k.ln() + 1.0 / k);
    let found = scored("jacob_cov", &network, &example(&network, 4), 3).unwrap();
    close(found, expected, 1e-6);
    // A ReLU lets samples take paths of their own.
    let network = chain(vector(5), &[linear(40), RELU, linear(3)]);
    let bent = scored("jacob_cov", &network, &example(&network, 4), 3).unwrap();
    assert!(bent > found / 100.0, "{bent}");
}

#[test]
fn naswot_codes_are_the_signs_of_what_activations_take() {
    // Codes 101 and 110 differ in two of three units: ln(3 * 3 - 1 * 1).
    let samples = [1.0, -1.0, 2.0, 3.0, 0.5, -0.1];
    for (_, activation) in Activation::ALL {
        let network = chain(vector(3), &[Op::Activation(activation), linear(2)]);
        let batch = batch(vector(3), &samples, &[0, 1]);
        close(
            scored("naswot", &network, &batch, 0).unwrap(),
            8f64.ln(),
            1e-12,
        );
    }
    // The same where the operator before applies the activation itself.
    let network = chain(vector(3), &[linear(8), RELU, linear(2)]);
    let batch = batch(vector(3), &samples, &[0, 1]);
    let w = filter(&network, 1, 7);
    let code = |x: &[f32]| -> Vec<bool> {
        let dot = |row: &[f64]| row.iter().zip(x).map(|(w, x)| w * *x as f64).sum::<f64>();
        w.chunks(3).map(|row| dot(row) > 0.0).collect()
    };
    let (a, b) = (code(&samples[..3]), code(&samples[3..]));
    let alike = a.iter().zip(&b).filter(|(a, b)| a == b).count() as f64;
    let found = scored("naswot", &network, &batch, 7).unwrap();
    close(found, (64.0 - alike * alike).ln(), 1e-12);
}

#[test]
fn zen_undoes_batch_normalisation() {
    let of = |body: &[Op], classes: usize| {
        let head = [AVERAGE, Op::Flatten, linear(classes)];
        let network = chain(Shape::image(2, 8, 8), &[body, &head].concat());
        scored("zen", &network, &example(&network, 2), 8).unwrap()
    };
    // With one channel a batch norm divides by one number, which comes back.
    let one = conv(1, 3, 1);
    let straight = of(&[one, one], 2);
    let normal = of(&[one, Op::BatchNorm, one, Op::BatchNorm], 2);
    close(normal, straight, 2e-2);
    // A ReLU halves what passes, and the head does not count.
    assert!(of(&[one, RELU, one], 2) < straight);
    close(of(&[one, one], 9), straight, 1e-9);
    // More channels, more to react with.
    assert!(of(&[conv(32, 3, 1), Op::BatchNorm, one], 2) > normal);
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
fn unusable_batches_are_refused() {
    let network = chain(vector(2), &[linear(3), RELU, linear(2)]);
    let of = |batch: &Batch| scored("snip", &network, batch, 0).unwrap_err();
    let good = batch(vector(2), &[0.0, 1.0, 2.0, 3.0], &[0, 1]);
    assert!(scored("snip", &network, &good, 0).is_ok());
    let one = batch(vector(2), &[0.0, 1.0], &[0]);
    assert!(of(&one).to_string().contains("1 of at least 2 samples"));
    let short = batch(vector(2), &[0.0, 1.0, 2.0], &[0, 1]);
    assert!(
        of(&short)
            .to_string()
            .contains("3 numbers are not 2 samples")
    );
    let label = batch(vector(2), &[0.0, 1.0, 2.0, 3.0], &[0, 2]);
    assert!(of(&label).to_string().contains("class 2"));
    let nan = batch(vector(2), &[0.0, f32::NAN, 2.0, 3.0], &[0, 1]);
    assert!(of(&nan).to_string().contains("not finite"));
    let other = batch(vector(4), &[0.0, 1.0, 2.0, 3.0], &[0]);
    assert!(matches!(of(&other), ProxyError::Data(_)));
    let error = Proxy::by_name("magic").unwrap_err().to_string();
    assert!(
        error.contains("`magic`") && error.contains("jacob_cov"),
        "{error}"
    );
}

#[test]
fn what_a_proxy_is_not_defined_for_is_said() {
    let network = chain(vector(2), &[linear(3), linear(2)]);
    let error = scored("naswot", &network, &example(&network, 4), 0).unwrap_err();
    assert!(matches!(error, ProxyError::Unsupported(_)), "{error}");

    let mut network = Network::new(Shape::Tokens {
        length: 4,
        channels: 8,
    });
    let attention = Op::Attention(Attention {
        heads: 2,
        kv_heads: 2,
        window: 0,
        causal: false,
    });
    let x = NodeId(0);
    let x = network.push(attention, &[x, x, x]).unwrap();
    let x = network.push(AVERAGE, &[x]).unwrap();
    network.push(linear(2), &[x]).unwrap();
    let error = scored("synflow", &network, &example(&network, 4), 0).unwrap_err();
    assert!(error.to_string().contains("linear limit"), "{error}");
    // The others only need gradients and features.
    for name in ["snip", "grad_norm", "jacob_cov", "zen"] {
        let found = scored(name, &network, &example(&network, 4), 0);
        assert!(found.is_ok(), "{name}: {found:?}");
    }

    let words = [Op::Embedding { vocab: 9, dim: 4 }, AVERAGE, linear(3)];
    let words = chain(Shape::Ids { length: 5 }, &words);
    for name in ["synflow", "jacob_cov", "zen"] {
        let error = scored(name, &words, &example(&words, 4), 0).unwrap_err();
        assert!(matches!(error, ProxyError::Unsupported(_)), "{error}");
    }
    assert!(scored("snip", &words, &example(&words, 4), 0).unwrap() > 0.0);
}

#[test]
fn a_network_cut_off_from_its_input_is_told_from_others() {
    let zero = Op::Zero { stride: 1 };
    let ops = [conv(4, 3, 1), zero, RELU, AVERAGE, Op::Flatten, linear(3)];
    let network = chain(Shape::image(2, 6, 6), &ops);
    let batch = example(&network, 4);
    for name in ["jacob_cov", "naswot", "zen"] {
        let error = scored(name, &network, &batch, 0).unwrap_err();
        assert!(
            matches!(error, ProxyError::Degenerate(_)),
            "{name}: {error}"
        );
    }
    for name in ["synflow", "snip", "grad_norm"] {
        assert_eq!(scored(name, &network, &batch, 0).unwrap(), 0.0, "{name}");
    }
    // Nothing to learn, nothing to differentiate.
    let fixed = chain(Shape::image(2, 6, 6), &[AVERAGE, Op::Flatten]);
    for name in ["synflow", "snip", "grad_norm"] {
        assert_eq!(scored(name, &fixed, &example(&fixed, 2), 0).unwrap(), 0.0);
    }
}

#[test]
fn overflow_is_an_error_and_not_a_score() {
    let network = chain(vector(2), &[linear(3), RELU, linear(2)]);
    let huge = batch(vector(2), &[3e38, -3e38, 3e38, 3e38], &[0, 1]);
    for name in ["snip", "grad_norm", "naswot"] {
        let error = scored(name, &network, &huge, 1).unwrap_err();
        assert!(matches!(error, ProxyError::NotFinite(_)), "{name}: {error}");
    }
    let roles = network.param_specs().iter().all(|s| s.role == Role::Weight);
    assert!(
        roles,
        "nothing but filters, which cannot keep numbers small"
    );
}

#[test]
fn proxies_have_names_of_their_own() {
    for (index, proxy) in ALL.iter().enumerate() {
        assert_eq!(Proxy::by_name(proxy.name).unwrap(), ALL[index]);
        assert!(proxy.paper.contains("arXiv"), "{}", proxy.name);
        assert!(!proxy.about.is_empty());
    }
}

use std::ops::ControlFlow;

use burn::tensor::Device;

use super::schedule::learning_rate;
use super::*;
use crate::data::Dataset;
use crate::network::{Activation, Conv, Network, NodeId, Op, PoolKind};

fn go(_: &EpochRecord) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn limited(images: usize) -> Dataset {
    let mut data = Dataset::embedded();
    data.train = data.train.limit(images);
    data.validation = data.validation.limit(200);
    data
}

fn cell_network(classes: usize) -> Network {
    cell_network_at(28, classes)
}

/// A cell whose node is read by several others, between a stem and a head.
fn cell_network_at(resolution: usize, classes: usize) -> Network {
    let mut net = Network::new(Shape::image(1, resolution, resolution));
    let block = |net: &mut Network, x: NodeId, conv: Conv| {
        let x = net.push(Op::Conv(conv), &[x]).unwrap();
        let x = net.push(Op::BatchNorm, &[x]).unwrap();
        net.push(Op::Activation(Activation::Relu), &[x]).unwrap()
    };
    let stem = block(&mut net, NodeId(0), Conv::same(16, 3, 2));
    let a = block(&mut net, stem, Conv::same(16, 3, 2));
    let b = block(&mut net, a, Conv::same(16, 3, 1).groups(16));
    let c = block(&mut net, a, Conv::same(16, 1, 1));
    let pool = Op::Pool {
        kind: PoolKind::Avg,
        kernel: 3,
        stride: 1,
        padding: 1,
    };
    let d = net.push(pool, &[a]).unwrap();
    let x = net.push(Op::Add, &[a, b, c, d]).unwrap();
    let kind = PoolKind::Avg;
    let x = net.push(Op::GlobalPool { kind }, &[x]).unwrap();
    let x = net.push(Op::Flatten, &[x]).unwrap();
    let head = Op::Linear {
        out_features: classes,
        bias: true,
    };
    net.push(head, &[x]).unwrap();
    net
}

fn quick() -> TrainConfig {
    TrainConfig {
        epochs: 2,
        batch_size: 32,
        augment: true,
        ..TrainConfig::default()
    }
}

#[test]
fn training_learns_and_reports_each_epoch() {
    let data = limited(1000);
    let net = cell_network(10);
    let init = Weights::random(&net, 0);
    let mut epochs = Vec::new();
    let config = TrainConfig {
        epochs: 3,
        augment: false,
        ..quick()
    };
    let outcome = train(
        &net,
        &init,
        &data,
        &config,
        &Device::flex(),
        &mut |record| {
            epochs.push(record.epoch);
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    assert_eq!(epochs, [1, 2, 3]);
    let losses: Vec<f64> = outcome.curve.iter().map(|r| r.train_loss).collect();
    assert!(losses[2] < losses[0] && losses[2] < 1.2, "{losses:?}");
    // A tenth is chance; so few steps reach well above half.
    assert!(outcome.validation_accuracy > 0.55, "{:?}", outcome.curve);
    let again = accuracy(
        &net,
        &outcome.weights,
        &data,
        &data.validation,
        &Device::flex(),
    );
    assert_eq!(again.unwrap(), outcome.validation_accuracy);
}

#[test]
fn images_are_resized_to_what_the_network_takes() {
    let data = limited(1000);
    for resolution in [20, 36] {
        let net = cell_network_at(resolution, 10);
        let init = Weights::random(&net, 0);
        let outcome = train(&net, &init, &data, &quick(), &Device::flex(), &mut go).unwrap();
        assert!(
            outcome.validation_accuracy > 0.3,
            "{resolution}: {:?}",
            outcome.curve
        );
        let tested = accuracy(
            &net,
            &outcome.weights,
            &data,
            &data.validation,
            &Device::flex(),
        );
        assert_eq!(tested.unwrap(), outcome.validation_accuracy);
    }
}

#[test]
fn equal_seeds_give_equal_results_on_any_number_of_threads() {
    let data = limited(320);
    let net = cell_network(10);
    let init = Weights::random(&net, 0);
    let run = |threads: usize, seed: u64| {
        let config = TrainConfig { seed, ..quick() };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| train(&net, &init, &data, &config, &Device::flex(), &mut go))
            .unwrap()
            .weights
    };
    let one = run(1, 4);
    assert_eq!(one, run(1, 4));
    assert_eq!(one, run(2, 4));
    assert_eq!(one, run(3, 4));
    assert_ne!(one, run(1, 5));
}

#[test]
fn side_by_side_equals_one_after_another() {
    let data = limited(200);
    let jobs: Vec<TrainJob> = (0..5)
        .map(|seed| {
            let network = cell_network(10);
            TrainJob {
                init: Weights::random(&network, seed),
                network,
                config: TrainConfig {
                    epochs: 1,
                    seed,
                    ..quick()
                },
            }
        })
        .collect();
    let weights = |threads: usize| -> Vec<Weights> {
        train_many(&jobs, &data, &Device::flex(), threads, &|_, _| {
            ControlFlow::Continue(())
        })
        .into_iter()
        .map(|outcome| outcome.unwrap().weights)
        .collect()
    };
    assert_eq!(weights(1), weights(3));
}

#[test]
fn a_break_cancels() {
    let data = limited(100);
    let net = cell_network(10);
    let init = Weights::random(&net, 0);
    let mut stop = |_: &EpochRecord| ControlFlow::Break(());
    let result = train(&net, &init, &data, &quick(), &Device::flex(), &mut stop);
    assert!(matches!(result, Err(TrainError::Cancelled)));
    let job = TrainJob {
        network: net,
        init,
        config: quick(),
    };
    let jobs = vec![job; 3];
    let results = train_many(&jobs, &data, &Device::flex(), 1, &|_, _| {
        ControlFlow::Break(())
    });
    assert!(
        results
            .iter()
            .all(|r| matches!(r, Err(TrainError::Cancelled)))
    );
}

#[test]
fn an_absurd_learning_rate_is_a_divergence() {
    let data = limited(640);
    // Without normalisation nothing holds the activations back.
    let mut net = Network::new(Shape::image(1, 28, 28));
    let x = net
        .push(Op::Conv(Conv::same(8, 3, 2)), &[NodeId(0)])
        .unwrap();
    let x = net.push(Op::Activation(Activation::Relu), &[x]).unwrap();
    let x = net.push(Op::Conv(Conv::same(8, 3, 2)), &[x]).unwrap();
    let x = net.push(Op::Flatten, &[x]).unwrap();
    net.push(
        Op::Linear {
            out_features: 10,
            bias: false,
        },
        &[x],
    )
    .unwrap();
    let config = TrainConfig {
        learning_rate: 1e12,
        epochs: 5,
        ..quick()
    };
    let init = Weights::random(&net, 0);
    let error = train(&net, &init, &data, &config, &Device::flex(), &mut go).unwrap_err();
    assert!(
        matches!(error, TrainError::Diverged { epoch: 1, .. }),
        "{error}"
    );
}

#[test]
fn misfits_are_explained() {
    let data = limited(100);
    let attempt = |net: &Network, config: &TrainConfig| {
        let init = Weights::random(net, 0);
        train(net, &init, &data, config, &Device::flex(), &mut go)
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(attempt(&cell_network(7), &quick()), @"the network tells 7 classes apart, but the data have 10");
    let mut colour = Network::new(Shape::image(3, 32, 32));
    colour.push(Op::Flatten, &[NodeId(0)]).unwrap();
    insta::assert_snapshot!(attempt(&colour, &quick()), @"the network takes 3x32x32 images, but the data are 1x28x28");
    let mut words = Network::new(Shape::ids(16));
    let embedding = Op::Embedding { vocab: 50, dim: 10 };
    let x = words.push(embedding, &[NodeId(0)]).unwrap();
    words.push(Op::Select { index: 0 }, &[x]).unwrap();
    insta::assert_snapshot!(attempt(&words, &quick()), @"the network takes 16 token ids, but the data are 1x28x28 images, and only networks of images can be trained on them");
    let config = TrainConfig {
        batch_size: 1,
        ..quick()
    };
    insta::assert_snapshot!(attempt(&cell_network(10), &config), @"the training configuration cannot work: `batch_size` must be at least 2, as batch norm needs more than one image");
}

#[test]
fn the_learning_rate_warms_up_and_anneals() {
    let rates: Vec<f64> = (0..100).map(|step| learning_rate(step, 100, 0.5)).collect();
    assert_eq!(rates[9], 0.5);
    assert!(rates[..10].is_sorted());
    assert!(rates[10..].is_sorted_by(|a, b| a >= b));
    assert!(rates[99] < 1e-3 && rates.iter().all(|rate| *rate >= 0.0));
    // Even the shortest run trains.
    assert!(learning_rate(0, 1, 0.5) > 0.0);
}

#[test]
fn training_on_a_gpu_follows_the_cpu_where_there_is_one() {
    use crate::model::{Backend, backend};
    let gpu = match backend::device(Backend::Wgpu) {
        Ok(device) => device,
        Err(error) => {
            eprintln!("SKIPPED: training with wgpu was not tested: {error}");
            return;
        }
    };
    let mut data = limited(160);
    data.validation = data.validation.limit(20);
    let net = cell_network(10);
    let init = Weights::random(&net, 0);
    let config = TrainConfig {
        epochs: 1,
        ..quick()
    };
    let loss = |device: &Device| {
        let outcome = train(&net, &init, &data, &config, device, &mut go).unwrap();
        outcome.curve[0].train_loss
    };
    let (gpu, cpu) = (loss(&gpu), loss(&Device::flex()));
    assert!((gpu - cpu).abs() < 0.02 * cpu, "{gpu} is not {cpu}");
}

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use burn::tensor::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::data::Dataset;
use crate::evaluate::{TrainConfig, train};
use crate::space::mixed::{MixedNetwork, Picked};
use crate::space::{Architecture, ChoiceId, Space};

/// Kernels, widths, depth, operators: everything that weights are shared across.
pub(crate) const SMALL: &str = "space small input image 1x28x28 classes 10 network {
    conv3x3({4, 6}, stride 4) bn relu
    stage s { repeat 1..2 {
        choose { a => conv({1, 3}, 8) bn relu | b => depthwise({3, 5}) bn relu conv1x1(8) bn } } }
    pool avg global linear(classes) }";

pub(crate) fn space(text: &str) -> Space {
    Space::parse("t", text).unwrap_or_else(|e| panic!("{e:?}"))
}

fn device() -> Device {
    Device::flex()
}

fn config() -> SupernetConfig {
    SupernetConfig {
        epochs: 2,
        batch_size: 32,
        train_images: Some(256),
        ..SupernetConfig::default()
    }
}

fn mixed(space: &Space) -> MixedNetwork {
    space
        .mixed(&mut |_: ChoiceId, open: &[usize]| Picked::Mixed(open.to_vec()))
        .unwrap()
}

fn batch(mixed: &MixedNetwork, count: usize) -> Batch {
    let dataset = Dataset::embedded();
    let indices: Vec<usize> = (0..count).collect();
    let input = mixed.network.input_shape();
    Batches::new(&dataset, 0.0).of(&dataset.train, &indices, input, None)
}

/// The network of all options, eight images for it, and weights.
fn prepared(space: &Space) -> (MixedNetwork, Batch, SharedWeights) {
    let all = mixed(space);
    let batch = batch(&all, 8);
    let mut weights = SharedWeights::new(3);
    weights.reserve(&all);
    (all, batch, weights)
}

/// A weight for each option, none alike.
fn uneven(space: &Space) -> BTreeMap<ChoiceId, Vec<f64>> {
    let counts = space.choices().iter().map(|choice| choice.labels.len());
    let weights = counts.map(|count| (0..count).map(|o| 0.3 + 0.2 * o as f64).collect());
    weights.enumerate().collect()
}

#[test]
fn architectures_cut_their_weights_from_the_same_tensors() {
    let space = space("space t input image 1x8x8 network { conv({1, 3, 5}, {2, 4}) conv1x1(3) }");
    let placed = |text: &str| space.placed(&space.parse_genotype(text).unwrap());
    let of = |kernel: usize, out: usize| placed(&format!("kernel={kernel} out={out}"));
    let mut weights = SharedWeights::new(7);
    weights.reserve(&of(3, 2));
    let before = weights.slice(&of(3, 2));
    // What is there keeps its place when there comes to be more.
    weights.reserve(&of(5, 4));
    assert_eq!(weights.slice(&of(3, 2)), before);
    assert_eq!(weights.parameters(), 4 * 25 + 3 * 4);
    let large = weights.slice(&of(5, 4)).tensors["n1.weight"].clone();
    let small = weights.slice(&of(3, 2)).tensors["n1.weight"].clone();
    for out in 0..2 {
        for (y, x) in (0..3).flat_map(|y| (0..3).map(move |x| (y, x))) {
            assert_eq!(
                small.data[out * 9 + y * 3 + x],
                large.data[out * 25 + (y + 1) * 5 + x + 1]
            );
        }
    }
    // A gradient of the small one moves its part of the large one alone.
    let mut gradients = crate::network::Weights::default();
    gradients.tensors.insert(
        "n1.weight".into(),
        crate::network::Array {
            dims: vec![2, 1, 3, 3],
            data: vec![1.0; 18],
        },
    );
    weights.accumulate(&of(3, 2), &gradients, 2.0);
    weights.shift(0.5);
    let moved = weights.slice(&of(5, 4)).tensors["n1.weight"].clone();
    let changed = moved
        .data
        .iter()
        .zip(&large.data)
        .filter(|(a, b)| a != b)
        .count();
    assert_eq!(changed, 18);
    assert!((moved.data[6] - (large.data[6] - 1.0)).abs() < 1e-6);
}

#[test]
fn a_flattened_map_shares_by_channels_of_one_resolution() {
    let space = space(
        "space t input image 1x{4, 8} classes 3 network { conv3x3({2, 4}) flatten linear(classes) }",
    );
    let mut weights = SharedWeights::new(0);
    for architecture in space.enumerate() {
        weights.reserve(&space.placed(&architecture));
    }
    // Filters, a matrix for each resolution, and the bias.
    assert_eq!(weights.parameters(), 4 * 9 + 3 * (4 * 16 + 4 * 64) + 3);
}

/// An architecture's own network and the network of all options with all weight on
/// its options are the same function.
#[test]
fn one_option_with_all_the_weight_is_that_option() {
    let space = space(SMALL);
    let (all, batch, mut weights) = prepared(&space);
    let whole = weights.slice(&all);
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for _ in 0..6 {
        let architecture = space.sample(&mut rng);
        let placed = space.placed(&architecture);
        weights.reserve(&placed);
        let alone = pass(
            &placed,
            &weights.slice(&placed),
            &batch,
            &BTreeMap::new(),
            Wanted::Nothing,
            &device(),
        )
        .unwrap();
        let gates: BTreeMap<ChoiceId, Vec<f64>> = (0..space.choices().len())
            .map(|choice| {
                let mut gates = vec![0.0; space.choices()[choice].labels.len()];
                gates[architecture.option(choice).unwrap_or(0)] = 1.0;
                (choice, gates)
            })
            .collect();
        let weighed = pass(&all, &whole, &batch, &gates, Wanted::Nothing, &device()).unwrap();
        for (a, b) in alone.logits.iter().zip(&weighed.logits) {
            assert!((a - b).abs() < 2e-3 * (1.0 + a.abs()), "{a} {b}");
        }
    }
}

#[test]
fn gates_have_the_derivatives_of_differences() {
    let space = space(SMALL);
    let (all, batch, weights) = prepared(&space);
    let whole = weights.slice(&all);
    let gates = uneven(&space);
    let passed = pass(&all, &whole, &batch, &gates, Wanted::Gates, &device()).unwrap();
    assert!(passed.weights.tensors.is_empty());
    let loss = |gates: &BTreeMap<ChoiceId, Vec<f64>>| {
        let passed = pass(&all, &whole, &batch, gates, Wanted::Nothing, &device());
        passed.unwrap().loss
    };
    for choice in 0..space.choices().len() {
        for option in 0..gates[&choice].len() {
            let step = 1e-2;
            let mut sides = [gates.clone(), gates.clone()];
            sides[0].get_mut(&choice).unwrap()[option] += step;
            sides[1].get_mut(&choice).unwrap()[option] -= step;
            let difference = (loss(&sides[0]) - loss(&sides[1])) / (2.0 * step);
            let found = passed.gates[&choice][option];
            assert!(
                (difference - found).abs() < 0.02 * (1.0 + found.abs()),
                "choice {choice} option {option}: {found} instead of {difference}"
            );
        }
    }
}

/// The second path of ProxylessNAS changes neither the output nor any gradient but
/// its own gate's.
#[test]
fn a_passive_path_only_shows_its_output() {
    let space = space(
        "space t input image 1x28x28 classes 10 network { conv3x3(4, stride 4) bn
            choose { a => conv3x3(4) bn | b => conv(5, 4) bn relu } pool avg global linear(classes) }",
    );
    let paths = |passive| {
        space
            .mixed(&mut move |_: ChoiceId, _: &[usize]| Picked::Gated { active: 0, passive })
            .unwrap()
    };
    let (two, one) = (paths(Some(1)), paths(None));
    let batch = batch(&two, 16);
    let mut weights = SharedWeights::new(1);
    weights.reserve(&two);
    let gates = BTreeMap::from([(0, vec![1.0, 0.0])]);
    let run = |mixed: &MixedNetwork, wanted| {
        pass(
            mixed,
            &weights.slice(mixed),
            &batch,
            &gates,
            wanted,
            &device(),
        )
        .unwrap()
    };
    assert_eq!(
        run(&two, Wanted::Nothing).loss,
        run(&one, Wanted::Nothing).loss
    );
    let shown = run(&two, Wanted::Gates).gates[&0].clone();
    let alone = run(&one, Wanted::Gates).gates[&0].clone();
    assert!(
        (shown[0] - alone[0]).abs() < 1e-6 && shown[1] != 0.0,
        "{shown:?} {alone:?}"
    );
    let learned = run(&two, Wanted::Weights).weights;
    for spec in two.network.param_specs() {
        let node = two.network.node(spec.node);
        let is_other = two.passive[spec.node.0];
        let is_batch_norm = node.op == crate::network::Op::BatchNorm;
        if is_other && !is_batch_norm {
            let gradient = learned.tensors.get(&spec.name());
            assert!(gradient.is_none_or(|g| g.data.iter().all(|x| *x == 0.0)));
        }
    }
}

#[test]
fn samplings_draw_what_they_promise() {
    let space = space(SMALL);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let extremes = Extremes::of(&space, &mut rng);
    let macs = |a: &Architecture| space.network(a).unwrap().costs().macs;
    let all: Vec<u64> = space.enumerate().map(|a| macs(&a)).collect();
    assert_eq!(macs(&extremes.largest), *all.iter().max().unwrap());
    assert_eq!(macs(&extremes.smallest), *all.iter().min().unwrap());
    let mut step =
        |sampling: Sampling, progress| sampling.step(&space, &extremes, progress, &mut rng);
    assert_eq!(step(Sampling::Uniform, 0.0).len(), 1);
    let sandwich = step(Sampling::Sandwich, 0.0);
    assert_eq!(sandwich.len(), 4);
    assert!(sandwich[0] == extremes.largest && sandwich[1] == extremes.smallest);
    for _ in 0..20 {
        let fair = step(Sampling::Fair, 0.0);
        let width = space.choice_by_path("conv3x3.out").unwrap_or(0);
        let taken: Vec<Option<usize>> = fair.iter().map(|a| a.option(width)).collect();
        assert_eq!(taken.len(), 2);
        assert_ne!(taken[0], taken[1]);
        let first = step(Sampling::Progressive, 0.1);
        assert!(first.len() == 1 && first[0] == extremes.largest);
    }
    let free: Vec<Architecture> = (0..60)
        .flat_map(|_| step(Sampling::Progressive, 0.9))
        .collect();
    assert!(free.iter().any(|a| macs(a) < macs(&extremes.largest) / 2));
    assert!(
        "fairest"
            .parse::<Sampling>()
            .unwrap_err()
            .contains("sandwich")
    );
}

#[test]
fn a_supernet_learns_and_goes_on_where_it_was_stopped() {
    let space = space(SMALL);
    let dataset = Dataset::embedded();
    let config = SupernetConfig {
        distill: true,
        augment: true,
        ..config()
    };
    let mut unbroken = Supernet::new(&space, &dataset, config.clone()).unwrap();
    unbroken
        .train(&space, &dataset, &device(), &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(unbroken.curve[1].train_loss < unbroken.curve[0].train_loss);
    assert_eq!(unbroken.curve[0].trained, 8 * 4);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    let mut broken = Supernet::new(&space, &dataset, config).unwrap();
    let stopped = broken.train(&space, &dataset, &device(), &mut |supernet| {
        supernet.save(&path).unwrap();
        ControlFlow::Break(())
    });
    assert!(matches!(stopped, Err(SupernetError::Cancelled)));
    let mut resumed = Supernet::load(&path).unwrap();
    assert_eq!(resumed.curve.len(), 1);
    resumed
        .train(&space, &dataset, &device(), &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(resumed.weights, unbroken.weights);
}

#[test]
fn inherited_weights_are_a_head_start() {
    let space = space(SMALL);
    let dataset = Dataset::embedded();
    let config = SupernetConfig {
        epochs: 5,
        train_images: Some(2_000),
        ..config()
    };
    let mut supernet = Supernet::new(&space, &dataset, config).unwrap();
    supernet
        .train(&space, &dataset, &device(), &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap();
    let ranking = supernet
        .rank(&space, &dataset, 4, None, 2, 1, &device(), &|| {
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(ranking.architectures.len(), 4);
    assert!(ranking.spearman.is_none());
    let best = &ranking.architectures[0];
    assert!(best.inherited > 0.35, "{best:?}");
    let architecture = space.parse_genotype(&best.genotype).unwrap();
    let (network, weights) = supernet
        .extract(&space, &architecture, &dataset, &device())
        .unwrap();
    assert_eq!(network, space.network(&architecture).unwrap());
    let tuned = |init: &crate::network::Weights| {
        let config = TrainConfig {
            epochs: 1,
            learning_rate: 0.02,
            train_images: Some(320),
            ..TrainConfig::default()
        };
        let outcome = train(&network, init, &dataset, &config, &device(), &mut |_| {
            ControlFlow::Continue(())
        });
        outcome.unwrap().validation_accuracy
    };
    let fresh = tuned(&crate::network::Weights::random(&network, 0));
    assert!(tuned(&weights) > fresh);
}

#[test]
fn what_is_wrong_is_said() {
    let (space, dataset) = (space(SMALL), Dataset::embedded());
    let wrong = |change: fn(&mut SupernetConfig)| {
        let mut wrong = config();
        change(&mut wrong);
        let made = Supernet::new(&space, &dataset, wrong);
        made.unwrap_err().to_string()
    };
    assert!(wrong(|c| c.epochs = 0).contains("`epochs`"));
    assert!(wrong(|c| c.batch_size = 1).contains("`batch_size`"));
    assert!(wrong(|c| c.learning_rate = f64::NAN).contains("`learning_rate`"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    assert!(
        Supernet::load(&path)
            .unwrap_err()
            .to_string()
            .contains("x: ")
    );
    std::fs::write(&path, b"not a supernet").unwrap();
    let damaged = Supernet::load(&path).unwrap_err().to_string();
    assert!(damaged.contains("is no supernet"), "{damaged}");
    let mut diverging = Supernet::new(
        &space,
        &dataset,
        SupernetConfig {
            learning_rate: 1e30,
            clip: 1e30,
            ..config()
        },
    )
    .unwrap();
    let error = diverging.train(&space, &dataset, &device(), &mut |_| {
        ControlFlow::Continue(())
    });
    assert!(error.unwrap_err().to_string().contains("diverged"));
}

#[test]
fn a_gpu_finds_the_same_gradients() {
    use crate::model::{Backend, backend};
    let gpu = match backend::device(Backend::Wgpu) {
        Ok(gpu) => gpu,
        Err(error) => {
            eprintln!("*** SKIPPED: supernets were not tested with wgpu: {error} ***");
            return;
        }
    };
    let space = space(SMALL);
    let (all, batch, weights) = prepared(&space);
    let whole = weights.slice(&all);
    let gates = uneven(&space);
    let near = |a: f64, b: f64| (a - b).abs() < 1e-3 * (1.0 + a.abs());
    for wanted in [Wanted::Gates, Wanted::Weights] {
        let [cpu, gpu] = [device(), gpu.clone()]
            .map(|device| pass(&all, &whole, &batch, &gates, wanted, &device).unwrap());
        assert!(near(cpu.loss, gpu.loss));
        for (choice, own) in &cpu.gates {
            for (a, b) in own.iter().zip(&gpu.gates[choice]) {
                assert!(near(*a, *b), "{a} {b}");
            }
        }
        assert_eq!(cpu.weights.tensors.len(), gpu.weights.tensors.len());
        for (name, own) in &cpu.weights.tensors {
            for (a, b) in own.data.iter().zip(&gpu.weights.tensors[name].data) {
                assert!(near(f64::from(*a), f64::from(*b)), "{name}: {a} {b}");
            }
        }
    }
}

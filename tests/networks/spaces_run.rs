//! Every space of `search-spaces/` runs: random architectures build in burn, go
//! forward and backward, and export to ONNX that computes the same under tract
//! and onnxruntime (where Python has it).

use std::path::{Path, PathBuf};

use crate::common::{check_cases, python, skip, write_case};
use bespoke::device::infer;
use bespoke::model::{BATCH_NORM_MOMENTUM, Model};
use bespoke::network::onnx::{OnnxOptions, export};
use bespoke::network::{Array, Network, Op, Role, Shape, Weights};
use bespoke::space::Space;
use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Batch norm over a 1x1 map needs more than one sample.
const BATCH: usize = 2;

fn files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("search-spaces");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "space"))
        .collect();
    files.sort();
    files
}

fn samples(network: &Network, device: &Device) -> Tensor<4> {
    let dims = Model::input_dims(network.input_shape(), BATCH);
    Tensor::from_data(TensorData::new(network.example(BATCH, 1), dims), device)
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// One training pass: a finite loss, and a finite gradient of every learned
/// tensor. Returns the weights with the batch's own moments as running ones:
/// with those of no data, activations would grow layer by layer until rounding
/// showed.
fn train_once(name: &str, network: &Network, weights: &Weights) -> Weights {
    let device = Device::flex().autodiff();
    let model = Model::new(network, weights, &device).unwrap();
    let out = model.forward(samples(network, &device));
    let loss = (out.clone() * out).mean();
    let gradients = model.gradients(&loss.backward());
    let has_zero = network
        .nodes()
        .iter()
        .any(|n| matches!(n.op, Op::Zero { .. }));
    let learned = network.param_specs();
    let mut moved = 0;
    for spec in learned.iter().filter(|s| s.role.is_learned()) {
        let Some(gradient) = gradients.tensors.get(&spec.name()) else {
            assert!(has_zero, "{name}: {} has no gradient", spec.name());
            continue;
        };
        assert!(
            gradient.data.iter().all(|g| g.is_finite()),
            "{name}: the gradient of {} is not finite",
            spec.name()
        );
        moved += usize::from(gradient.data.iter().any(|g| *g != 0.0));
    }
    let learned = learned.iter().filter(|s| s.role.is_learned()).count();
    // A convolution before batch norm may be dead behind relu on two samples.
    assert!(
        2 * moved > learned,
        "{name}: {moved} of {learned} tensors move"
    );
    let mut weights = model.to_weights();
    for spec in network.param_specs() {
        let old = match spec.role {
            Role::RunningMean => 0.0,
            Role::RunningVar => 1.0,
            _ => continue,
        };
        let least = if spec.role == Role::RunningVar {
            0.1
        } else {
            f32::MIN
        };
        let kept = (1.0 - BATCH_NORM_MOMENTUM) * old;
        let array = weights.tensors.get_mut(&spec.name()).unwrap();
        for x in &mut array.data {
            *x = ((*x - kept) / BATCH_NORM_MOMENTUM).max(least);
        }
    }
    weights
}

/// The exported file under tract, against burn; returned for onnxruntime.
fn export_once(name: &str, network: &Network, weights: &Weights) -> (Vec<u8>, Array, Array) {
    let device = Device::flex();
    let model = Model::new(network, weights, &device).unwrap();
    let data = values(model.forward(samples(network, &device)));
    let dims =
        |shape: Shape| -> Vec<usize> { std::iter::once(BATCH).chain(shape.dims()).collect() };
    let expected = Array {
        dims: dims(network.output_shape()),
        data,
    };
    let input = Array {
        dims: dims(network.input_shape()),
        data: network.example(BATCH, 1),
    };
    let onnx = export(network, weights, &OnnxOptions::default()).unwrap();
    let output = infer(&onnx, &input).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(output.dims, expected.dims, "{name}");
    // Untrained weights let outputs grow: what counts is the error beside them.
    let scale = expected.data.iter().fold(1.0f32, |m, x| m.max(x.abs()));
    for (a, b) in output.data.iter().zip(&expected.data) {
        assert!((a - b).abs() <= 1e-4 * scale, "{name}: {a} {b}");
    }
    (onnx, input, expected)
}

#[test]
fn architectures_of_every_space_train_and_deploy() {
    let dir = tempfile::tempdir().unwrap();
    let mut cases = 0;
    for file in files() {
        let space = Space::load(&file).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        // The lightest of a few, to keep this short on large images.
        let mut networks: Vec<Network> = (0..8)
            .map(|_| space.network(&space.sample(&mut rng)).unwrap())
            .collect();
        networks.sort_by_key(|n| n.costs().macs);
        networks.truncate(2);
        for (index, network) in networks.iter().enumerate() {
            let name = format!("{}-{index}", space.name());
            let weights = Weights::random(network, 1);
            let weights = train_once(&name, network, &weights);
            let (onnx, input, expected) = export_once(&name, network, &weights);
            write_case(dir.path(), &name, &onnx, &input, &expected);
            cases += 1;
        }
    }
    let Some(python) = python() else {
        return skip(
            "no Python with onnxruntime, so the spaces' exports were not compared with it",
        );
    };
    let (checked, worst) = check_cases(python, dir.path());
    assert_eq!(checked, cases);
    println!("greatest difference over {cases} architectures: {worst:e}");
}

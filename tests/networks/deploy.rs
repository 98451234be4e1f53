//! What is deployed computes what was trained: a network trained on real
//! images, exported, gives the same logits in burn, tract and onnxruntime.

use std::ops::ControlFlow;

use crate::common::{TOLERANCE, check_cases, python, skip, write_case};
use bespoke::data::Dataset;
use bespoke::device::infer;
use bespoke::evaluate::{TrainConfig, train};
use bespoke::model::{Backend, Model, backend};
use bespoke::network::onnx::{OnnxOptions, export};
use bespoke::network::{Array, Weights};
use bespoke::space::Space;
use burn::tensor::{Tensor, TensorData};
use rand::SeedableRng;

const IMAGES: usize = 64;

#[test]
fn burn_tract_and_onnxruntime_agree_on_a_trained_network() {
    let space = Space::load("search-spaces/quickstart.space".as_ref()).unwrap();
    let dataset = Dataset::embedded();
    let device = backend::device(Backend::Flex).unwrap();
    let config = TrainConfig {
        epochs: 1,
        train_images: Some(1_000),
        ..TrainConfig::default()
    };
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let dir = tempfile::tempdir().unwrap();
    for case in 0..3 {
        let network = space.network(&space.sample(&mut rng)).unwrap();
        let outcome = train(
            &network,
            &Weights::random(&network, case),
            &dataset,
            &config,
            &device.clone().autodiff(),
            &mut |_| ControlFlow::Continue(()),
        )
        .unwrap();
        // Through the file format, as a deployment would load them.
        let file = outcome.weights.to_safetensors().unwrap();
        let weights = Weights::from_safetensors(&file).unwrap();
        let pixels = &dataset.test.images[..IMAGES * dataset.shape.elements()];
        let input = Array {
            dims: vec![IMAGES, 1, 28, 28],
            data: pixels
                .iter()
                .map(|p| (f32::from(*p) / 255.0 - dataset.mean[0]) / dataset.std[0])
                .collect(),
        };
        let model = Model::new(&network, &weights, &device).unwrap();
        let images = TensorData::new(input.data.clone(), [IMAGES, 1, 28, 28]);
        let logits = model.forward(Tensor::<4>::from_data(images, &device));
        let burn = Array {
            dims: vec![IMAGES, 10],
            data: logits.into_data().try_to_vec().unwrap(),
        };
        let onnx = export(&network, &weights, &OnnxOptions::default()).unwrap();
        let tract = infer(&onnx, &input).unwrap();
        let worst = burn
            .data
            .iter()
            .zip(&tract.data)
            .map(|(a, b)| f64::from((a - b).abs()))
            .fold(0.0, f64::max);
        assert!(worst <= TOLERANCE, "burn and tract differ by {worst:e}");
        write_case(dir.path(), &format!("trained-{case}"), &onnx, &input, &burn);
    }
    let Some(python) = python() else {
        return skip("no Python with onnxruntime, so burn was not compared with it");
    };
    let (cases, worst) = check_cases(python, dir.path());
    assert_eq!(cases, 3);
    println!("greatest difference between burn and onnxruntime: {worst:e}");
}

//! Scores against the papers' definitions, by hand or by another way.

use super::*;

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
    let surrogate = super::super::linear::linear(&network).unwrap();
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

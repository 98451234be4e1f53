//! Bad batches, and networks that a proxy cannot tell anything of.

use super::*;

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

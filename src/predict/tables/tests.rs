use super::*;

fn nb201(ops: [&str; 6]) -> Network {
    let [a, b, c, d, e, f] = ops;
    let text = format!("|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|");
    TableSpace::NasBench201.network(&text).unwrap()
}

#[test]
fn nasbench201_has_the_published_costs() {
    // NAS-Bench-201's API: the all-conv3x3 cell costs 1.531546 M parameters
    // and 220.11969 MFLOPs (it counts multiply-accumulates and norms).
    let dense = nb201(["nor_conv_3x3"; 6]).costs();
    assert_eq!(dense.params, 1_531_546);
    assert!(
        (dense.macs as f64 / 220.12e6 - 1.0).abs() < 0.02,
        "{}",
        dense.macs
    );
    // The API's smallest networks: 0.073306 M parameters, 7.78 MFLOPs.
    let empty = nb201(["skip_connect"; 6]).costs();
    assert_eq!(empty.params, 73_306);
    assert!(
        (empty.macs as f64 / 7.78e6 - 1.0).abs() < 0.05,
        "{}",
        empty.macs
    );
}

#[test]
fn nasbench201_zeros_vanish_in_simplification() {
    let net = nb201([
        "nor_conv_3x3",
        "none",
        "none",
        "skip_connect",
        "none",
        "nor_conv_1x1",
    ]);
    // 0→1 leads nowhere and 2 is zero, but a 1x1 convolution of zeros followed
    // by a norm is not: only the dead 3x3 goes.
    let lean = net.simplify();
    assert!(lean.costs().macs < net.costs().macs);
}

#[test]
fn fbnet_is_plausible() {
    let e1 = TableSpace::FbNet
        .network(&["0"; 22].join(" "))
        .unwrap()
        .costs();
    let e6 = TableSpace::FbNet
        .network(&["7"; 22].join(" "))
        .unwrap()
        .costs();
    let skip = TableSpace::FbNet
        .network(&["8"; 22].join(" "))
        .unwrap()
        .costs();
    // FBNet-A, B and C cost 249, 295 and 375 M multiply-accumulates (Table 3
    // of the paper): they must lie between the space's extremes, and their
    // kin of expansion 1 below them. So must the 4.3 and 4.5 M parameters of A
    // and B (C has a wider last convolution).
    assert!(skip.macs < e1.macs && e1.macs < 249_000_000, "{}", e1.macs);
    assert!(e6.macs > 375_000_000, "{}", e6.macs);
    assert!(skip.params < 4_300_000 && e6.params > 4_500_000);
}

#[test]
fn ofa_is_plausible() {
    let text = |k: usize, e: usize, d: usize| {
        format!(
            r#"{{"ks":{:?},"e":{:?},"d":{:?},"r":224}}"#,
            [k; 20], [e; 20], [d; 5]
        )
    };
    let small = TableSpace::Ofa.network(&text(3, 3, 2)).unwrap();
    let large = TableSpace::Ofa.network(&text(7, 6, 4)).unwrap();
    // The paper's specialised network of 80.0 % top-1 accuracy, of this very
    // supernet, costs 595 M multiply-accumulates: the extremes bracket it.
    let (small_macs, large_macs) = (small.costs().macs, large.costs().macs);
    assert!(
        small_macs < 300_000_000 && large_macs > 595_000_000,
        "{small_macs} {large_macs}"
    );
    assert!(small.costs().params > 4_000_000 && large.costs().params < 13_000_000);
    assert_eq!(large.output_shape(), crate::network::Shape::vector(1000));
}

#[test]
fn malformed_architectures_are_named() {
    let message = |space: TableSpace, text: &str| space.network(text).unwrap_err().to_string();
    insta::assert_snapshot!(message(TableSpace::FbNet, "1 2 9"), @"`1 2 9` is no fbnet architecture: it has 3 numbers where 22 are needed");
    insta::assert_snapshot!(message(TableSpace::NasBench201, "|none~0|+|none~0|conv~1|+|none~0|none~1|none~2|"), @"`|none~0|+|none~0|conv~1|+|none~0|none~1|none~2|` is no nasbench201 architecture: `conv` is not one of the five operators");
    insta::assert_snapshot!(message(TableSpace::Ofa, r#"{"ks":[],"e":[],"d":[],"r":1}"#), @r#"`{"ks":[],"e":[],"d":[],"r":1}` is no ofa architecture: it needs 20 kernels, 20 expansions and 5 depths"#);
}

#[test]
fn a_bad_row_is_placed() {
    let text = b"architecture,cpu\n0 1,2.0\n0 2,nan\n";
    let error = LatencyTable::parse(text, TableSpace::FbNet, Path::new("t.csv")).unwrap_err();
    insta::assert_snapshot!(error, @"t.csv, line 3: latency `nan` on cpu is not a positive number");
}

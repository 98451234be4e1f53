//! The files in `search-spaces/` against what papers and released code publish
//! of them: sizes, extremes, and networks that lie inside. Needs the language
//! alone, so it also runs without the default features.

use std::path::{Path, PathBuf};

use bespoke::network::{Costs, Op};
use bespoke::space::Space;
use bespoke::space::codec::Codec;
use num_bigint::BigUint;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("search-spaces")
}

fn load(name: &str) -> Space {
    let path = directory().join(format!("{name}.space"));
    Space::load(&path).unwrap_or_else(|e| panic!("{:?}", miette::Report::new(e)))
}

fn power(base: u32, exponent: u32) -> BigUint {
    BigUint::from(base).pow(exponent)
}

/// Every file: the number of architectures as a formula and as a number, so
/// that neither a change of the file nor one of the formula goes unseen.
#[test]
fn every_space_has_its_known_size() {
    let darts_cell = power(7, 8) * (3u32 * 6 * 10);
    let ofa_stage = power(9, 2) + power(9, 3) + power(9, 4);
    let vit_layers = power(4, 12) + power(4, 13) + power(4, 14);
    // A layer mixes tokens in 7 ways, has an MLP of 3 ratios, or both.
    let lm_layer = 7u32 * 3 + 7 + 3;
    let lm_depths: BigUint = (2..=6).map(|depth| power(lm_layer, depth)).sum();
    // Two inverted residuals with two expansions, or a convolution; one or two.
    let unit = 2u32 * 2 + 1;
    let stage = unit + unit * unit;
    let own = 2 * 2 * (2 * stage) * (3 * stage) * (3 * stage);
    let known = [
        // Dong & Yang 2020: five operators on six edges.
        ("nasbench201", power(5, 6), "15625"),
        ("nasbench201-small", power(5, 6), "15625"),
        // Su et al. 2021: three blocks in each of eight layers.
        ("nasbench-macro", power(3, 8), "6561"),
        // Liu et al. 2019, appendix: 2 of 2, 3, 4 and 5 inputs, seven operators
        // on eight edges, "about 10^9" a cell; two cells, "10^18".
        ("darts", darts_cell.pow(2), "1076746950455072400"),
        // Wu et al. 2019: "9^22, about 10^21".
        ("fbnet", power(9, 22), "984770902183611232881"),
        // Cai et al. 2019: 21 blocks of six candidates, and none; six of them
        // begin a stage and cannot be left out.
        (
            "proxylessnas",
            power(6, 6) * power(7, 15),
            "221502229807900608",
        ),
        // Tan et al. 2019, section 4.1: 432 sub search spaces, five blocks,
        // "about 10^13".
        ("mnasnet", power(432, 5), "15045919506432"),
        // Five resolutions, six widths; an expansion and a depth in five stages.
        ("mobilenetv2", power(2 * 3, 5) * (5u32 * 6), "233280"),
        // Three resolutions; a kernel and a share of expansion in 14 blocks.
        ("mobilenetv3", power(2 * 3, 14) * 3u32, "235092492288"),
        // Cai et al. 2020: ((3*3)^2 + (3*3)^3 + (3*3)^4)^5, "about 2 * 10^19",
        // at each of 25 resolutions.
        (
            "ofa-mobilenetv3",
            ofa_stage.pow(5) * 25u32,
            "543966387314312146275",
        ),
        // After Chen et al. 2021: three widths, two heads and two ratios a layer.
        ("vit", vit_layers * 3u32, "1056964608"),
        // Eight resolutions, nine widths; a kernel (3) and an expansion (3) a
        // layer, one or two layers, then four times one to three.
        (
            "mcu",
            power(9 + 81 + 729, 4) * (8u32 * 9 * (9 + 81)),
            "2915483667904080",
        ),
        // Two lengths, three widths, two to six layers.
        ("hybrid-lm", lm_depths * (2u32 * 3), "5502522630"),
        // Width; for each of three stages four kernels, and none or four more.
        ("kws", power(4 + 4 * 4, 3) * 2u32, "16000"),
        ("quickstart", BigUint::from(own), "1944000"),
        ("cifar10", BigUint::from(own), "1944000"),
    ];
    for (name, formula, number) in &known {
        let count = load(name).count().clone();
        assert_eq!(count, *formula, "{name}");
        assert_eq!(count.to_string(), *number, "{name}");
    }
    let mut files = std::fs::read_dir(directory()).unwrap();
    let stray = files.find_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().to_string();
        let space = path.extension().is_some_and(|e| e == "space");
        (space && !known.iter().any(|(n, ..)| *n == name)).then_some(name)
    });
    assert_eq!(stray, None, "has no known size");
}

fn costs_of(space: &Space, genotype: &str) -> Costs {
    let architecture = space
        .parse_genotype(genotype)
        .unwrap_or_else(|e| panic!("{}: {e}: {genotype}", space.name()));
    space.network(&architecture).unwrap().costs()
}

/// The lightest and heaviest networks of the tabular benchmarks.
/// Networks are simplified while they are built, and repeated instances copied;
/// both must give what simplifying the whole gives.
#[test]
fn building_simplified_is_simplifying_what_was_built() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for entry in std::fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "space") {
            continue;
        }
        let space = Space::load(&path).unwrap();
        for _ in 0..20 {
            let architecture = space.sample(&mut rng);
            let network = space.network(&architecture).unwrap();
            let whole = space.unsimplified(&architecture).unwrap();
            let genotype = space.genotype(&architecture);
            assert_eq!(network, whole.simplify(), "{}: {genotype}", space.name());
            assert_eq!(network, network.simplify(), "{}: {genotype}", space.name());
        }
    }
}

#[test]
fn the_extremes_of_the_benchmarks_are_theirs() {
    let nb201 = load("nasbench201");
    let cell = |op: &str| {
        let row = format!("|{op}~0|+|{op}~0|{op}~1|+|{op}~0|{op}~1|{op}~2|");
        let architecture = Codec::NasBench201.decode(&nb201, &row).unwrap();
        nb201.network(&architecture).unwrap().costs()
    };
    // The benchmark lists 0.073306 to 1.531546 MB of parameters, 7.78305 to
    // 220.11969 M FLOPs; the latter also count batch norms and pooling.
    let (light, heavy) = (cell("skip_connect"), cell("nor_conv_3x3"));
    assert_eq!((light.params, heavy.params), (73_306, 1_531_546));
    for (costs, published) in [(light, 7.78305e6), (heavy, 220.11969e6)] {
        let ratio = costs.macs as f64 / published;
        assert!((0.98..=1.0).contains(&ratio), "{costs:?}");
    }

    let bench = load("nasbench-macro");
    let all = |op: &str| {
        let layer = |stage: usize, at: usize| format!("s{stage}[{at}].layer.choice={op}");
        let layers = [(1, 2), (2, 3), (3, 3)].map(|(stage, depth)| {
            let layers: Vec<String> = (0..depth).map(|at| layer(stage, at)).collect();
            layers.join(" ")
        });
        costs_of(&bench, &layers.join(" "))
    };
    // By hand from the authors' model: widths 32, then 64, 128 and 256 at half
    // the side each; one 1x1 projection a stage in the lightest network.
    let (mut params, mut macs) = (3 * 9 * 32 + 2 * 32, 3 * 9 * 32 * 32 * 32);
    let head = (256 * 1280 + 2 * 1280) + (1280 * 10 + 10);
    for (out, side) in [(64, 16), (128, 8), (256, 4)] {
        params += out / 2 * out + 2 * out;
        macs += out / 2 * out * side * side;
    }
    let light = all("identity");
    assert_eq!(light.params, params + head);
    assert_eq!(light.macs, macs + 256 * 1280 * 4 * 4 + 1280 * 10);
    // Everywhere an inverted residual of kernel 5 and expansion 6.
    let (mut params, mut macs) = (3 * 9 * 32 + 2 * 32, 3 * 9 * 32 * 32 * 32);
    for (out, side, depth) in [(64, 16, 2), (128, 8, 3), (256, 4, 3)] {
        for at in 0..depth {
            let (from, before) = match at {
                0 => (out / 2, 2 * side),
                _ => (out, side),
            };
            let wide = 6 * from;
            params += from * wide + 2 * wide + 25 * wide + 2 * wide + wide * out + 2 * out;
            macs += from * wide * before * before + (25 + out) * wide * side * side;
        }
    }
    let heavy = all("mb6_k5");
    assert_eq!(heavy.params, params + head);
    assert_eq!(heavy.macs, macs + 256 * 1280 * 4 * 4 + 1280 * 10);
}

/// Su et al. 2021 train 6,561 networks; an identity that keeps the shape is no
/// layer. So a stage of two layers, whose first always counts, has 3 (1 + 2)
/// forms, and one of three has 3 (1 + 2 + 4): 9 * 21 * 21.
#[test]
fn nasbench_macro_has_3969_distinct_networks() {
    let distinct = load("nasbench-macro").distinct(10_000).unwrap();
    assert_eq!(distinct.networks, 3 * 3 * (3 * 7) * (3 * 7));
    assert_eq!(distinct.networks, 3_969);
    assert_eq!(distinct.published, None);
}

/// The authors' networks are without ReLU6.
#[test]
fn nasbench_macro_activates_by_relu_alone() {
    use bespoke::network::Activation::Relu;
    let space = load("nasbench-macro");
    let network = space
        .network(&space.unrank(&BigUint::from(6_560u32)))
        .unwrap();
    let mut activations = 0;
    for node in network.nodes() {
        if let Op::Activation(activation) = node.op {
            assert_eq!(activation, Relu);
            activations += 1;
        }
    }
    assert_eq!(activations, 1 + 8 * 2 + 1);
}

/// Parameters of convolutions and linear layers: batch norms, folded into them
/// for inference, are left out, as in the tables of the released MobileNets.
fn weights(space: &Space, genotype: &str) -> u64 {
    let architecture = space.parse_genotype(genotype).unwrap();
    let network = space.network(&architecture).unwrap();
    let norms = network.nodes().iter().filter(|n| n.op == Op::BatchNorm);
    let scales: u64 = norms.map(|n| 2 * n.shape.channels() as u64).sum();
    network.costs().params - scales
}

/// The table of the released checkpoints (tensorflow/models,
/// research/slim/nets/mobilenet/README.md), in millions: multiply-accumulates
/// at resolutions 224, 192, 160, 128 and 96, and parameters.
#[test]
fn every_released_mobilenetv2_costs_what_was_published() {
    let table: [(&str, f64, &[u32]); 6] = [
        ("1.4", 6.06, &[582]),
        ("1.3", 5.34, &[509]),
        ("1", 3.47, &[300, 221, 154, 99, 56]),
        ("0.75", 2.61, &[209, 153, 107, 69, 39]),
        ("0.5", 1.95, &[97, 71, 50, 32, 18]),
        ("0.35", 1.66, &[59, 43, 30, 20, 11]),
    ];
    let space = load("mobilenetv2");
    for (width, params, macs) in table {
        for (resolution, macs) in [224, 192, 160, 128, 96].into_iter().zip(macs) {
            let genotype = mobilenetv2_at(resolution, width);
            let found = costs_of(&space, &genotype).macs as f64 / 1e6;
            let folded = weights(&space, &genotype) as f64 / 1e6;
            println!("{width} at {resolution}: {found:.2} M ({macs}), {folded:.3} M ({params})");
            // The table cuts to whole millions and rounds parameters.
            assert_eq!(found.floor() as u32, *macs, "{width} at {resolution}");
            assert!((folded - params).abs() < 0.005, "{width}: {folded}");
        }
    }
}

fn mobilenetv2_at(resolution: u32, width: &str) -> String {
    format!(
        "resolution={resolution} width={width} s2.expand=6 s2.repeat.depth=2 s3.expand=6 \
         s3.repeat.depth=3 s4.expand=6 s4.repeat.depth=4 s5.expand=6 s5.repeat.depth=3 \
         s6.expand=6 s6.repeat.depth=3"
    )
}

/// The decisions of a cell of `darts.space`, from the operators and inputs of
/// its eight edges, two a node. Edges of a node are numbered by their input here,
/// whatever order the authors list them in.
fn darts_cell(cell: &str, edges: &str) -> String {
    let names = ["s0", "s1", "n0", "n1", "n2", "n3"];
    let edges: Vec<(&str, usize)> = edges
        .split(' ')
        .filter_map(|edge| edge.split_once('~'))
        .map(|(operator, from)| (operator, from.parse().unwrap()))
        .collect();
    assert_eq!(edges.len(), 8);
    let mut decisions = Vec::new();
    for (node, pair) in edges.chunks(2).enumerate() {
        let mut pair = pair.to_vec();
        pair.sort_by_key(|(_, from)| *from);
        for (at, (operator, _)) in pair.iter().enumerate() {
            decisions.push(format!("{cell}.n{node}[{at}].op.op={operator}"));
        }
        // The first node takes both of its two inputs.
        if node > 0 {
            let [a, b] = [names[pair[0].1], names[pair[1].1]];
            decisions.push(format!("{cell}.n{node}.inputs={a}+{b}"));
        }
    }
    decisions.join(" ")
}

/// Networks found in DARTS's space, at 36 channels and 20 cells for CIFAR-10
/// without the auxiliary head. The genotypes are those of the papers' released
/// code. For DARTS-V2 that code counts 3.349342 M parameters; the others are
/// counted by hand from its model and agree with the papers' rounded figures,
/// but for the first order, whose released cell is lighter than the paper's line.
#[test]
fn cells_found_by_darts_and_its_successors_cost_what_was_published() {
    let v1 = "sep_conv_3x3~1 sep_conv_3x3~0 skip_connect~0 sep_conv_3x3~1 \
        skip_connect~0 sep_conv_3x3~1 sep_conv_3x3~0 skip_connect~2";
    let v1_reduction = "max_pool_3x3~0 max_pool_3x3~1 skip_connect~2 max_pool_3x3~0 \
        max_pool_3x3~0 skip_connect~2 skip_connect~2 avg_pool_3x3~0";
    let v2 = "sep_conv_3x3~0 sep_conv_3x3~1 sep_conv_3x3~0 sep_conv_3x3~1 \
        sep_conv_3x3~1 skip_connect~0 skip_connect~0 dil_conv_3x3~2";
    let v2_reduction = "max_pool_3x3~0 max_pool_3x3~1 skip_connect~2 max_pool_3x3~1 \
        max_pool_3x3~0 skip_connect~2 skip_connect~2 max_pool_3x3~1";
    let p = "skip_connect~0 dil_conv_3x3~1 skip_connect~0 sep_conv_3x3~1 \
        sep_conv_3x3~1 sep_conv_3x3~3 sep_conv_3x3~0 dil_conv_5x5~4";
    let p_reduction = "avg_pool_3x3~0 sep_conv_5x5~1 sep_conv_3x3~0 dil_conv_5x5~2 \
        max_pool_3x3~0 dil_conv_3x3~1 dil_conv_3x3~1 dil_conv_5x5~3";
    let pc = "sep_conv_3x3~1 skip_connect~0 sep_conv_3x3~0 dil_conv_3x3~1 \
        sep_conv_5x5~0 sep_conv_3x3~1 avg_pool_3x3~0 dil_conv_3x3~1";
    let pc_reduction = "sep_conv_5x5~1 max_pool_3x3~0 sep_conv_5x5~1 sep_conv_5x5~2 \
        sep_conv_3x3~0 sep_conv_3x3~3 sep_conv_3x3~1 sep_conv_3x3~2";
    let space = load("darts");
    for (name, normal, reduction, params, printed) in [
        // Liu et al. 2019, table 1 prints 3.3 M for both orders.
        ("DARTS (first order)", v1, v1_reduction, 3_169_414, 3.3),
        ("DARTS (second order)", v2, v2_reduction, 3_349_342, 3.3),
        // Chen et al. 2019, arXiv 1904.12760, table 1.
        ("P-DARTS", p, p_reduction, 3_433_798, 3.4),
        // Xu et al. 2020, arXiv 1907.05737, table 1.
        ("PC-DARTS", pc, pc_reduction, 3_634_678, 3.6),
    ] {
        let genotype = format!(
            "{} {}",
            darts_cell("normal", normal),
            darts_cell("reduction", reduction)
        );
        let costs = costs_of(&space, &genotype);
        println!("{name}: {costs:?}");
        assert_eq!(costs.params, params, "{name}");
        let off = (costs.params as f64 / 1e6 - printed).abs();
        let slack = if name == "DARTS (first order)" {
            0.15
        } else {
            0.05
        };
        assert!(off < slack, "{name}: {costs:?}");
    }
}
/// A network of a paper, as decisions of a space.
struct Reference {
    name: &'static str,
    space: &'static str,
    genotype: String,
    /// Published multiply-accumulates and parameters, in millions.
    macs: f64,
    params: f64,
}

fn costs(reference: &Reference) -> Costs {
    let space = load(reference.space);
    let architecture = space
        .parse_genotype(&reference.genotype)
        .unwrap_or_else(|e| panic!("{}: {e}", reference.name));
    space.network(&architecture).unwrap().costs()
}

fn layers(prefix: &str, suffix: &str, labels: &[&str]) -> String {
    let parts: Vec<String> = labels
        .iter()
        .enumerate()
        .map(|(i, label)| format!("{prefix}[{i}].{suffix}={label}"))
        .collect();
    parts.join(" ")
}

fn mobilenetv2() -> Reference {
    Reference {
        name: "MobileNetV2",
        space: "mobilenetv2",
        genotype: mobilenetv2_at(224, "1"),
        // Sandler et al. 2018: 300 M and 3.4 M; torchvision counts 300.774 M
        // and 3.504872 M of the same network.
        macs: 300.774272,
        params: 3.504872,
    }
}

fn mnasnet_a1() -> Reference {
    let block = |name: &str, out: u32, depth: u32, kernel: u32, se: bool, op: &str| {
        format!(
            "{name}.out={out} {name}.repeat.depth={depth} {name}.repeat.layer.core.kernel={kernel} \
             {name}.repeat.layer.core.se={se} {name}.repeat.layer.core.op={op} \
             {name}.repeat.layer.link=identity "
        )
    };
    Reference {
        name: "MnasNet-A1",
        space: "mnasnet",
        genotype: [
            block("b2", 24, 2, 3, false, "mb6"),
            block("b3", 40, 3, 5, true, "mb3"),
            block("b4", 80, 4, 3, false, "mb6"),
            block("b5", 112, 2, 3, true, "mb6"),
            block("b6", 160, 3, 5, true, "mb6"),
        ]
        .concat(),
        // Tan et al. 2019, table 1: 312 M and 3.9 M.
        macs: 312.0,
        params: 3.9,
    }
}

fn proxylessnas_mobile() -> Reference {
    Reference {
        name: "ProxylessNAS-Mobile",
        space: "proxylessnas",
        genotype: [
            layers("s1", "layer.op", &["mb3_5x5", "mb3_3x3", "zero", "zero"]),
            layers(
                "s2",
                "layer.op",
                &["mb3_7x7", "mb3_3x3", "mb3_5x5", "mb3_5x5"],
            ),
            layers(
                "s3",
                "layer.op",
                &["mb6_7x7", "mb3_5x5", "mb3_5x5", "mb3_5x5"],
            ),
            layers(
                "s4",
                "layer.op",
                &["mb6_5x5", "mb3_5x5", "mb3_5x5", "mb3_5x5"],
            ),
            layers(
                "s5",
                "layer.op",
                &["mb6_7x7", "mb6_7x7", "mb3_7x7", "mb3_7x7"],
            ),
            "s6.layer.op=mb6_7x7".into(),
        ]
        .join(" "),
        // The authors' released network: 320 M and 4.08 M.
        macs: 320.0,
        params: 4.08,
    }
}

fn mobilenetv3_large() -> Reference {
    let kernels = [3, 3, 5, 5, 5, 3, 3, 3, 3, 3, 3, 5, 5, 5];
    let blocks: Vec<String> = kernels
        .iter()
        .enumerate()
        .map(|(i, kernel)| {
            let block = match i {
                0 => "bneck".to_string(),
                i => format!("bneck#{}", i + 1),
            };
            format!("{block}.kernel={kernel} {block}.share=1")
        })
        .collect();
    Reference {
        name: "MobileNetV3-Large",
        space: "mobilenetv3",
        genotype: format!("resolution=224 {}", blocks.join(" ")),
        // Howard et al. 2019, table 3: 219 M and 5.4 M; torchvision's network
        // has 5.483032 M parameters and 216.6 M multiply-accumulates.
        macs: 216.6,
        params: 5.483032,
    }
}

fn deit_ti() -> Reference {
    let mut genotype = "dim=192 blocks.depth=12".to_string();
    for i in 0..12 {
        genotype += &format!(" blocks[{i}].layer.ratio=4 blocks[{i}].layer.heads=3");
    }
    Reference {
        name: "DeiT-Ti",
        space: "vit",
        genotype,
        // Touvron et al. 2021: 5 M parameters, 5.717416 M exactly; timm lists
        // 1.26 G multiply-accumulates.
        macs: 1260.0,
        params: 5.717416,
    }
}

fn tc_resnet(width: &str, depth: usize) -> Reference {
    let mut genotype = format!("width={width}");
    for stage in 1..=3 {
        genotype += &format!(" s{stage}.halve.kernel=9 s{stage}.repeat.depth={depth}");
        if depth > 0 {
            genotype += &format!(" s{stage}.repeat.keep.kernel=9");
        }
    }
    Reference {
        name: "TC-ResNet14-1.5",
        space: "kws",
        genotype,
        // Choi et al. 2019, table 1: 13.4 M operations, two a
        // multiply-accumulate, and 305 k parameters.
        macs: 13.4 / 2.0,
        params: 0.305,
    }
}

#[test]
fn tc_resnet8_has_its_parameters_with_the_running_statistics() {
    // Choi et al. 2019, table 1: 66 k and 3.0 M operations.
    let costs = costs(&tc_resnet("1", 0));
    assert_eq!((costs.macs, costs.params), (1_522_560, 65_180));
    let normalised = 16 + 3 * (24 + 32 + 48);
    assert_eq!(costs.params + 2 * normalised, 65_836);
}

#[test]
fn published_networks_cost_what_was_published() {
    for reference in [
        mobilenetv2(),
        mnasnet_a1(),
        proxylessnas_mobile(),
        mobilenetv3_large(),
        deit_ti(),
        tc_resnet("1.5", 1),
    ] {
        let costs = costs(&reference);
        let macs = costs.macs as f64 / 1e6 / reference.macs;
        let params = costs.params as f64 / 1e6 / reference.params;
        println!("{}: {costs:?}", reference.name);
        for ratio in [macs, params] {
            assert!((ratio - 1.0).abs() < 0.01, "{}: {costs:?}", reference.name);
        }
    }
    assert_eq!(costs(&mobilenetv2()).params, 3_504_872);
    assert_eq!(costs(&mobilenetv2()).macs, 300_774_272);
    assert_eq!(costs(&mobilenetv3_large()).params, 5_483_032);
    assert_eq!(costs(&deit_ti()).params, 5_717_416);
}

#[test]
fn fbnet_c_differs_from_its_table_in_the_head_alone() {
    let row = "0 3 8 0 0 7 6 7 3 7 6 7 7 7 7 7 6 7 7 7 7 3";
    let space = load("fbnet");
    let architecture = Codec::FbNet.decode(&space, row).unwrap();
    let costs = space.network(&architecture).unwrap().costs();
    // The released FBNet-C ends in 1,984 channels, the paper's space in 1,504.
    let released = space.text().replace("conv1x1(1504)", "conv1x1(1984)");
    let released = Space::parse("fbnet-c", &released).unwrap();
    let architecture = Codec::FbNet.decode(&released, row).unwrap();
    let released = released.network(&architecture).unwrap().costs();
    println!("{costs:?}\n{released:?}");
    assert_eq!(released.params - costs.params, 480 * (352 + 2 + 1000));
    // Wu et al. 2019, table 3: 5.5 M parameters and 375 M multiply-accumulates.
    let params = released.params as f64 / 5.5e6;
    assert!((params - 1.0).abs() < 0.02, "{released:?}");
}

/// Dong & Yang 2020: "6,466 unique topology structures" of the 15,625. What the
/// other two numbers count is told in docs/spaces.md.
#[test]
fn nasbench201_has_its_published_number_of_distinct_cells() {
    let distinct = load("nasbench201").distinct(20_000).unwrap();
    assert_eq!(distinct.published, Some(6_466));
    assert_eq!(distinct.topologies, 6_900);
    assert_eq!(distinct.networks, 5_993);
}

//! The files in `search-spaces/`: what is known of each, by its paper.

use std::path::{Path, PathBuf};

use bespoke::network::Costs;
use bespoke::predict::tables::{LatencyTable, TableSpace};
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

#[test]
fn every_space_has_its_known_size() {
    let darts_cell = power(7, 8) * (3u32 * 6 * 10);
    let ofa_stage = power(9, 2) + power(9, 3) + power(9, 4);
    let vit_layers = power(4, 12) + power(4, 13) + power(4, 14);
    // A layer mixes tokens in 7 ways, has an MLP of 3 ratios, or both.
    let hybrid_layers: BigUint = (2..=6).map(|depth| power(7 + 3 + 7 * 3, depth)).sum();
    for (name, size) in [
        ("hybrid-lm", hybrid_layers * 6u32),
        // Width; for each of three stages four kernels, and none or four more.
        ("kws", power(4 + 4 * 4, 3) * 2u32),
        ("nasbench201", power(5, 6)),
        ("nasbench-macro", power(3, 8)),
        ("darts", darts_cell.pow(2)),
        ("fbnet", power(9, 22)),
        // Six blocks begin a stage and cannot be left out.
        ("proxylessnas", power(6, 6) * power(7, 15)),
        ("mnasnet", power(432, 5)),
        ("ofa-mobilenetv3", ofa_stage.pow(5) * 25u32),
        ("vit", vit_layers * 3u32),
        // Five resolutions and widths; an expansion and a depth in five stages.
        ("mobilenetv2", power(6, 5) * 25u32),
        ("mobilenetv3", power(6, 14) * 3u32),
    ] {
        assert_eq!(load(name).count(), &size, "{name}");
    }
    // "About 10^18", "2 x 10^19" and "10^13" of the papers.
    assert_eq!(darts_cell, BigUint::from(1_037_664_180u32));
    assert_eq!(ofa_stage.pow(5).to_string().len(), 20);
    assert_eq!(power(432, 5).to_string().len(), 14);
}

#[test]
fn every_file_checks_and_its_genotypes_round_trip() {
    let mut files = 0;
    for entry in std::fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "space") {
            continue;
        }
        let space = Space::load(&path).unwrap_or_else(|e| panic!("{:?}", miette::Report::new(e)));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..20 {
            let a = space.sample(&mut rng);
            let genotype = space.genotype(&a);
            assert_eq!(space.parse_genotype(&genotype).as_ref(), Ok(&a));
            assert!(space.admits(&a), "{genotype}");
            let mutant = space.mutate(&a, &mut rng);
            assert!(space.admits(&mutant), "{}", space.genotype(&mutant));
        }
        files += 1;
    }
    assert!(files >= 15, "{files} files");
}

/// Reads and writes every row of a benchmark's table and holds the networks
/// against those the predictor was trained on.
fn check_table(codec: Codec, table: TableSpace, space: &str) {
    let space = load(space);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("predictors/data");
    let rows = LatencyTable::read(&data, table).unwrap().architectures;
    assert!(rows.len() >= 4_000, "{} rows", rows.len());
    for (index, row) in rows.iter().enumerate() {
        let architecture = codec.decode(&space, row).unwrap();
        let written = codec.encode(&space, &architecture).unwrap();
        // Once-for-all's rows also hold numbers of blocks that are not used.
        match codec {
            Codec::Ofa => assert_eq!(codec.decode(&space, &written).unwrap(), architecture),
            _ => assert_eq!(&written, row),
        }
        if index % 50 == 0 {
            // What the predictor takes for this row.
            let theirs = table.network(row).unwrap().simplify();
            let ours = space.network(&architecture).unwrap();
            assert_eq!(ours.hash(), theirs.hash(), "{row}");
        }
    }
}

#[test]
fn all_nasbench201_strings_are_read_and_written() {
    check_table(Codec::NasBench201, TableSpace::NasBench201, "nasbench201");
}

#[test]
fn fbnet_rows_are_read_and_written() {
    check_table(Codec::FbNet, TableSpace::FbNet, "fbnet");
}

#[test]
fn ofa_rows_are_read_and_written() {
    check_table(Codec::Ofa, TableSpace::Ofa, "ofa-mobilenetv3");
}

#[test]
fn wrong_rows_say_what_is_wrong() {
    let nb201 = load("nasbench201");
    let read = |codec: Codec, text: &str| codec.decode(&nb201, text).unwrap_err().to_string();
    for (codec, text, reason) in [
        (
            Codec::NasBench201,
            "|none~0|",
            "it has 1 nodes where 3 are needed",
        ),
        (
            Codec::NasBench201,
            "|none~0|+|none~0|none~0|+|none~0|none~1|none~2|",
            "edge `none~0` should come from node 1",
        ),
        (
            Codec::NasBench201,
            "|nor~0|+|none~0|none~1|+|none~0|none~1|none~2|",
            "`nor` is not one of the five operators",
        ),
        (
            Codec::NasBench201,
            "|none~0|+none~0|none~1|+|none~0|none~1|none~2|",
            "`none~0|none~1|` does not stand between bars",
        ),
        (
            Codec::FbNet,
            "1 2 9",
            "it has 3 numbers where 22 are needed",
        ),
        (
            Codec::Ofa,
            r#"{"ks":[],"e":[],"d":[],"r":1}"#,
            "it needs 20 kernels, 20 expansions and 5 depths",
        ),
    ] {
        let message = read(codec, text);
        assert!(message.ends_with(reason), "{message}");
    }
    let other = read(Codec::FbNet, &"1 ".repeat(22));
    assert!(
        other.contains("the space `nasbench201` is not the one"),
        "{other}"
    );
    let architecture = nb201.sample(&mut ChaCha8Rng::seed_from_u64(0));
    assert!(Codec::Ofa.encode(&nb201, &architecture).is_err());
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
        genotype: "resolution=224 width=1 s2.expand=6 s2.repeat.depth=2 s3.expand=6 \
                   s3.repeat.depth=3 s4.expand=6 s4.repeat.depth=4 s5.expand=6 \
                   s5.repeat.depth=3 s6.expand=6 s6.repeat.depth=3"
            .into(),
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

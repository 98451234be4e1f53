use std::collections::{BTreeMap, BTreeSet};

use num_bigint::BigUint;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

fn space(body: &str) -> Space {
    parse(body).unwrap_or_else(|e| panic!("{:?}", miette::Report::new(*e)))
}

fn parse(body: &str) -> Result<Space, Box<SpaceError>> {
    let text = match body.contains("network {") {
        true => format!("space t\ninput image 3x8x8\n{body}"),
        false => format!("space t\ninput image 3x8x8\nnetwork {{ {body} }}"),
    };
    Space::parse("t.space", &text)
}

/// The error as a user sees it, without colours.
fn seen(body: &str) -> String {
    let error = parse(body).expect_err("the space is wrong");
    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::none());
    let mut out = String::new();
    handler.render_report(&mut out, error.as_ref()).unwrap();
    out
}

fn count(body: &str) -> u64 {
    space(body).count().try_into().unwrap()
}

/// Enumerates and checks that indices, genotypes and networks agree.
fn enumerated(space: &Space) -> usize {
    let mut seen = BTreeSet::new();
    for architecture in space.enumerate() {
        let text = space.genotype(&architecture);
        assert_eq!(space.parse_genotype(&text).unwrap(), architecture, "{text}");
        space.network(&architecture).unwrap();
        assert!(seen.insert(architecture), "{text} comes twice");
    }
    seen.len()
}

#[test]
fn counts_are_products_and_sums() {
    assert_eq!(count("conv({3, 5}, {8, 16, 32})"), 6);
    assert_eq!(count("choose { conv3x3({4, 8}) | skip | relu }"), 4);
    assert_eq!(count("repeat 1..3 { conv({3, 5}, 8) }"), 2 + 4 + 8);
    assert_eq!(count("repeat 0..2 { conv({3, 5}, 8) }"), 1 + 2 + 4);
    assert_eq!(count("bn relu"), 1);
}

#[test]
fn a_shared_stage_decides_once() {
    let shared = "stage s shared { repeat 2..4 { conv({3, 5}, {8, 16}) } }";
    assert_eq!(count(shared), 3 * 4);
    let free = "stage s { repeat 2..4 { conv({3, 5}, {8, 16}) } }";
    assert_eq!(count(free), 16 + 64 + 256);
    assert_eq!(enumerated(&space(shared)), 12);
}

#[test]
fn a_shared_block_decides_once_whatever_its_arguments() {
    let text = "block cell(c) shared { choose { conv3x3(c) | conv1x1(c) bn | conv5x5(c) } }
        network { repeat 3 { cell(8) } cell(16) }";
    let space = space(text);
    assert_eq!(space.count(), &BigUint::from(3u8));
    let architecture = space.parse_genotype("cell.choice=conv1x1").unwrap();
    let network = space.network(&architecture).unwrap();
    assert_eq!(network.nodes().len(), 1 + 4 * 2);
}

/// An inner instance moves when dead nodes of the outer one are dropped, and must
/// not be copied from where it was.
#[test]
fn instances_within_instances_are_built_right() {
    let text = "space t
input image 8x8x8
block inner shared { choose { conv3x3(8) | conv3x3(8) bn | skip } }
block outer(k) shared {
  unused = input -> conv5x5(8) -> relu
  y = input -> conv(k, 8) -> inner
}
network { outer(1) outer(3) outer(3) inner outer(1) }";
    let space = Space::parse("t", text).unwrap();
    for architecture in space.enumerate() {
        let network = space.network(&architecture).unwrap();
        let whole = space.unsimplified(&architecture).unwrap().simplify();
        assert_eq!(network, whole, "{}", space.genotype(&architecture));
    }
}

#[test]
fn shared_choices_that_matter_for_shapes_are_followed() {
    // The width decided in the first round meets the condition of the second.
    let text = "block b(c) { conv3x3(c) residual when in == c }
        network { stage s shared { w: {3, 8} repeat 1..3 { conv({1, 3}, w) conv3x3({4, 8}) b(8) } } }";
    let space = space(text);
    assert_eq!(enumerated(&space), 2 * 3 * 4);
    assert_eq!(space.count(), &BigUint::from(24u8));
}

#[test]
fn conditions_close_options() {
    let text = "block b(out) {
          choose { conv3x3(out) | conv5x5(out) | skip when in == out }
        }
        network { b({3, 8}) b(8) }";
    // First: out 3 has three options, out 8 two. Second: in 3 two, in 8 three,
    // where out 3 leaves 3 channels and out 8 leaves 8.
    let space = space(text);
    assert_eq!(space.count(), &BigUint::from(3u32 * 2 + 2 * 3));
    assert_eq!(enumerated(&space), 12);
}

#[test]
fn picked_inputs_count_as_combinations() {
    let text = "a = input -> conv3x3(3)
        b = input -> conv1x1(3)
        c = pick 2 {input, a, b} -> relu
        d = pick {a, b, c} + pick {b, c}";
    assert_eq!(enumerated(&space(text)), 3 * 3 * 2);
}

#[test]
fn published_spaces_have_their_published_size() {
    let load = |name: &str| Space::load(Path::new(&format!("search-spaces/{name}.space"))).unwrap();
    let nb201 = load("nasbench201");
    assert_eq!(nb201.count(), &BigUint::from(15_625u32));
    let fbnet = load("fbnet");
    assert_eq!(fbnet.count(), &BigUint::from(9u8).pow(22));
    let quickstart = load("quickstart");
    assert!(quickstart.count() > &BigUint::from(100_000u32));
}

#[test]
fn nasbench201_has_6466_cells_as_its_authors_compare_them() {
    let space = Space::load(Path::new("search-spaces/nasbench201.space")).unwrap();
    let text = |cell: &str| {
        let architecture = codec::Codec::NasBench201.decode(&space, cell).unwrap();
        codec::Codec::NasBench201
            .unique_text(&space, &architecture)
            .unwrap()
    };
    let texts: BTreeSet<String> = space
        .enumerate()
        .map(|a| {
            codec::Codec::NasBench201
                .unique_text(&space, &a)
                .expect("of this space")
        })
        .collect();
    // Dong & Yang 2020: "6,466 unique topology structures".
    assert_eq!(texts.len(), 6_466);
    assert_eq!(
        text("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"),
        "#+#+(#+(0)@conv3x3)@avgpool3x3"
    );
    // Zeros are followed through node 1, and no further than a sum of zeros.
    assert_eq!(
        text("|none~0|+|none~0|nor_conv_3x3~1|+|none~0|nor_conv_3x3~1|nor_conv_1x1~2|"),
        "#+#+(#+#)@conv1x1"
    );
    // A sum in a sum runs on, so that 0+(0+0) is (0+0)+0.
    assert_eq!(
        text(
            "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|"
        ),
        "#+0+0+0"
    );
    let other = super::tests::space("choose { none | skip }");
    let architecture = other.unrank(&BigUint::default());
    let codecs = codec::Codec::ALL.iter();
    assert!(
        codecs
            .filter_map(|(_, c)| c.unique_text(&other, &architecture))
            .next()
            .is_none()
    );
}

#[test]
fn the_heaviest_nasbench201_cell_costs_what_was_published() {
    let space = Space::load(Path::new("search-spaces/nasbench201.space")).unwrap();
    let all_conv: Vec<String> = space
        .choices()
        .iter()
        .map(|c| format!("{}=conv3x3", c.path))
        .collect();
    let architecture = space.parse_genotype(&all_conv.join(" ")).unwrap();
    let costs = space.network(&architecture).unwrap().costs();
    // The benchmark's table lists 1.531546 MB of parameters and 220.11969 M
    // FLOPs (batch norm and pooling counted among the latter, hence 1 %).
    assert_eq!(costs.params, 1_531_546);
    let published = 220.11969e6;
    assert!(
        (costs.macs as f64 - published).abs() < 0.01 * published,
        "{}",
        costs.macs
    );
}

#[test]
fn mutation_changes_and_crossover_inherits() {
    let space = Space::load(Path::new("search-spaces/quickstart.space")).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..200 {
        let (a, b) = (space.sample(&mut rng), space.sample(&mut rng));
        let mutant = space.mutate(&a, &mut rng);
        assert_ne!(a, mutant);
        space.network(&mutant).unwrap();
        let child = space.crossover(&a, &b, &mut rng);
        space.network(&child).unwrap();
        for (choice, option) in child.decisions() {
            let parents = [a.option(*choice), b.option(*choice)];
            if parents.iter().any(Option::is_some) {
                assert!(parents.contains(&Some(*option)));
            }
        }
    }
}

#[test]
fn the_hash_ignores_layout_and_comments() {
    let a = Space::parse("a", "space t input image 3x8x8 network { relu bn }").unwrap();
    let b = Space::parse(
        "b",
        "space t # named\ninput image 3x8x8\nnetwork {\n  relu\n  bn }",
    )
    .unwrap();
    let c = Space::parse("c", "space t input image 3x8x8 network { bn relu }").unwrap();
    assert_eq!(a.hash(), b.hash());
    assert_ne!(a.hash(), c.hash());
}

#[test]
fn an_unknown_operator_is_named_with_a_suggestion() {
    insta::assert_snapshot!(seen("conv3x3(8) bm relu"));
}

#[test]
fn a_shape_that_does_not_fit_names_the_choice_and_an_example() {
    insta::assert_snapshot!(seen(
        "conv3x3({8, 12})\n  conv(3, 16, groups {1, 8})\n  pool avg global"
    ));
}

#[test]
fn an_empty_choice_is_an_error() {
    insta::assert_snapshot!(seen("conv(3, {})"));
    insta::assert_snapshot!(seen("choose { }"));
}

#[test]
fn several_errors_come_together() {
    insta::assert_snapshot!(seen("cnv3x3(8)\n  conv3x3(8, strid 2)\n  linear(nowhere)"));
}

#[test]
fn a_network_must_end_in_its_classes() {
    let text = "space t\ninput image 3x8x8\nclasses 10\nnetwork { conv3x3(8) }";
    let error = Space::parse("t.space", text).unwrap_err();
    insta::assert_snapshot!(error.problems()[0].message, @"the network must end in a vector of 10 classes, not in a 8x8x8 tensor");
}

#[test]
fn limits_end_in_errors() {
    let deep = format!("{}relu{}", "repeat 1 { ".repeat(80), " }".repeat(80));
    assert!(seen(&deep).contains("nested more than 64 deep"));
    assert!(seen("repeat 900 { repeat 900 { relu } }").contains("unrolls to more than"));
    assert!(seen("repeat 2000 { relu }").contains("cannot repeat 2000 times"));
    let recursive = "block a { a } network { a }";
    assert!(seen(recursive).contains("uses itself"));
    let many = "repeat 10 { conv3x3({1..1000}) conv1x1(channels * {1..50} + {0..99}) }";
    assert!(seen(many).contains("different shapes"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = Space::parse("p", &text);
    }

    #[test]
    fn no_sequence_of_words_makes_the_checker_panic(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "conv", "conv3x3", "depthwise", "bn", "relu", "skip", "none", "linear", "{", "}",
                "(", ")", ",", "|", "3", "8", "0", "1..3", "repeat", "stage", "s", "shared",
                "choose", "when", "residual", "in", "out", "==", "*", "-", "first", "else", "a",
                "=", "->", "+", "input", "pick", "if", "let", ":", "pool", "avg", "global",
                "flatten", "stride", "1.5", "with", ",", "x", "divisible", "index", "channels", "concat", "se",
            ]),
            0..40,
        )
    ) {
        if let Ok(space) = parse(&words.join(" ")) {
            prop_assert!(space.drawing().ends_with("</svg>"));
        }
    }

    #[test]
    fn every_index_gives_a_distinct_architecture(seed in 0u64..1000) {
        let space = Space::load(Path::new("search-spaces/quickstart.space")).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let a = space.sample(&mut rng);
        let text = space.genotype(&a);
        prop_assert_eq!(space.parse_genotype(&text).unwrap(), a);
    }
}

#[test]
fn mobilenetv2_has_the_published_costs() {
    // Sandler et al. 2018, table 2 and 4: 300 M multiply-adds, 3.4 M parameters
    // (torchvision counts 3,504,872 and 300.77 M for the same network).
    let text = "space mobilenetv2
input image 3x224x224
classes 1000
block bottleneck(expand, out, stride) {
  if expand != 1 { conv1x1(in * expand) bn relu6 }
  depthwise3x3(stride) bn relu6
  conv1x1(out) bn
  residual when stride == 1 and in == out
}
network {
  conv3x3(32, stride 2) bn relu6
  bottleneck(1, 16, 1)
  repeat 2 { bottleneck(6, 24, first 2) }
  repeat 3 { bottleneck(6, 32, first 2) }
  repeat 4 { bottleneck(6, 64, first 2) }
  repeat 3 { bottleneck(6, 96, 1) }
  repeat 3 { bottleneck(6, 160, first 2) }
  bottleneck(6, 320, 1)
  conv1x1(1280) bn relu6
  pool avg global
  linear(classes)
}";
    let space = Space::parse("mobilenetv2", text).unwrap();
    assert_eq!(space.count(), &BigUint::from(1u8));
    let costs = space
        .network(&space.unrank(&BigUint::default()))
        .unwrap()
        .costs();
    assert_eq!(costs.params, 3_504_872);
    assert_eq!(costs.macs, 300_774_272);
}

mod grammar;
mod language;
mod pattern;
mod uniform;

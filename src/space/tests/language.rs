//! The language's constructs beyond chains: inputs, imports, tensors as
//! arguments, picked edges, products, bit widths and constraints.

use super::*;

fn load(files: &[(&str, &str)]) -> Result<Space, Box<SpaceError>> {
    let mut import = |from: &str, path: &str| {
        let name = Path::new(from).with_file_name(path).display().to_string();
        files
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(name, text)| Source {
                name: name.to_string(),
                text: text.to_string(),
            })
            .ok_or_else(|| format!("cannot import {name}"))
    };
    let (name, text) = files[0];
    Space::parse_with(name, text, &mut import)
}

fn rendered(error: &SpaceError) -> String {
    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::none());
    let mut out = String::new();
    handler.render_report(&mut out, error).unwrap();
    out
}

#[test]
fn resolutions_are_a_choice() {
    let text = "space t\ninput image 3x{8, 16..24 step 8}\nnetwork { conv3x3({4, 8}, stride 2) }";
    assert!(
        Space::parse("t", text).is_err(),
        "a range is not one of several values"
    );
    let text = "space t\ninput image 3x{8, 16}\nclasses 2\nnetwork {
        conv3x3({4, 8}, stride 2) pool avg global linear(classes) }";
    let space = Space::parse("t", text).unwrap();
    assert_eq!(enumerated(&space), 4);
    assert_eq!(
        space.inputs(),
        [Shape::image(3, 8, 8), Shape::image(3, 16, 16)]
    );
    let architecture = space.parse_genotype("resolution=16 out=4").unwrap();
    let network = space.network(&architecture).unwrap();
    assert_eq!(network.input_shape(), Shape::image(3, 16, 16));
    let ranged = text.replace("{8, 16}", "{8..24 step 8}");
    assert_eq!(
        Space::parse("t", &ranged).unwrap().count(),
        &BigUint::from(6u8)
    );
}

#[test]
fn a_resolution_that_does_not_fit_is_blamed() {
    let text = "space t\ninput image 3x{8, 9}\nnetwork {
        a = input -> conv3x3(3, stride 2)
        b = input -> maxpool(2, 2)
        c = a + b }";
    let error = Space::parse("t", text).unwrap_err();
    insta::assert_snapshot!(rendered(&error));
}

#[test]
fn sequences_and_tables_are_inputs() {
    let tabular = "space t\ninput tabular 6\nclasses 3\nnetwork {
        repeat 1..2 { linear({8, 16}) relu } linear(classes) }";
    assert_eq!(
        Space::parse("t", tabular).unwrap().count(),
        &BigUint::from(6u8)
    );
    let sequence =
        "space t\ninput sequence 12x5\nnetwork { if length == 12 and channels == 5 { relu } }";
    let space = Space::parse("t", sequence).unwrap();
    assert_eq!(space.inputs(), [Shape::tokens(12, 5)]);
    let tokens = "space t\ninput tokens {16, 32} vocab 100\nnetwork { if vocab == 100 { skip } }";
    let space = Space::parse("t", tokens).unwrap();
    assert_eq!(space.inputs(), [Shape::ids(16), Shape::ids(32)]);
    assert_eq!(space.choices()[0].path, "length");
}

#[test]
fn tensors_are_arguments() {
    let text = "block join(c, other) {
          a = input -> conv1x1(c)
          b = other -> conv1x1(c)
          if height(other) == height and channels(other) > 0 { relu }
          y = a + b
        }
        network { x = input -> conv3x3(8)  y = x -> join({4, 6}, input)  join(2, x) }";
    let space = space(text);
    assert_eq!(enumerated(&space), 2);
    let network = space.network(&space.unrank(&BigUint::default())).unwrap();
    assert_eq!(network.output_shape().channels(), 2);
    assert!(seen("a = input -> relu  conv1x1(channels(b))").contains("no tensor `b`"));
    assert!(seen("conv1x1(channels(3 + 4))").contains("needs the name of one tensor"));
}

#[test]
fn picked_edges_choose_their_operators() {
    let text = "a = input -> conv3x3(3)
        b = input -> conv1x1(3)
        n = pick 2 {input, a, b} through { choose op { conv3x3(3) | relu | skip } }";
    let space = space(text);
    // Three pairs of inputs, three operators on each of two edges.
    assert_eq!(enumerated(&space), 3 * 9);
    let paths: Vec<&str> = space.choices().iter().map(|c| c.path.as_str()).collect();
    assert_eq!(paths, ["n[0].op", "n[1].op", "n.inputs"]);
    let genotype = "n[0].op=relu n[1].op=skip n.inputs=input+b";
    let architecture = space.parse_genotype(genotype).unwrap();
    let network = space.network(&architecture).unwrap();
    // input, conv1x1 (b), relu (on input), add.
    assert_eq!(network.nodes().len(), 4);
}

#[test]
fn an_edge_sees_the_tensor_it_takes() {
    // As in DARTS' reduction cells: only edges from the cell's input stride.
    let text = "h: height / 2
        a = input -> conv3x3(3, stride 2)
        n = pick {input, a} through { conv3x3(3, stride: height / h) residual when in == 3 and height == h }";
    // The residual of an edge is the tensor that enters it.
    assert!(seen(text).contains("residual cannot be added"));
    let fits = text.replace(" residual when in == 3 and height == h", "");
    assert_eq!(enumerated(&space(&fits)), 2);
}

#[test]
fn a_product_gates() {
    let text = "gate = input -> pool avg global -> conv1x1(3) -> sigmoid
        y = input -> conv3x3(3) * gate";
    let network = space(text)
        .network(&space(text).unrank(&BigUint::default()))
        .unwrap();
    let last = network.nodes().last().unwrap();
    assert_eq!(last.op, crate::network::Op::Mul);
    assert!(seen("x = input * (input -> conv1x1(4))").contains("cannot be scaled"));
}

#[test]
fn elastic_depth_costs_no_more_than_its_deepest_option() {
    // Each depth over copies of the rounds would make 500,000 steps of this.
    let space = space("repeat 0..999 { conv({1, 3}, 3) }");
    let ways = (BigUint::from(1u8) << 1000u32) - 1u8;
    assert_eq!(space.count(), &ways);
    let deep = space.unrank(&(ways - 1u8));
    space.network(&deep).unwrap();
}

#[test]
fn a_fault_in_a_late_round_names_the_depth() {
    insta::assert_snapshot!(seen("repeat 1..3 { conv(3, channels - 1) } linear(2)"));
    insta::assert_snapshot!(seen("repeat 1..4 { conv(3, channels - 1) }"));
}

#[test]
fn bit_widths_hold_to_the_end_of_the_braces() {
    let text = "precision(weights: {4, 8}, activations: 8)
        conv3x3(4)
        repeat 1 { precision(weights: 2) conv3x3(4) }
        conv3x3(4)";
    let space = space(text);
    assert_eq!(enumerated(&space), 2);
    let architecture = space.parse_genotype("weights=4").unwrap();
    let network = space.network(&architecture).unwrap();
    let bits: Vec<(u8, u8)> = network.nodes()[1..]
        .iter()
        .map(|n| (n.precision.weights, n.precision.activations))
        .collect();
    assert_eq!(bits, [(4, 8), (2, 32), (4, 8)]);
    assert!(seen("precision(weights: 0) relu").contains("1 to 32 bits"));
    assert!(seen("precision(bits: 8) relu").contains("no parameter `bits`"));
}

const WIDE: &str = "space t\ninput image 3x8x8\nnetwork { repeat 1..3 { conv3x3({4, 16, 64}) } }";

#[test]
fn constraints_are_kept_by_every_operator() {
    let text = format!("{WIDE}\nrequire params < 2K\nrequire macs > 10K");
    let space = Space::parse("t", &text).unwrap();
    assert_eq!(space.count(), &BigUint::from(3u32 + 9 + 27));
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let within = |a: &Architecture| {
        let costs = space.network(a).unwrap().costs();
        costs.params < 2_000 && costs.macs > 10_000
    };
    let mut parent = space.sample(&mut rng);
    for _ in 0..200 {
        let (a, b) = (space.sample(&mut rng), space.sample(&mut rng));
        parent = space.mutate(&parent, &mut rng);
        let child = space.crossover(&a, &b, &mut rng);
        assert!([&a, &b, &parent, &child].into_iter().all(&within));
    }
    let kept: Vec<Architecture> = space.enumerate().collect();
    assert!(!kept.is_empty() && kept.len() < 39 && kept.iter().all(within));
}

#[test]
fn a_rare_constraint_is_reached_by_mutations() {
    // One in 3^12 has all layers narrow.
    let text = "space t\ninput image 3x8x8
        require params < 2K
        network { repeat 12 { conv3x3({4, 16, 64}) } }";
    let space = Space::parse("t", text).unwrap();
    let architecture = space.sample(&mut ChaCha8Rng::seed_from_u64(1));
    assert!(space.admits(&architecture));
}

#[test]
fn constraints_that_cannot_be_met_are_an_error() {
    let text = format!("{WIDE}\nrequire params < 100\n");
    let error = Space::parse("t", &text).unwrap_err();
    insta::assert_snapshot!(rendered(&error));
    let text = format!("{WIDE}\nrequire parms < 100\nrequire macs = 5\nrequire memory < {{1, 2}}");
    let error = Space::parse("t", &text).unwrap_err();
    insta::assert_snapshot!(rendered(&error));
}

const LIBRARY: &str = "library mobile
let wide = 16
block mb(out) { depthwise3x3 bn relu conv1x1(out) bn }
";

#[test]
fn imports_bring_blocks_and_values() {
    let files = [
        (
            "a.space",
            "space a\ninput image 3x8x8\nimport \"lib.space\"\nnetwork { mb({8, wide}) }",
        ),
        ("lib.space", LIBRARY),
    ];
    let space = load(&files).unwrap();
    assert_eq!(space.count(), &BigUint::from(2u8));
    // The text needs no other file, and is the same space.
    let again = Space::parse("stored", space.text()).unwrap();
    assert_eq!(again.hash(), space.hash());
    let network = |s: &Space| s.network(&s.unrank(&BigUint::default())).unwrap().hash();
    assert_eq!(network(&again), network(&space));
}

#[test]
fn a_library_is_imported_once_and_may_import() {
    let files = [
        (
            "a.space",
            "space a input image 3x8x8 import \"b.space\" import \"lib.space\" network { twice }",
        ),
        (
            "b.space",
            "library b import \"lib.space\" import \"b.space\" block twice { mb(8) mb(8) }",
        ),
        ("lib.space", LIBRARY),
    ];
    load(&files).unwrap();
}

#[test]
fn errors_point_into_the_imported_file() {
    let wrong = LIBRARY.replace("relu", "rellu");
    let files = [
        (
            "a.space",
            "space a\ninput image 3x8x8\nimport \"lib.space\"\nnetwork { mb(8) }",
        ),
        ("lib.space", wrong.as_str()),
    ];
    insta::assert_snapshot!(rendered(&load(&files).unwrap_err()));
    insta::assert_snapshot!(rendered(&load(&files[..1]).unwrap_err()));
    let not_a_library = [
        files[0],
        ("lib.space", "space lib input image 3x8x8 network { relu }"),
    ];
    insta::assert_snapshot!(rendered(&load(&not_a_library).unwrap_err()));
}

#[test]
fn an_import_without_files_says_so() {
    let text = "space a\nimport \"lib.space\"\nimport lib\ninput image 3x8x8\nnetwork { relu }";
    let error = Space::parse("t", text).unwrap_err();
    insta::assert_snapshot!(rendered(&error));
    assert!(
        Space::parse("t", LIBRARY).unwrap_err().problems()[0]
            .message
            .contains("library")
    );
    assert!(seen("relu \"open").contains("quotes are not closed"));
}

#[test]
fn one_wrong_line_does_not_hide_the_others() {
    insta::assert_snapshot!(seen(
        "network {
  conv3x3(8,, stride 2) bn
  repeat 1.. { relu }
  choose { conv3x3(8) | | skip }
  stage { relu }
  conv1x1(8)
}"
    ));
}

#[test]
fn a_repeat_hands_tensors_to_its_next_round() {
    // As DARTS's cells: each takes the outputs of the last two.
    let by_hand = "a = input -> conv3x3(4)
        b = a + a -> conv3x3(4)
        c = b + a -> conv3x3(4)
        d = c + b -> conv3x3(4)
        y = concat(d, c)";
    let carried = "last = input -> conv3x3(4)
        repeat 3 with last, before = last {
          next = last + before -> conv3x3(4)
          before = last
          last = next
        }
        y = concat(last, before)";
    let hash = |text: &str| {
        let space = space(text);
        assert_eq!(space.count(), &BigUint::from(1u8));
        space
            .network(&space.unrank(&BigUint::default()))
            .unwrap()
            .hash()
    };
    assert_eq!(hash(carried), hash(by_hand));
    // All starts are read before any is named, and both may change places.
    let swapped = carried
        .replace("last, before = last", "last = before, before = last")
        .replace(
            "last = input -> conv3x3(4)",
            "last = input -> conv3x3(4)\nbefore = last",
        );
    assert_eq!(hash(&swapped), hash(by_hand));
    // A wider second tensor tells which of the two a round takes.
    let turned = "a = input -> conv3x3(4)
        repeat 3 with a, b = input { t = a  a = b  b = t }
        repeat with_name 1 { skip }
        y = a -> conv1x1(2)";
    assert_eq!(hash(turned), hash("conv1x1(2)"));
}

#[test]
fn carried_tensors_follow_choices_and_depth() {
    let text = "repeat 0..3 with x = input -> conv1x1({3, 8}) {
          x = x -> conv3x3({3, 5})
        }
        y = x -> relu";
    let space = space(text);
    // Two starts; none to three rounds of two widths.
    assert_eq!(enumerated(&space), 2 * (1 + 2 + 4 + 8));
    for architecture in space.enumerate() {
        let network = space.network(&architecture).unwrap();
        let widths: Vec<&str> = architecture
            .decisions()
            .iter()
            .filter(|(c, _)| space.choices()[*c].path != "repeat.depth")
            .map(|(c, o)| space.choices()[*c].labels[*o].as_str())
            .collect();
        let last = widths.last().unwrap().parse::<usize>().unwrap();
        assert_eq!(network.output_shape().channels(), last);
        assert_eq!(network.nodes().len(), 1 + widths.len() + 1);
    }
    assert_eq!(
        count("n: 2 repeat n with x = input { x = x -> conv({1, 3}, 3) }"),
        4
    );
}

#[test]
fn rounds_that_share_decisions_hand_tensors_on() {
    let text = "stage s shared { repeat 1..3 with last = input, before = input {
          next = last + before -> conv({1, 3}, 3)
          before = last
          last = next
        } }";
    let space = space(text);
    assert_eq!(enumerated(&space), 3 * 2);
    let by_hand = "a = input + input -> conv3x3(3)
        b = a + input -> conv3x3(3)
        c = b + a -> conv3x3(3)";
    let by_hand = super::space(by_hand);
    let network = by_hand.network(&by_hand.unrank(&BigUint::default()));
    let shared = space.parse_genotype("s.depth=3 s.kernel=3").unwrap();
    let shared = space.network(&shared).unwrap();
    assert_eq!(shared.hash(), network.unwrap().hash());
}

#[test]
fn a_repeat_with_tensors_begins_with_the_current_one() {
    // The start is read aside: the first round still follows the stem.
    let text = "conv3x3(8)
        repeat 1 with kept = input { width: channels  kept = kept -> conv1x1(width) }";
    let network = space(text)
        .network(&space(text).unrank(&BigUint::default()))
        .unwrap();
    assert_eq!(network.output_shape().channels(), 8);
}

#[test]
fn names_of_a_repeat_end_with_its_braces() {
    let inner = "repeat 1 { repeat 2 with x = input { x = x -> relu } } y = x + x";
    assert!(seen(inner).contains("there is no tensor `x`"));
    let stage = "stage s { repeat 2 with x = input { x = x -> relu } } y = x + x";
    assert!(seen(stage).contains("there is no tensor `x`"));
    count("repeat 2 with x = input { x = x -> relu } y = x + x");
    // Nested: the inner one hands on what the outer does.
    let nested = "repeat 2 with x = input { repeat 3 with x { x = x -> conv3x3(channels + 1) } }";
    let space = space(nested);
    let network = space.network(&space.unrank(&BigUint::default())).unwrap();
    assert_eq!(network.output_shape().channels(), 3 + 6);
}

#[test]
fn wrong_carried_tensors_are_explained() {
    insta::assert_snapshot!(seen(
        "last = input -> relu\n  repeat 3 with lost { lost = lost -> relu }\n  repeat 2 with last, q = input {\n    last = input -> relu\n  }"
    ));
    insta::assert_snapshot!(seen(
        "repeat 3 with { relu }\n  repeat 2 with a = input, a { relu }"
    ));
    insta::assert_snapshot!(seen(
        "repeat 4 with x = input {\n    y = x + (input -> conv3x3(channels))\n    x = x -> conv3x3(channels + 1)\n  }"
    ));
    assert!(seen("repeat 2 with x = input { x = input -> relu x: 3 }").contains("`x` is a value"));
}

#[test]
fn a_choice_is_placed_in_the_file_that_wrote_it() {
    let space = load(&[
        (
            "a.space",
            "space t\ninput image 3x8x8\nimport \"lib/b.space\"\nnetwork {\n  conv({1, 3}, 8) b }",
        ),
        (
            "lib/b.space",
            "library l\n\nblock b {\n  conv1x1({4, 8})\n}",
        ),
    ])
    .unwrap();
    let places: Vec<String> = space
        .choices()
        .iter()
        .map(|c| space.place(c.span))
        .map(|p| format!("{}:{}: {}", p.file, p.line, p.text))
        .collect();
    assert_eq!(
        places,
        [
            "a.space:5: conv({1, 3}, 8) b }",
            "lib/b.space:4: conv1x1({4, 8})"
        ]
    );
}

/// A network over a sequence of this many steps and features.
fn over_sequence(dims: &str, body: &str) -> Result<Space, Box<SpaceError>> {
    let text = format!("space t\ninput sequence {dims}\nnetwork {{ {body} }}");
    Space::parse("t", &text)
}

#[test]
fn a_state_space_block_has_the_parameters_of_mamba_2() {
    // mamba2-130m (Dao & Gu 2024): 24 such blocks of width 768, 64 channels a
    // head, state 128, each behind an RMS norm; a last norm; 50,288 tokens whose
    // embedding is also the output.
    let space = over_sequence("16x768", "rmsnorm ssm(heads: 24, state: 128)").unwrap();
    let network = space.network(&space.unrank(&BigUint::default())).unwrap();
    let costs = network.costs();
    let whole = 24 * costs.params + 768 + 50_288 * 768;
    assert_eq!(whole, 128_989_632);
    assert_eq!(network.output_shape(), Shape::tokens(16, 768));
}

#[test]
fn sequences_are_convolved_and_pooled() {
    // Keyword spotting: 49 frames of 40 features.
    let space = over_sequence(
        "49x40",
        "conv1d(5, 32, stride 2) bn relu
        choose { depthwise1d({3, 9}) bn relu | separable1d(9, 32, causal true) | skip }
        conv1d(kernel 3, out 32, dilation 4, groups 2, causal true, bias true)
        pool max (3, stride 2) zero(2)
        ssm(4, 8, expand: {1, 2}, kernel: 3)
        pool avg global linear(12)",
    )
    .unwrap();
    assert_eq!(enumerated(&space), 8);
    let network = space.network(&space.unrank(&BigUint::default())).unwrap();
    assert_eq!(network.output_shape(), Shape::vector(12));
    let wrong = |body: &str| rendered(&over_sequence("49x40", body).unwrap_err());
    insta::assert_snapshot!(
        [
            wrong("conv3x3(8)"),
            wrong("convld(3, 8)"),
            wrong("conv1d(3, 8, casual true)"),
            wrong("ssm(7, 16)"),
            wrong("conv1d(3, 10, groups 3)"),
        ]
        .join("\n")
    );
}

#[test]
fn sizes_beyond_counting_are_told_at_their_place() {
    let big = "space t\ninput image 3x{8, 65536}\nnetwork { conv1x1(1048576) }";
    insta::assert_snapshot!(rendered(&Space::parse("t", big).unwrap_err()));
    for (text, part) in [
        (
            "input image 9999999x9999999x9999999\nnetwork { relu }",
            "numbers",
        ),
        (
            "input image 3x8x8\nnetwork { conv(1048575, 1048576) }",
            "its weights",
        ),
        (
            "input image 3x8x8\nnetwork { attention(1048576, dim 1048576) }",
            "its output",
        ),
        (
            "input image 3x8x8\nnetwork { conv3x3(2097152) }",
            "must lie in",
        ),
        (
            "input tabular 1000000\nnetwork { linear(1000000) }",
            "its weights",
        ),
        (
            "input sequence 1048576x64\nnetwork { attention(8) }",
            "intermediate",
        ),
        (
            "input sequence 99x64\nnetwork { conv1d(1048576, 1048576) }",
            "its weights",
        ),
        (
            "input sequence 99x64\nnetwork { ssm(1, 1048576, expand 1048576) }",
            "multiply-accumulates",
        ),
        (
            "input tokens 128 vocab 1000000\nnetwork { embedding(vocab, 1048576) }",
            "its weights",
        ),
        (
            "input image 3x8x8\nlet low = 0 - 9223372036854775807 - 1\nnetwork { conv3x3(low / (0 - 1)) }",
            "overflows",
        ),
        (
            "input image 3x8x8\nlet low = 0 - 9223372036854775807 - 1\nnetwork { conv3x3(low % (0 - 1)) }",
            "must lie in",
        ),
    ] {
        let error = Space::parse("t", &format!("space t\n{text}")).unwrap_err();
        assert!(
            rendered(&error).contains(part),
            "{text}: {}",
            rendered(&error)
        );
    }
    // Channels that double in each round end in an error, not in a wrap.
    let doubling =
        "space t\ninput image 3x8x8\nblock twice { x = input -> skip y = concat(x, input) }
        network { repeat 60 { twice } }";
    let error = Space::parse("t", doubling).expect_err("too large");
    assert!(
        rendered(&error).contains("its output has"),
        "{}",
        rendered(&error)
    );
}

#[test]
fn attention_takes_relative_positions() {
    let space = over_sequence(
        "26x24",
        "attention(3, relative: {0, 2, 4}) attention(2, relative 5, grid true)",
    )
    .unwrap();
    assert_eq!(enumerated(&space), 3);
    let wrong = |body: &str| rendered(&over_sequence("24x24", body).unwrap_err());
    assert!(wrong("attention(3, grid true)").contains("`grid` goes with `relative`"));
    assert!(wrong("attention(3, relative 2, grid true)").contains("no square image"));
    assert!(wrong("attention(3, relativ 2)").contains("did you mean `relative`?"));
}

use super::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn space(text: &str) -> Space {
    Space::parse("t", text).unwrap_or_else(|e| panic!("{e:?}"))
}

fn all(_: ChoiceId, open: &[usize]) -> Picked {
    Picked::Mixed(open.to_vec())
}

fn places(mixed: &MixedNetwork) -> Vec<&str> {
    mixed.places.iter().map(|p| &**p).collect()
}

#[test]
fn placed_networks_are_the_architectures_own() {
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/search-spaces")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "space") {
            continue;
        }
        let space = Space::load(&path).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..4 {
            let architecture = space.sample(&mut rng);
            let placed = space.placed(&architecture);
            assert_eq!(
                placed.network,
                space.network(&architecture).unwrap(),
                "{path:?}"
            );
            let mut seen = std::collections::BTreeSet::new();
            for (node, place) in placed.network.nodes().iter().zip(&placed.places) {
                assert_eq!(node.op.is_learned(), !place.is_empty());
                assert!(
                    place.is_empty() || seen.insert(place.clone()),
                    "{place} twice"
                );
            }
        }
    }
}

#[test]
fn options_have_places_of_their_own_and_values_share_theirs() {
    let space = space(
        "space t input image 3x8x8 network {
            choose { a => conv(3, {4, 8}) | b => conv(5, 8) } conv(1, 2) }",
    );
    let of = |text: &str| {
        let placed = space.placed(&space.parse_genotype(text).unwrap());
        places(&placed)
            .iter()
            .map(|p| p.to_string())
            .collect::<Vec<_>>()
    };
    let all: Vec<Vec<String>> = space.enumerate().map(|a| of(&space.genotype(&a))).collect();
    assert_eq!(all.len(), 3);
    assert_eq!(all[0], all[1]);
    assert_ne!(all[0][1], all[2][1]);
    assert_eq!(all[0][2], all[2][2]);
}

#[test]
fn outputs_of_options_meet_in_one_node() {
    let space = space(
        "space t input image 3x8x8 network {
            conv(1, 4) choose { a => conv(3, 4) relu | b => skip | c => maxpool3x3 } conv(1, 2) }",
    );
    let mixed = space.mixed(&mut all).unwrap();
    let [(node, mix)] = mixed.mixes.iter().collect::<Vec<_>>()[..] else {
        panic!("{:?}", mixed.mixes)
    };
    assert_eq!(mix.options, [0, 1, 2]);
    let node = mixed.network.node(*node);
    assert_eq!(node.inputs.len(), 3);
    assert_eq!(node.inputs[1], NodeId(1));
}

#[test]
fn widths_meet_in_the_widest_behind_their_normalisation() {
    let space = space(
        "space t input image 3x8x8 network {
            conv(3, {4, 8}) bn relu depthwise(3) bn conv(1, 2) }",
    );
    let mixed = space.mixed(&mut all).unwrap();
    let last = mixed.mixes.keys().last().unwrap();
    assert_eq!(mixed.network.shape(*last).channels(), 8);
    let inputs = &mixed.network.node(*last).inputs;
    let channels: Vec<usize> = inputs
        .iter()
        .map(|i| mixed.network.shape(*i).channels())
        .collect();
    assert_eq!(channels, [4, 8]);
    // They share the last normalisation, and all before it.
    assert_eq!(mixed.places[inputs[0].0], mixed.places[inputs[1].0]);
    assert_eq!(mixed.network.output_shape().channels(), 2);
    assert_eq!(mixed.network.nodes().last().unwrap().inputs[0], *last);
}

#[test]
fn a_value_inside_a_block_is_built_with_all_that_reads_it() {
    let space = space(
        "space t input image 8x8x8
        block mb { expand: {2, 4} conv1x1(in * expand) bn relu depthwise3x3 bn relu conv1x1(8) bn
            residual }
        network { stage s { repeat 1..3 { mb } } pool avg global }",
    );
    let mixed = space.mixed(&mut all).unwrap();
    // Three expansions and the depth; what the depths have in common is there once.
    assert_eq!(mixed.mixes.len(), 4);
    let convolutions = mixed
        .network
        .nodes()
        .iter()
        .filter(|n| matches!(n.op, crate::network::Op::Conv(_)))
        .count();
    // The expanded parts twice each; the projection, being linear, reads their mix.
    assert_eq!(convolutions, 3 * (2 + 2 + 1));
}

#[test]
fn a_second_path_is_marked_and_ends_beside_the_first() {
    let space = space(
        "space t input image 3x8x8 network {
            conv(1, {4, 6}) choose { a => conv(3, 4) relu | b => conv(5, 4) } conv(1, 2) }",
    );
    let mut two = |_: ChoiceId, _: &[usize]| Picked::Gated {
        active: 0,
        passive: Some(1),
    };
    let mixed = space.mixed(&mut two).unwrap();
    assert_eq!(mixed.mixes.len(), 2);
    for node in mixed.mixes.keys() {
        let inputs = &mixed.network.node(*node).inputs;
        assert_eq!(inputs.len(), 2);
        assert!(!mixed.passive[inputs[0].0] && mixed.passive[inputs[1].0]);
        assert_eq!(mixed.network.shape(*node).channels(), 4);
        assert!(!mixed.passive[node.0]);
    }
}

#[test]
fn an_option_gated_alone_is_weighed_and_what_it_leaves_alone_is_not() {
    let space = space(
        "space t input image 3x8x8
        block e { choose { x => conv(3, 4) | y => skip } }
        network {
            a = input -> conv(1, 4)
            b = a -> e -> conv(1, 2)
            c = a + a }",
    );
    let mut one = |_: ChoiceId, _: &[usize]| Picked::Gated {
        active: 1,
        passive: None,
    };
    let mixed = space.mixed(&mut one).unwrap();
    assert!(
        mixed.mixes.is_empty(),
        "nothing that is read depends on the choice"
    );
    let space = self::space(
        "space t input image 3x8x8 network {
            conv(1, 4) choose { x => conv(3, 4) | y => skip } conv(1, 2) }",
    );
    let mixed = space.mixed(&mut one).unwrap();
    let [(_, mix)] = mixed.mixes.iter().collect::<Vec<_>>()[..] else {
        panic!("{:?}", mixed.mixes)
    };
    assert_eq!(mix.options, [1]);
}

#[test]
fn shared_cells_ask_once_and_have_weights_of_their_own() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/search-spaces/nasbench201.space"
    );
    let space = Space::load(std::path::Path::new(path)).unwrap();
    let mut asked = Vec::new();
    let mixed = space
        .mixed(&mut |choice, open: &[usize]| {
            asked.push(choice);
            Picked::Mixed(open.to_vec())
        })
        .unwrap();
    assert_eq!(asked.len(), 6);
    assert_eq!(mixed.mixes.len(), 15 * 6);
    let learned: Vec<&str> = places(&mixed)
        .into_iter()
        .filter(|p| !p.is_empty())
        .collect();
    let distinct: std::collections::BTreeSet<&&str> = learned.iter().collect();
    assert_eq!(learned.len(), distinct.len());
}

#[test]
fn what_cannot_be_mixed_names_the_choice() {
    let refused = |text: &str| {
        let error = space(text).mixed(&mut all).unwrap_err();
        format!("{:?}", miette::Report::new(*error))
    };
    let resolution =
        refused("space t input image 3x{8, 16} network { conv(1, 4) pool avg global }");
    assert!(
        resolution.contains("`resolution` cannot be relaxed"),
        "{resolution}"
    );
    let bits =
        refused("space t input image 3x8x8 network { precision(weights: {4, 8}) conv(1, 4) }");
    assert!(
        bits.contains("cannot be relaxed: it decides bit widths"),
        "{bits}"
    );
    let stride =
        refused("space t input image 3x8x8 network { conv(3, 4, stride: {1, 2}) pool avg global }");
    assert!(stride.contains("cannot be relaxed"), "{stride}");
}

/// What a differentiable search can do with every space that comes along.
#[test]
fn shipped_spaces_are_relaxed_or_refused_with_a_reason() {
    use rand::RngExt;
    let mut found = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/search-spaces")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "space") {
            continue;
        }
        let space = Space::load(&path).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut two = |_: ChoiceId, open: &[usize]| {
            let active = rng.random_range(0..open.len());
            Picked::Gated {
                active: open[active],
                passive: (open.len() > 1).then(|| open[(active + 1) % open.len()]),
            }
        };
        let say = |made: Result<MixedNetwork, Box<SpaceError>>| match made {
            Ok(_) => "yes".to_string(),
            Err(error) => {
                let text = format!("{:?}", miette::Report::new(*error));
                let line = text
                    .lines()
                    .find(|l| l.contains("relaxed") || l.contains("too many"));
                line.unwrap_or(&text)
                    .trim_start_matches([' ', '×'])
                    .to_string()
            }
        };
        let paths: Vec<String> = (0..8).map(|_| say(space.mixed(&mut two))).collect();
        let one = paths
            .iter()
            .find(|p| *p != "yes")
            .unwrap_or(&paths[0])
            .clone();
        let mixed = say(space.mixed(&mut all));
        found.insert(space.name().to_string(), (one, mixed));
    }
    let refused: Vec<&str> = found
        .iter()
        .filter(|(_, (one, mixed))| one != "yes" || mixed != "yes")
        .map(|(name, _)| name.as_str())
        .collect();
    let of_several_inputs = [
        "hybrid_lm",
        "mcu",
        "mobilenetv2",
        "mobilenetv3",
        "ofa_mobilenetv3",
    ];
    assert_eq!(refused, of_several_inputs, "{found:?}");
    for name in refused {
        let (one, mixed) = &found[name];
        assert!(
            one.contains("it decides the network's input"),
            "{name}: {one}"
        );
        assert_eq!(one, mixed);
    }
}

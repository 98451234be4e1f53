//! Sampling is uniform over architectures, by chi-squared tests. Seeds are fixed,
//! so that the tests cannot fail by chance; each is also shown to have the power
//! to reject a sampler that draws choice by choice.

use super::*;
use crate::space::step::ChoiceId;
use crate::space::walk::{Chooser, walk};

/// Nested choices, a condition that closes an option, an elastic depth, a cell
/// that decides once for two uses, a stage whose rounds share the inputs picked.
const MIXED: &str = "
block unit(out) {
  choose op {
      plain => conv(1, out)
    | deep => conv({1, 3}, out) bn
    | skip when in == out
  }
}
block cell shared { choose { relu | conv => depthwise({3, 5}) } }
block mix {
  x = input -> conv3x3(4)
  y = input -> conv1x1(4) -> relu
  z = pick {x, y}
}
network {
  width: {3, 6}
  stage a { repeat 1..2 { unit(width) } }
  cell
  stage s shared { repeat 2 { mix } }
  cell
}";

/// Draws for each architecture: enough for every expected count.
const DRAWS: usize = 200;
/// The 99.9 % point of the standard normal distribution.
const Z: f64 = 3.090_232;

/// The quantile of a chi-squared distribution at the probability of `z` under a
/// standard normal (Wilson and Hilferty 1931); off by less than 1 % from
/// 30 degrees of freedom on.
fn quantile(freedom: f64, z: f64) -> f64 {
    let ninth = 2.0 / (9.0 * freedom);
    freedom * (1.0 - ninth + z * ninth.sqrt()).powi(3)
}

#[test]
fn quantiles_are_those_of_tables() {
    for (freedom, low, high) in [
        (30.0, 11.588, 59.703),
        (100.0, 61.918, 149.449),
        (200.0, 143.843, 267.541),
    ] {
        assert!((quantile(freedom, Z) / high - 1.0).abs() < 0.01);
        assert!((quantile(freedom, -Z) / low - 1.0).abs() < 0.01);
    }
}

/// Chi-squared of so many draws for each architecture against the uniform
/// distribution over `all`.
fn chi_squared(all: &[Architecture], each: usize, mut draw: impl FnMut() -> Architecture) -> f64 {
    let mut seen: BTreeMap<&Architecture, usize> = all.iter().map(|a| (a, 0)).collect();
    for _ in 0..each * all.len() {
        let drawn = draw();
        *seen
            .get_mut(&drawn)
            .expect("only what is enumerated is drawn") += 1;
    }
    let expected = each as f64;
    seen.values()
        .map(|n| (*n as f64 - expected).powi(2) / expected)
        .sum()
}

/// Draws each choice uniformly among its open options: right for no space in
/// which some options lead to more choices than others.
struct PerChoice<'r> {
    rng: &'r mut ChaCha8Rng,
    taken: BTreeMap<ChoiceId, usize>,
}

impl Chooser for PerChoice<'_> {
    fn choose(&mut self, choice: ChoiceId, open: &[usize]) -> Result<usize, String> {
        use rand::RngExt;
        let option = open[self.rng.random_range(0..open.len())];
        Ok(*self.taken.entry(choice).or_insert(option))
    }
}

fn per_choice(space: &Space, rng: &mut ChaCha8Rng) -> Architecture {
    let taken = BTreeMap::new();
    let mut chooser = PerChoice { rng, taken };
    walk(space.program(), &mut chooser).unwrap();
    Architecture::new(chooser.taken.into_iter().collect())
}

/// The sampler passes at both ends, lest draws be too even to be random; drawing
/// choice by choice fails with a tenth of the draws.
fn check(space: &Space, expected: usize) {
    let all: Vec<Architecture> = space.enumerate().collect();
    assert_eq!(all.len(), expected);
    let freedom = (all.len() - 1) as f64;
    let (low, high) = (quantile(freedom, -Z), quantile(freedom, Z));

    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let ours = chi_squared(&all, DRAWS, || space.sample(&mut rng));
    let theirs = chi_squared(&all, DRAWS / 10, || {
        loop {
            let drawn = per_choice(space, &mut rng);
            if space.admits(&drawn) {
                return drawn;
            }
        }
    });
    println!("{expected} architectures: {ours:.1} and {theirs:.1} in {low:.1}..{high:.1}");
    assert!((low..high).contains(&ours), "{ours} in {low}..{high}");
    assert!(theirs > 2.0 * high, "{theirs} should exceed {high}");
}

#[test]
fn sampling_is_uniform_whatever_choices_depend_on() {
    // Widths 3 and 6: four and three first units, four second ones. Then the
    // cell's three forms and the stage's two inputs.
    check(&space(MIXED), (4 + 16 + 3 + 12) * 3 * 2);
}

#[test]
fn sampling_within_constraints_is_uniform() {
    let bounds = "require params < 520\nrequire macs > 20K\nnetwork {";
    check(&space(&MIXED.replace("network {", bounds)), 73);
}

//! Which architectures train in one step of a supernet.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::space::{Architecture, ChoiceKind, Space};

/// How the architectures of a step are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// One, uniformly (Guo et al. 2020, arXiv 1904.00420).
    Uniform,
    /// Several, in which together every option of a choice stands equally often
    /// (FairNAS, Chu et al. 2021, arXiv 1907.01845).
    Fair,
    /// The largest, the smallest and two at random (BigNAS, Yu et al. 2020, arXiv
    /// 2003.11142).
    #[default]
    Sandwich,
    /// One, which at first is the largest; then values vary, then depths, then all
    /// (progressive shrinking, Cai et al. 2020, arXiv 1908.09791).
    Progressive,
}

impl Sampling {
    pub const ALL: [Sampling; 4] = [
        Sampling::Uniform,
        Sampling::Fair,
        Sampling::Sandwich,
        Sampling::Progressive,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Sampling::Uniform => "uniform",
            Sampling::Fair => "fair",
            Sampling::Sandwich => "sandwich",
            Sampling::Progressive => "progressive",
        }
    }
}

impl std::str::FromStr for Sampling {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Sampling::ALL.into_iter().find(|s| s.name() == text);
        found.ok_or_else(|| {
            let names = Sampling::ALL.map(Sampling::name).join(", ");
            format!("there is no sampling `{text}`: choose among {names}")
        })
    }
}

/// The largest and the smallest architecture that were found.
#[derive(Debug, Clone, PartialEq)]
pub struct Extremes {
    pub largest: Architecture,
    pub smallest: Architecture,
}

/// Draws that a search for an extreme starts from the best of.
const DRAWS: usize = 64;
/// Rounds of the search, each one decision better.
const ROUNDS: usize = 200;

impl Extremes {
    /// By multiply-accumulates, then parameters: steepest ascent over single
    /// decisions, which ends at the true extremes where decisions do not work
    /// against each other.
    pub fn of(space: &Space, rng: &mut ChaCha8Rng) -> Extremes {
        Extremes {
            largest: extreme(space, rng, |size| size),
            smallest: extreme(space, rng, |(macs, params)| {
                (u64::MAX - macs, u64::MAX - params)
            }),
        }
    }
}

type Size = (u64, u64);

fn extreme(space: &Space, rng: &mut ChaCha8Rng, rank: impl Fn(Size) -> Size) -> Architecture {
    let rank = |architecture: &Architecture| {
        let network = space.network(architecture);
        let costs = network.expect("of this space").costs();
        rank((costs.macs, costs.params))
    };
    let drawn = (0..DRAWS).map(|_| space.sample(rng));
    let mut best = drawn.max_by_key(&rank).expect("some draws");
    for _ in 0..ROUNDS {
        let neighbours = space.neighbours(&best, rng).into_iter();
        match neighbours.max_by_key(&rank) {
            Some(next) if rank(&next) > rank(&best) => best = next,
            _ => break,
        }
    }
    best
}

impl Sampling {
    /// The architectures of a step, the largest first where it is among them.
    /// `progress` is the share of the training that is done.
    pub fn step(
        self,
        space: &Space,
        extremes: &Extremes,
        progress: f64,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Architecture> {
        match self {
            Sampling::Uniform => vec![space.sample(rng)],
            Sampling::Fair => fair(space, rng),
            Sampling::Sandwich => vec![
                extremes.largest.clone(),
                extremes.smallest.clone(),
                space.sample(rng),
                space.sample(rng),
            ],
            Sampling::Progressive => vec![released(space, &extremes.largest, progress, rng)],
        }
    }
}

/// Architectures in which together every option of a choice stands equally often.
pub(crate) fn fair(space: &Space, rng: &mut ChaCha8Rng) -> Vec<Architecture> {
    let mut orders: Vec<Vec<usize>> = space
        .choices()
        .iter()
        .map(|choice| (0..choice.labels.len()).collect())
        .collect();
    orders.iter_mut().for_each(|order| order.shuffle(rng));
    let rounds = orders.iter().map(Vec::len).max().unwrap_or(1);
    (0..rounds)
        .map(|round| {
            let decided = space.decide(|choice, open| {
                let wanted = orders[choice][round % orders[choice].len()];
                match open.contains(&wanted) {
                    true => wanted,
                    false => open[rng.random_range(0..open.len())],
                }
            });
            decided.unwrap_or_else(|| space.sample(rng))
        })
        .collect()
}

/// One whose choices of kinds not yet released are the largest's.
fn released(
    space: &Space,
    largest: &Architecture,
    progress: f64,
    rng: &mut ChaCha8Rng,
) -> Architecture {
    let from = |kind: ChoiceKind| match kind {
        ChoiceKind::Value => 0.25,
        ChoiceKind::Depth => 0.5,
        ChoiceKind::Option | ChoiceKind::Inputs | ChoiceKind::Resolution => 0.75,
    };
    let decided = space.decide(|choice, open| {
        let is_free = progress >= from(space.choices()[choice].kind);
        match largest.option(choice) {
            Some(option) if !is_free && open.contains(&option) => option,
            None if !is_free => open[open.len() - 1],
            _ => open[rng.random_range(0..open.len())],
        }
    });
    decided.unwrap_or_else(|| largest.clone())
}

//! Architectures out of a space: drawn, listed, mutated, crossed.

use num_bigint::BigUint;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Draws, Output};
use crate::space::Space;

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub fn sample(space: &Space, draws: &Draws, output: &Output) -> miette::Result<()> {
    let mut rng = rng(draws.seed);
    (0..draws.count).try_for_each(|_| output.print(space, &space.sample(&mut rng)))
}

pub fn enumerate(
    space: &Space,
    offset: u64,
    limit: Option<usize>,
    output: &Output,
) -> miette::Result<()> {
    let all = space.enumerate_from(BigUint::from(offset));
    all.take(limit.unwrap_or(usize::MAX))
        .try_for_each(|architecture| output.print(space, &architecture))
}

pub fn mutate(
    space: &Space,
    architecture: &str,
    draws: &Draws,
    output: &Output,
) -> miette::Result<()> {
    let parent = output.notation.read(space, architecture)?;
    let mut rng = rng(draws.seed);
    (0..draws.count).try_for_each(|_| output.print(space, &space.mutate(&parent, &mut rng)))
}

pub fn crossover(
    space: &Space,
    parents: [&str; 2],
    draws: &Draws,
    output: &Output,
) -> miette::Result<()> {
    let mother = output.notation.read(space, parents[0])?;
    let father = output.notation.read(space, parents[1])?;
    let mut rng = rng(draws.seed);
    (0..draws.count).try_for_each(|_| {
        let child = space.crossover(&mother, &father, &mut rng);
        output.print(space, &child)
    })
}

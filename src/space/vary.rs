//! How one architecture comes from others or from scratch: mutation, crossover,
//! neighbourhoods, and answers to every choice in turn.

use std::ops::Range;

use rand::{Rng, RngExt};

use super::step::ChoiceId;
use super::walk::{Chooser, walk};
use super::{Architecture, Space};

/// Attempts of mutation and crossover to keep to the constraints.
const TRIES: usize = 64;

/// Has every decision made once, by a function that is told the open options.
struct Decider<'a, F> {
    decide: &'a mut F,
    taken: Vec<Option<usize>>,
    order: Vec<(ChoiceId, usize)>,
}

impl<F: FnMut(ChoiceId, &[usize]) -> usize> Chooser for Decider<'_, F> {
    fn choose(&mut self, choice: ChoiceId, open: &[usize]) -> Result<usize, String> {
        if let Some(option) = self.taken[choice] {
            // A shared decision, met again.
            return match open.contains(&option) {
                true => Ok(option),
                false => Err("a shared decision is closed to a later instance".into()),
            };
        }
        let option = (self.decide)(choice, open);
        if !open.contains(&option) {
            return Err("the option is not open".into());
        }
        self.taken[choice] = Some(option);
        self.order.push((choice, option));
        Ok(option)
    }
}

/// Notes which options are open where, along an architecture.
struct Options<'a> {
    architecture: &'a Architecture,
    /// The choices with several open options, those in `options`.
    choices: Vec<(ChoiceId, Range<usize>)>,
    options: Vec<usize>,
}

impl Options<'_> {
    fn open(&self, (_, options): &(ChoiceId, Range<usize>)) -> &[usize] {
        &self.options[options.clone()]
    }
}

impl Chooser for Options<'_> {
    fn choose(&mut self, choice: ChoiceId, open: &[usize]) -> Result<usize, String> {
        if open.len() > 1 && !self.choices.iter().any(|(c, _)| *c == choice) {
            let first = self.options.len();
            self.options.extend_from_slice(open);
            self.choices.push((choice, first..self.options.len()));
        }
        self.architecture
            .option(choice)
            .ok_or_else(|| "not decided".into())
    }
}

impl Space {
    /// Draws an architecture uniformly among all of them, whether or not it
    /// keeps to the constraints.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> Architecture {
        Architecture::new(self.architectures.draw(rng))
    }

    /// A neighbour: one decision drawn anew among its other options, and those
    /// that only now exist drawn too, keeping to the constraints. Itself where
    /// no other was found, as in a space of one architecture.
    pub fn mutate(&self, architecture: &Architecture, rng: &mut impl Rng) -> Architecture {
        for _ in 0..TRIES {
            let mutant = self.vary(architecture, rng);
            if self.admits(&mutant) {
                return mutant;
            }
        }
        architecture.clone()
    }

    /// A neighbour, whether or not it keeps to the constraints.
    pub(super) fn vary(&self, architecture: &Architecture, rng: &mut impl Rng) -> Architecture {
        let Some(options) = self.options(architecture) else {
            return architecture.clone();
        };
        // Some changes are closed by a later instance of a shared choice; try
        // others then.
        for _ in 0..32 {
            if options.choices.is_empty() {
                break;
            }
            let at = &options.choices[rng.random_range(0..options.choices.len())];
            let open = options.open(at);
            // One of the others, by its place among them.
            let now = architecture.option(at.0);
            let now = open.iter().position(|o| Some(*o) == now);
            let place = rng.random_range(0..open.len() - usize::from(now.is_some()));
            let place = place + usize::from(now.is_some_and(|now| place >= now));
            if let Some(mutant) = self.changed(architecture, at.0, open[place], rng) {
                return mutant;
            }
        }
        architecture.clone()
    }

    /// Every architecture that one decision sets apart, in program order,
    /// keeping to the constraints; decisions that only then exist are drawn.
    pub fn neighbours(&self, architecture: &Architecture, rng: &mut impl Rng) -> Vec<Architecture> {
        let mut neighbours = Vec::new();
        let Some(options) = self.options(architecture) else {
            return neighbours;
        };
        for at in &options.choices {
            let now = architecture.option(at.0);
            for option in options.open(at).iter().filter(|o| Some(**o) != now) {
                let changed = self.changed(architecture, at.0, *option, rng);
                neighbours.extend(changed.filter(|neighbour| self.admits(neighbour)));
            }
        }
        neighbours
    }

    /// Uniform crossover: each decision from either parent with equal chance;
    /// decisions neither parent has are drawn. The mother where no child that
    /// keeps to the constraints was found.
    pub fn crossover(
        &self,
        mother: &Architecture,
        father: &Architecture,
        rng: &mut impl Rng,
    ) -> Architecture {
        for _ in 0..TRIES {
            match self.cross(mother, father, rng) {
                Some(child) if self.admits(&child) => return child,
                _ => {}
            }
        }
        mother.clone()
    }

    /// The architecture of a function that is told of each choice, in program
    /// order and once, and which options are open, and answers with one of
    /// them. None where the answers do not fit together or miss the
    /// constraints.
    pub fn decide(
        &self,
        mut decide: impl FnMut(ChoiceId, &[usize]) -> usize,
    ) -> Option<Architecture> {
        let decided = self.derive(&mut decide);
        decided.filter(|architecture| self.admits(architecture))
    }

    fn cross(
        &self,
        mother: &Architecture,
        father: &Architecture,
        rng: &mut impl Rng,
    ) -> Option<Architecture> {
        let from_mother: Vec<bool> = (0..self.program().choices.len())
            .map(|_| rng.random_bool(0.5))
            .collect();
        self.prefer(rng, |c| {
            let (first, second) = match from_mother[c] {
                true => (mother, father),
                false => (father, mother),
            };
            first.option(c).or_else(|| second.option(c))
        })
    }

    /// With one decision changed, and those drawn that only then exist.
    fn changed(
        &self,
        architecture: &Architecture,
        choice: ChoiceId,
        option: usize,
        rng: &mut impl Rng,
    ) -> Option<Architecture> {
        self.prefer(rng, |c| match c == choice {
            true => Some(option),
            false => architecture.option(c),
        })
    }

    /// Keeps the decisions preferred where they are open and draws the others.
    fn prefer(
        &self,
        rng: &mut impl Rng,
        preferred: impl Fn(ChoiceId) -> Option<usize>,
    ) -> Option<Architecture> {
        self.derive(&mut |choice, open: &[usize]| match preferred(choice) {
            Some(option) if open.contains(&option) => option,
            _ => open[rng.random_range(0..open.len())],
        })
    }

    fn derive(&self, decide: &mut impl FnMut(ChoiceId, &[usize]) -> usize) -> Option<Architecture> {
        let mut decider = Decider {
            decide,
            taken: vec![None; self.program().choices.len()],
            order: Vec::with_capacity(16),
        };
        let fits = self.follow(&mut decider);
        fits.then(|| Architecture::new(decider.order))
    }

    fn options<'a>(&self, architecture: &'a Architecture) -> Option<Options<'a>> {
        let mut options = Options {
            architecture,
            choices: Vec::with_capacity(16),
            options: Vec::with_capacity(64),
        };
        self.follow(&mut options).then_some(options)
    }

    /// Has every choice answered that is met; false where the answers do not
    /// fit together.
    fn follow(&self, chooser: &mut impl Chooser) -> bool {
        match &self.skeleton {
            Some(skeleton) => skeleton.follow(chooser).is_ok(),
            None => walk(self.program(), chooser).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const NESTED: &str = "space t input image 3x8x8 network {
        repeat 1..3 { choose { conv({1, 3}, 4) | skip } }
        choose { a => conv(3, {4, 8}) relu | b => maxpool3x3 } }";

    fn space(text: &str) -> Space {
        Space::parse("t", text).unwrap()
    }

    #[test]
    fn the_skeleton_leads_where_the_program_does() {
        let (quick, mut slow) = (space(NESTED), space(NESTED));
        assert!(quick.skeleton.is_some());
        slow.skeleton = None;
        let mut rngs = [0, 0].map(ChaCha8Rng::seed_from_u64);
        let mut at = quick.sample(&mut rngs[0]);
        assert_eq!(at, slow.sample(&mut rngs[1]));
        for _ in 0..200 {
            let next = quick.mutate(&at, &mut rngs[0]);
            assert_eq!(next, slow.mutate(&at, &mut rngs[1]));
            let child = quick.crossover(&at, &next, &mut rngs[0]);
            assert_eq!(child, slow.crossover(&at, &next, &mut rngs[1]));
            let near = quick.neighbours(&child, &mut rngs[0]);
            assert_eq!(near, slow.neighbours(&child, &mut rngs[1]));
            at = next;
        }
    }

    #[test]
    fn a_choice_that_depends_on_shapes_leaves_no_skeleton() {
        let guarded = space(
            "space t input image 3x8x8 network { conv(3, {4, 8})
            choose { a => relu when channels == 4 | b => conv(3, 8) } }",
        );
        assert!(guarded.skeleton.is_none());
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let all: Vec<Architecture> = guarded.enumerate().collect();
        for architecture in &all {
            for near in guarded.neighbours(architecture, &mut rng) {
                assert!(all.contains(&near) && near != *architecture);
            }
        }
    }

    #[test]
    fn neighbours_are_all_one_decision_away() {
        let space = space(
            "space t input image 3x8x8 network { conv({1, 3, 5}, {4, 8, 16}) conv(3, {4, 8}) }",
        );
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for architecture in space.enumerate() {
            let near = space.neighbours(&architecture, &mut rng);
            let apart = |other: &Architecture| {
                let pairs = architecture.decisions().iter().zip(other.decisions());
                pairs.filter(|(a, b)| a != b).count()
            };
            assert_eq!(near.len(), 2 + 2 + 1);
            assert!(near.iter().all(|other| apart(other) == 1));
        }
    }

    #[test]
    fn decisions_come_from_the_function_or_not_at_all() {
        let space = space(NESTED);
        let last = space.decide(|_, open| open[open.len() - 1]).unwrap();
        let network = space.network(&last).unwrap();
        assert!(network.costs().params == 0);
        assert_eq!(space.decide(|_, _| 99), None);
    }
}

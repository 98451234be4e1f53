//! The choices of a space without its operators: enough to follow decisions
//! where no choice depends on shapes or values, and many times faster than
//! running the program. Other spaces have none.

use std::sync::Arc;

use super::FastMap;
use super::elaborate::Program;
use super::step::{ChoiceId, Step, StepKind};
use super::walk::Chooser;

/// The choices of a program in the order in which they are met.
#[derive(Debug)]
pub struct Skeleton {
    root: Arc<[Node]>,
    /// The numbers from 0 on: all options are open everywhere.
    all: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq)]
struct Node {
    choice: ChoiceId,
    options: usize,
    then: Then,
}

/// What an option leads to.
#[derive(Debug, Clone, PartialEq)]
enum Then {
    Nothing,
    /// Option `i` to the `i`-th.
    Each(Vec<Arc<[Node]>>),
    /// Option `d` to the first `least + d`.
    First(usize, Vec<Arc<[Node]>>),
}

impl Skeleton {
    /// None where a choice depends on more than other choices.
    pub fn of(program: &Program) -> Option<Skeleton> {
        let mut memo = FastMap::default();
        let root = nodes(&program.root, &mut memo)?;
        let most = program.choices.iter().map(|c| c.labels.len()).max();
        Some(Skeleton {
            root,
            all: (0..most.unwrap_or(0)).collect(),
        })
    }

    /// Has every choice answered that is met.
    ///
    /// # Errors
    /// What the chooser objects to.
    pub fn follow(&self, chooser: &mut impl Chooser) -> Result<(), String> {
        self.follow_from(&self.root, chooser)
    }

    fn follow_from(&self, nodes: &[Node], chooser: &mut impl Chooser) -> Result<(), String> {
        for node in nodes {
            let option = chooser.choose(node.choice, &self.all[..node.options])?;
            match &node.then {
                Then::Nothing => {}
                Then::Each(bodies) => self.follow_from(&bodies[option], chooser)?,
                Then::First(least, rounds) => {
                    for round in &rounds[..least + option] {
                        self.follow_from(round, chooser)?;
                    }
                }
            }
        }
        Ok(())
    }
}

type Memo = FastMap<usize, Option<Arc<[Node]>>>;

fn nodes(step: &Step, memo: &mut Memo) -> Option<Arc<[Node]>> {
    if let Some(known) = memo.get(&step.id) {
        return known.clone();
    }
    let found = nodes_anew(step, memo);
    memo.insert(step.id, found.clone());
    found
}

fn nodes_anew(step: &Step, memo: &mut Memo) -> Option<Arc<[Node]>> {
    let one = |choice, options, then| {
        let node = Node {
            choice,
            options,
            then,
        };
        Some(Arc::from([node]))
    };
    let mut each = |steps: &mut dyn Iterator<Item = &Step>| -> Option<Vec<Arc<[Node]>>> {
        steps.map(|step| nodes(step, memo)).collect()
    };
    match &*step.kind {
        StepKind::Seq(steps) => {
            let mut all: Vec<Node> = Vec::new();
            for part in each(&mut steps.iter())? {
                for node in part.iter() {
                    // Another instance of a shared decision asks nothing new.
                    if !all.contains(node) {
                        all.push(node.clone());
                    }
                }
            }
            Some(all.into())
        }
        StepKind::Decide(choice, terms) => one(*choice, terms.len(), Then::Nothing),
        StepKind::Input(choice, shapes) => one(*choice, shapes.len(), Then::Nothing),
        StepKind::Choose(choice, options) => {
            if options.iter().any(|(guard, _)| guard.is_some()) {
                return None;
            }
            let bodies = each(&mut options.iter().map(|(_, body)| body))?;
            let then = match bodies.iter().all(|body| body.is_empty()) {
                true => Then::Nothing,
                false => Then::Each(bodies),
            };
            one(*choice, options.len(), then)
        }
        StepKind::Depth {
            choice,
            least,
            rounds,
        } => {
            let options = rounds.len() - least + 1;
            let rounds = each(&mut rounds.iter())?;
            one(*choice, options, Then::First(*least, rounds))
        }
        StepKind::If(_, then, otherwise) => {
            let (then, otherwise) = (nodes(then, memo)?, nodes(otherwise, memo)?);
            (then == otherwise).then_some(then)
        }
        StepKind::Scope(_, body) | StepKind::Unit { body, .. } | StepKind::KeepPrecision(body) => {
            nodes(body, memo)
        }
        _ => Some(Arc::from([])),
    }
}

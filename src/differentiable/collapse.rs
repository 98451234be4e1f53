//! DARTS's well-known failure: weights learn slower than connections without any,
//! so that the search ends in skip connections (Zela et al. 2020, arXiv
//! 1909.09656; Chu et al. 2020, arXiv 1911.12126).

use crate::network::Op;
use crate::space::mixed::Picked;
use crate::space::{Architecture, ChoiceId, ChoiceKind, Space};

/// How many choices of operators end in one without weights, such as a skip
/// connection or a pooling. An option of zeros is none of them: it takes the place
/// out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collapse {
    pub weightless: usize,
    /// Choices that had the choice: options with weights and without.
    pub choices: usize,
    /// The options without weights that were taken, each once.
    pub options: Vec<String>,
}

impl Collapse {
    /// Looks at an architecture: an option has no weights where taking it leaves the
    /// fewest parameters of all options.
    pub fn of(space: &Space, architecture: &Architecture) -> Collapse {
        let params = |choice: usize, option: usize| {
            let changed = space.decide(|at, open| {
                let wanted = match at == choice {
                    true => Some(option),
                    false => architecture.option(at),
                };
                wanted.filter(|w| open.contains(w)).unwrap_or(open[0])
            })?;
            Some(space.network(&changed).ok()?.costs().params)
        };
        let mut collapse = Collapse {
            weightless: 0,
            choices: 0,
            options: Vec::new(),
        };
        for (choice, taken) in architecture.decisions() {
            let known = &space.choices()[*choice];
            if known.kind != ChoiceKind::Option {
                continue;
            }
            let all: Vec<Option<u64>> = (0..known.labels.len())
                .map(|option| params(*choice, option))
                .collect();
            let least = all.iter().flatten().min();
            if all.iter().flatten().all(|own| Some(own) == least) {
                continue;
            }
            collapse.choices += 1;
            if all[*taken].as_ref() == least && !is_zero(space, architecture, *choice, *taken) {
                collapse.weightless += 1;
                let label = &known.labels[*taken];
                if !collapse.options.contains(label) {
                    collapse.options.push(label.clone());
                }
            }
        }
        collapse
    }

    /// Whether most choices, and more than one, end in operators without weights.
    pub fn is_collapsed(&self) -> bool {
        self.weightless > 1 && 2 * self.weightless > self.choices
    }

    /// What to tell of it.
    pub fn warning(&self) -> Option<String> {
        self.is_collapsed().then(|| {
            format!(
                "the search collapsed: {} of {} choices of operators end in `{}`, which have no \
                 weights; differentiable search is known to overrate them (Zela et al. 2020), and \
                 so does a high price of latency. Try `gdas` or `proxyless`, fewer epochs, a \
                 smaller learning rate of the architecture, or a lower price",
                self.weightless,
                self.choices,
                self.options.join("`, `"),
            )
        })
    }
}

/// Whether an option puts out zeros.
fn is_zero(space: &Space, architecture: &Architecture, choice: ChoiceId, option: usize) -> bool {
    let mut paths = |at: ChoiceId, open: &[usize]| match at == choice {
        true => Picked::Mixed(open.to_vec()),
        false => {
            let own = architecture.option(at).filter(|own| open.contains(own));
            Picked::One(own.unwrap_or(open[0]))
        }
    };
    let Ok(mixed) = space.mixed(&mut paths) else {
        return false;
    };
    mixed.mixes.iter().any(|(node, mix)| {
        let place = mix.options.iter().position(|o| *o == option);
        let output = place.map(|place| mixed.network.node(*node).inputs[place]);
        let is_zero = |node| matches!(mixed.network.node(node).op, Op::Zero { .. });
        mix.choice == choice && output.is_some_and(is_zero)
    })
}

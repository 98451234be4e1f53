//! An architecture (a genotype): the option taken at every choice point that
//! was met. Choices that other choices switch off are not part of it, so equal
//! architectures compare equal.

use super::error::Problem;
use super::step::{Choice, ChoiceId};
use super::walk::{Chooser, WalkError, walk, walk_simplified};
use super::{Space, elaborate::Program};
use crate::network::Network;

/// Decisions in program order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Architecture {
    decisions: Vec<(ChoiceId, usize)>,
}

/// Why a genotype does not belong to a space.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum GenotypeError {
    #[error("`{0}` is not of the form choice=option")]
    #[diagnostic(help("a genotype reads like `s1.depth=2 s1[0].expand=6`"))]
    Form(String),
    #[error("the space has no choice `{path}`{}", near(.suggestion))]
    #[diagnostic(help("`bespoke space explain` lists the choices of a space"))]
    Choice {
        path: String,
        suggestion: Option<String>,
    },
    #[error("choice `{path}` has no option `{option}`; it has {}", .options.join(", "))]
    #[diagnostic(help("take one of the options listed"))]
    Option {
        path: String,
        option: String,
        options: Vec<String>,
    },
    #[error("choice `{0}` is decided twice")]
    #[diagnostic(help("keep one of the two"))]
    Twice(String),
    #[error("choice `{0}` is not decided")]
    #[diagnostic(help("add `{0}=OPTION`"))]
    Missing(String),
    #[error("choice `{path}` cannot take option `{option}` here: its condition does not hold")]
    #[diagnostic(help("take another option, or change the choices its condition depends on"))]
    Closed { path: String, option: String },
    #[error("choice `{0}` does not exist under the other decisions")]
    #[diagnostic(help("remove it"))]
    Surplus(String),
}

fn near(suggestion: &Option<String>) -> String {
    match suggestion {
        Some(s) => format!("; did you mean `{s}`?"),
        None => String::new(),
    }
}

impl Architecture {
    pub(super) fn new(mut decisions: Vec<(ChoiceId, usize)>) -> Self {
        decisions.sort_unstable();
        decisions.dedup();
        Architecture { decisions }
    }

    /// `(choice, option)` pairs in program order, indices into
    /// [`Space::choices`].
    pub fn decisions(&self) -> &[(ChoiceId, usize)] {
        &self.decisions
    }

    /// The option taken at a choice, if the choice was met.
    pub fn option(&self, choice: ChoiceId) -> Option<usize> {
        self.decisions
            .binary_search_by_key(&choice, |d| d.0)
            .ok()
            .map(|i| self.decisions[i].1)
    }
}

/// Follows given decisions strictly.
struct Replay<'a> {
    choices: &'a [Choice],
    architecture: &'a Architecture,
    met: Vec<bool>,
    error: Option<GenotypeError>,
}

impl Chooser for Replay<'_> {
    fn choose(&mut self, choice: ChoiceId, open: &[usize]) -> Result<usize, String> {
        self.met[choice] = true;
        let path = &self.choices[choice].path;
        let error = match self.architecture.option(choice) {
            Some(option) if open.contains(&option) => return Ok(option),
            Some(option) => GenotypeError::Closed {
                path: path.clone(),
                // Of another space, it need not have a name here.
                option: match self.choices[choice].labels.get(option) {
                    Some(label) => label.clone(),
                    None => format!("number {option}"),
                },
            },
            None => GenotypeError::Missing(path.clone()),
        };
        let message = error.to_string();
        self.error = Some(error);
        Err(message)
    }
}

impl Space {
    /// The network of an architecture, simplified.
    ///
    /// # Errors
    /// When the decisions do not belong to this space.
    pub fn network(&self, architecture: &Architecture) -> Result<Network, GenotypeError> {
        self.replay(architecture, walk_simplified)
    }

    /// The network of an architecture as the file writes it: with operators that
    /// compute nothing, such as a `none` and what only it reads.
    ///
    /// # Errors
    /// When the decisions do not belong to this space.
    pub fn unsimplified(&self, architecture: &Architecture) -> Result<Network, GenotypeError> {
        self.replay(architecture, walk)
    }

    fn replay<'a>(
        &'a self,
        architecture: &'a Architecture,
        walk: fn(&Program, &mut Replay<'a>) -> Result<Network, Box<WalkError>>,
    ) -> Result<Network, GenotypeError> {
        let program = self.program();
        let mut replay = Replay {
            choices: &program.choices,
            architecture,
            met: vec![false; program.choices.len()],
            error: None,
        };
        let network = walk(program, &mut replay);
        if let Some(error) = replay.error {
            return Err(error);
        }
        for (choice, _) in architecture.decisions() {
            if !replay.met.get(*choice).is_some_and(|met| *met) {
                let path = match program.choices.get(*choice) {
                    Some(choice) => choice.path.clone(),
                    None => format!("number {choice}"),
                };
                return Err(GenotypeError::Surplus(path));
            }
        }
        match network {
            Ok(network) => Ok(network),
            // The checker proved that every architecture fits.
            Err(error) => unreachable!("a checked space failed: {}", error.message),
        }
    }

    /// The canonical text of an architecture: `choice=option`, in program
    /// order, separated by single spaces. Read back by
    /// [`parse_genotype`](Self::parse_genotype).
    pub fn genotype(&self, architecture: &Architecture) -> String {
        let choices = &self.program().choices;
        let parts: Vec<String> = architecture
            .decisions()
            .iter()
            .map(|(c, o)| format!("{}={}", choices[*c].path, choices[*c].labels[*o]))
            .collect();
        parts.join(" ")
    }

    /// Reads an architecture from its text; the order of the parts is free.
    ///
    /// # Errors
    /// What part of the text does not belong to this space.
    pub fn parse_genotype(&self, text: &str) -> Result<Architecture, GenotypeError> {
        let choices = &self.program().choices;
        let mut decisions: Vec<(ChoiceId, usize)> = Vec::new();
        for part in text.split_whitespace() {
            let (path, option) = part
                .split_once('=')
                .ok_or_else(|| GenotypeError::Form(part.into()))?;
            let Some(choice) = self.choice_by_path(path) else {
                let paths = choices.iter().map(|c| c.path.as_str());
                let suggestion = paths
                    .map(|p| (strsim::damerau_levenshtein(path, p), p))
                    .min()
                    .filter(|(d, _)| *d <= 1 + path.len() / 4)
                    .map(|(_, p)| p.to_string());
                return Err(GenotypeError::Choice {
                    path: path.into(),
                    suggestion,
                });
            };
            let labels = &choices[choice].labels;
            let Some(index) = labels.iter().position(|l| l == option) else {
                return Err(GenotypeError::Option {
                    path: path.into(),
                    option: option.into(),
                    options: labels.clone(),
                });
            };
            if decisions.iter().any(|d| d.0 == choice) {
                return Err(GenotypeError::Twice(path.into()));
            }
            decisions.push((choice, index));
        }
        let architecture = Architecture::new(decisions);
        self.network(&architecture)?;
        Ok(architecture)
    }
}

/// Which single choice avoids a fault by another option, the last one first.
pub(super) fn blame(program: &Program, decisions: &[(ChoiceId, usize)]) -> Option<ChoiceId> {
    struct Flip<'a> {
        decisions: &'a [(ChoiceId, usize)],
        flipped: (ChoiceId, usize),
    }
    impl Chooser for Flip<'_> {
        fn choose(&mut self, choice: ChoiceId, open: &[usize]) -> Result<usize, String> {
            if choice == self.flipped.0 {
                return match open.contains(&self.flipped.1) {
                    true => Ok(self.flipped.1),
                    false => Err("closed".into()),
                };
            }
            let known = self.decisions.iter().find(|d| d.0 == choice).map(|d| d.1);
            Ok(known.filter(|o| open.contains(o)).unwrap_or(open[0]))
        }
    }
    decisions
        .iter()
        .rev()
        .find(|(choice, taken)| {
            (0..program.choices[*choice].labels.len())
                .filter(|option| option != taken)
                .any(|option| {
                    let flipped = (*choice, option);
                    walk(program, &mut Flip { decisions, flipped }).is_ok()
                })
        })
        .map(|(choice, _)| *choice)
}

/// What the checker says of a space that does not end in its classes.
pub(super) fn wrong_output(span: super::error::Span, found: &str, classes: i64) -> Problem {
    Problem::new(
        span,
        format!("the network must end in a vector of {classes} classes, not in {found}"),
        "ends elsewhere",
    )
    .help("end with `pool avg global linear(classes)`")
}

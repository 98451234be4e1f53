//! Other projects' notations for architectures: the strings and rows in which
//! benchmarks publish their results, read and written both ways for the spaces
//! of `search-spaces/` that describe them.

mod fbnet;
mod nasbench201;
mod ofa;

use super::{Architecture, GenotypeError, Space};

/// A published notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|..~0|..~1|..~2|`
    /// (Dong and Yang 2020), for `nasbench201.space`.
    NasBench201,
    /// 22 numbers from 0 to 8 (HW-NAS-Bench, HELP), for `fbnet.space`.
    FbNet,
    /// `{"ks":[20 kernels],"e":[20 expansions],"d":[5 depths],"r":resolution}`
    /// (Cai et al. 2020), for `ofa-mobilenetv3.space`.
    Ofa,
}

/// Why a text and an architecture do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum CodecError {
    #[error("`{text}` is no {notation} architecture: {reason}")]
    #[diagnostic(help("the notation reads like {}", .notation.example()))]
    Syntax {
        notation: Codec,
        text: String,
        reason: String,
    },
    #[error("the space `{space}` is not the one that {notation} texts describe")]
    #[diagnostic(help("use it with search-spaces/{}", .notation.file()))]
    OtherSpace { notation: Codec, space: String },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Genotype(#[from] GenotypeError),
}

impl Codec {
    pub const ALL: [(&'static str, Codec); 3] = [
        ("nasbench201", Codec::NasBench201),
        ("fbnet", Codec::FbNet),
        ("ofa", Codec::Ofa),
    ];

    pub fn by_name(name: &str) -> Option<Codec> {
        let found = Self::ALL.iter().find(|(n, _)| *n == name);
        found.map(|(_, codec)| *codec)
    }

    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, c)| *c == self);
        found.map_or("", |(name, _)| name)
    }

    /// The space's file in `search-spaces/`.
    pub fn file(self) -> &'static str {
        match self {
            Codec::NasBench201 => "nasbench201.space",
            Codec::FbNet => "fbnet.space",
            Codec::Ofa => "ofa-mobilenetv3.space",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Codec::NasBench201 => {
                "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|"
            }
            Codec::FbNet => "7 8 1 8 4 8 8 8 7 4 1 4 7 3 2 7 3 2 4 2 4 5",
            Codec::Ofa => r#"{"ks":[20 numbers],"e":[20 numbers],"d":[2,2,2,2,3],"r":204}"#,
        }
    }

    /// An architecture in this notation.
    ///
    /// # Errors
    /// When the space is not the notation's.
    pub fn encode(self, space: &Space, architecture: &Architecture) -> Result<String, CodecError> {
        let taken = |path: &str| -> Result<Option<&str>, CodecError> {
            match space.choice_by_path(path) {
                Some(_) => Ok(taken(space, architecture, path)),
                None => Err(self.other_space(space)),
            }
        };
        match self {
            Codec::NasBench201 => nasbench201::encode(&taken),
            Codec::FbNet => fbnet::encode(&taken),
            Codec::Ofa => ofa::encode(&taken),
        }
    }

    /// The text by which the notation's authors tell architectures apart: equal
    /// where they count two as one. None where they publish no such notion or
    /// the space is not the notation's. The number of distinct ones is in
    /// [`Distinct::published`](super::Distinct::published).
    pub fn unique_text(self, space: &Space, architecture: &Architecture) -> Option<String> {
        if self != Codec::NasBench201 || !nasbench201::describes(space) {
            return None;
        }
        let taken = |path: &str| Ok(taken(space, architecture, path));
        nasbench201::unique_text(&taken).ok()
    }

    /// The architecture that a text in this notation stands for.
    ///
    /// # Errors
    /// What is wrong with the text, or that the space is not the notation's.
    pub fn decode(self, space: &Space, text: &str) -> Result<Architecture, CodecError> {
        let decisions = match self {
            Codec::NasBench201 => nasbench201::decode(text),
            Codec::FbNet => fbnet::decode(text),
            Codec::Ofa => ofa::decode(text),
        };
        let decisions = decisions.map_err(|reason| CodecError::Syntax {
            notation: self,
            text: text.to_string(),
            reason,
        })?;
        if decisions
            .iter()
            .any(|(path, _)| space.choice_by_path(path).is_none())
        {
            return Err(self.other_space(space));
        }
        let genotype: Vec<String> = decisions
            .iter()
            .map(|(path, label)| format!("{path}={label}"))
            .collect();
        Ok(space.parse_genotype(&genotype.join(" "))?)
    }

    fn other_space(self, space: &Space) -> CodecError {
        CodecError::OtherSpace {
            notation: self,
            space: space.name().to_string(),
        }
    }
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The option taken at a path, by name.
fn taken<'s>(space: &'s Space, architecture: &Architecture, path: &str) -> Option<&'s str> {
    let choice = space.choice_by_path(path)?;
    let labels = &space.choices()[choice].labels;
    architecture.option(choice).map(|o| labels[o].as_str())
}

/// What an architecture decides at a path: nothing where the choice is not met.
type Taken<'a> = &'a dyn Fn(&str) -> Result<Option<&'a str>, CodecError>;
/// Decisions as path and label, or why a text holds none.
type Decisions = Result<Vec<(String, String)>, String>;

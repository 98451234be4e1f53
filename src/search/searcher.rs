//! Who explores: a strategy that asks for candidates, or gradient descent that
//! ends in some.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::differentiable::Method;
use crate::strategy::Kind;

/// A strategy of either sort, by one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Searcher {
    /// Asks and is told.
    Asking(Kind),
    /// Trains a supernet whose options it weighs.
    Gradient(Method),
}

impl Searcher {
    /// Every one, those that ask first.
    pub fn all() -> impl Iterator<Item = Searcher> {
        let asking = Kind::ALL.iter().copied().map(Searcher::Asking);
        asking.chain(Method::ALL.into_iter().map(Searcher::Gradient))
    }

    pub fn name(self) -> &'static str {
        match self {
            Searcher::Asking(kind) => kind.name(),
            Searcher::Gradient(method) => method.name(),
        }
    }

    /// What it does, in a line.
    pub fn about(self) -> &'static str {
        match self {
            Searcher::Asking(kind) => kind.about(),
            Searcher::Gradient(method) => method.about(),
        }
    }
}

impl From<Kind> for Searcher {
    fn from(kind: Kind) -> Self {
        Searcher::Asking(kind)
    }
}

impl fmt::Display for Searcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Searcher {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Searcher::all()
            .find(|searcher| searcher.name() == text.trim())
            .ok_or_else(|| {
                let names: Vec<&str> = Searcher::all().map(Searcher::name).collect();
                let (last, rest) = names.split_last().expect("some strategies");
                let names = rest.join(", ");
                format!("there is no strategy `{text}`: choose among {names} and {last}")
            })
    }
}

impl TryFrom<String> for Searcher {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Searcher> for String {
    fn from(searcher: Searcher) -> String {
        searcher.name().into()
    }
}

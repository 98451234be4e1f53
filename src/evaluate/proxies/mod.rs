//! Zero-cost proxies: what an untrained network tells of how well it would
//! learn, from one batch and at most a few passes. Plain data in, one number
//! out, higher is better; numbers of different proxies are not comparable, so
//! combine ranks ([`vote`]). Weights come from a seed, and equal arguments give
//! equal scores whatever the number of threads.
//!
//! A proxy is a file with a [`Proxy`] and its line in [`ALL`].

mod batch;
mod gradient;
mod jacobian;
mod linear;
mod many;
mod naswot;
mod synflow;
mod vote;
mod zen;

use burn::tensor::Device;

use crate::device::{TooLarge, fits_training};
use crate::model::ModelError;
use crate::network::Network;

pub use batch::{Batch, Mismatch, Source};
pub use many::{Many, Scored, score_many};
pub use vote::vote;

/// Every proxy, one a line.
pub const ALL: &[Proxy] = &[
    synflow::SYNFLOW,
    jacobian::JACOB_COV,
    naswot::NASWOT,
    zen::ZEN,
    gradient::SNIP,
    gradient::GRAD_NORM,
];

/// One way to score an untrained network.
#[derive(Debug, Clone, Copy)]
pub struct Proxy {
    /// As in the papers' tables: `jacob_cov`.
    pub name: &'static str,
    /// What is counted, in half a line.
    pub about: &'static str,
    /// Author, year and arXiv number.
    pub paper: &'static str,
    score: fn(&Task) -> Result<f64, ProxyError>,
}

/// What a proxy is given, checked before.
struct Task<'a> {
    network: &'a Network,
    /// At least two samples that fit the network.
    batch: &'a Batch,
    seed: u64,
    /// With automatic differentiation, so that batch norm uses the batch's
    /// moments.
    device: Device,
}

/// Why a network has no score.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("there is no proxy `{name}`; there are {}", names())]
    Unknown { name: String },
    #[error(transparent)]
    Data(#[from] Mismatch),
    #[error("the batch cannot be used: {0}")]
    Batch(String),
    #[error("it is not defined for this network: {0}")]
    Unsupported(String),
    #[error("the network does not tell samples apart: {0}")]
    Degenerate(&'static str),
    #[error("the score is not finite ({0}); a network without normalisation can overflow")]
    NotFinite(f64),
    #[error(transparent)]
    Memory(#[from] TooLarge),
    #[error(transparent)]
    Model(#[from] ModelError),
}

fn names() -> String {
    let names: Vec<&str> = ALL.iter().map(|proxy| proxy.name).collect();
    names.join(", ")
}

impl Proxy {
    /// # Errors
    /// When no proxy has this name.
    pub fn by_name(name: &str) -> Result<Proxy, ProxyError> {
        let found = ALL.iter().find(|proxy| proxy.name == name);
        found.copied().ok_or_else(|| ProxyError::Unknown {
            name: name.to_string(),
        })
    }
}

impl PartialEq for Proxy {
    fn eq(&self, other: &Proxy) -> bool {
        self.name == other.name
    }
}

/// Scores an untrained network; higher is better.
///
/// # Errors
/// When the batch does not fit the network or has fewer than two samples, when
/// the proxy is not defined for the network, and when a score would say nothing:
/// the output does not depend on the input, or numbers overflowed.
pub fn score(
    proxy: Proxy,
    network: &Network,
    batch: &Batch,
    seed: u64,
    device: &Device,
) -> Result<f64, ProxyError> {
    check(network, batch)?;
    let score = (proxy.score)(&Task {
        network,
        batch,
        seed,
        device: device.clone().autodiff(),
    })?;
    match score.is_finite() {
        true => Ok(score),
        false => Err(ProxyError::NotFinite(score)),
    }
}

fn check(network: &Network, batch: &Batch) -> Result<(), ProxyError> {
    let classes = network.output_shape().elements();
    let problem = if batch.shape != network.input_shape() {
        return Err(ProxyError::Data(Mismatch {
            network: network.input_shape(),
            data: batch.shape,
        }));
    } else if batch.len() < 2 {
        format!(
            "it has {} of at least 2 samples, which are compared with each other",
            batch.len()
        )
    } else if batch.samples.len() != batch.len() * batch.shape.elements() {
        format!(
            "{} numbers are not {} samples of {}",
            batch.samples.len(),
            batch.len(),
            batch.shape
        )
    } else if let Some(label) = batch.labels.iter().find(|l| **l as usize >= classes) {
        format!("it has class {label}, but the network has only {classes} outputs")
    } else if batch.samples.iter().any(|x| !x.is_finite()) {
        "a sample has a number that is not finite".into()
    } else {
        fits_training(network, batch.len() as u64)?;
        return Ok(());
    };
    Err(ProxyError::Batch(problem))
}

#[cfg(test)]
mod tests;

//! What model-based strategies share: architectures as vectors, a Gaussian
//! process over them, and what a candidate is expected to add.

mod describe;
mod improvement;
mod kernel;
mod limits;
mod model;
mod points;
mod process;
mod searcher;
mod study;
mod tradeoff;
mod warp;

pub use describe::{DESCRIPTION, describe};
pub(super) use improvement::{Staircase, nodes};
use kernel::Kernel;
pub use limits::chance;
pub(super) use limits::{Incumbents, allowed};
pub(super) use model::{Belief, Model};
use process::Process;
pub(super) use searcher::{Acquisition, DESIGN, Searcher};
pub(super) use study::Study;
pub(super) use tradeoff::{Tradeoff, gaussian};
use warp::Warp;

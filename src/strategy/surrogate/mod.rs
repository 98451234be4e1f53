//! What model-based strategies share: architectures as vectors, a Gaussian
//! process over them, and what a candidate is expected to add.

mod describe;
mod kernel;
mod limits;
mod points;
mod process;
mod study;
mod warp;

pub use describe::{DESCRIPTION, describe};
pub(super) use kernel::Kernel;
pub use limits::chance;
pub(super) use limits::{Incumbents, allowed};
pub(super) use process::Process;
pub(super) use study::Study;
pub(super) use warp::Warp;

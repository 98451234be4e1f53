//! What model-based strategies share: architectures as vectors, a Gaussian
//! process over them, and what a candidate is expected to add.

mod describe;
mod kernel;
mod points;
mod process;
mod study;
mod warp;

pub use describe::{DESCRIPTION, describe};
pub(super) use kernel::Kernel;
pub(super) use process::Process;
pub(super) use study::Study;
pub(super) use warp::{Warp, density, normal};

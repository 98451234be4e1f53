//! Which hardware tensors live on: the CPU through burn's `Flex` backend, or a
//! GPU through wgpu. The one place that knows how to start either.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// A kind of device, as `--backend` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// The CPU.
    #[default]
    Flex,
    /// A GPU by Vulkan, Metal or DirectX 12.
    Wgpu,
}

/// Why a device is not available.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    #[error("`{0}` is not a backend; choose `flex` (CPU) or `wgpu` (GPU)")]
    Unknown(String),
    #[error(
        "no GPU answers to wgpu ({0}); use `--backend flex`, or install a driver \
         (on Debian `mesa-vulkan-drivers` also offers a software one)"
    )]
    NoAdapter(String),
}

impl FromStr for Backend {
    type Err = BackendError;

    fn from_str(text: &str) -> Result<Self, BackendError> {
        match text {
            "flex" => Ok(Backend::Flex),
            "wgpu" => Ok(Backend::Wgpu),
            other => Err(BackendError::Unknown(other.into())),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Flex => "flex",
            Backend::Wgpu => "wgpu",
        })
    }
}

/// The device of a backend, for inference; `.autodiff()` makes it one for
/// training.
///
/// # Errors
/// When no adapter answers to wgpu.
pub fn device(backend: Backend) -> Result<Device, BackendError> {
    // wgpu's runtime can be set up only once in a process.
    static WGPU: OnceLock<Result<Device, BackendError>> = OnceLock::new();
    match backend {
        Backend::Flex => Ok(Device::flex()),
        Backend::Wgpu => WGPU.get_or_init(start_wgpu).clone(),
    }
}

fn start_wgpu() -> Result<Device, BackendError> {
    Device::wgpu_options()
        .init()
        .map_err(|error| BackendError::NoAdapter(error.to_string()))
}

//! Engines by name: those of this machine, where a new one is one line, and
//! those of devices that dialled in to a coordinator.

use crate::coordinator::{ClientError, RemoteProbe, split_name};
use crate::device::{Engine, LocalProbe, Probe, RunOptions, TractEngine};
use crate::model::{Backend, BackendError, BurnEngine};

/// Why there is no such engine here.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum EngineError {
    #[error("there is no engine `{0}`")]
    #[diagnostic(help(
        "engines: tract, flex, wgpu; those of devices elsewhere are DEVICE/ENGINE, such as pi5/tract"
    ))]
    Unknown(String),
    #[error("engine `{name}` cannot start: {source}")]
    #[diagnostic(help("choose another with --engine, or install what it lacks"))]
    Start { name: String, source: BackendError },
    #[error("engine `{name}` cannot be reached: {source}")]
    #[diagnostic(help("`bespoke devices list` shows the devices and their engines"))]
    Remote { name: String, source: ClientError },
}

/// The probe that this name stands for, one sample on one thread: an engine
/// here (`tract`), or one of a device elsewhere (`pi5/tract`).
///
/// # Errors
/// When the name is unknown or the engine has no device.
pub fn probe(name: &str) -> Result<Box<dyn Probe>, EngineError> {
    if split_name(name).is_none() {
        return Ok(Box::new(local_probe(name)?));
    }
    let remote = RemoteProbe::open(name, None, RunOptions::default());
    Ok(Box::new(remote.map_err(|source| EngineError::Remote {
        name: name.to_string(),
        source,
    })?))
}

/// The local probe with the engine of this name, one sample on one thread.
///
/// # Errors
/// When the name is unknown or the engine has no device here.
pub fn local_probe(name: &str) -> Result<LocalProbe, EngineError> {
    let burn = |backend| -> Result<Box<dyn Engine>, EngineError> {
        let engine = BurnEngine::new(backend).map_err(|source| EngineError::Start {
            name: name.to_string(),
            source,
        })?;
        Ok(Box::new(engine))
    };
    let engine: Box<dyn Engine> = match name {
        "tract" => Box::new(TractEngine),
        "flex" => burn(Backend::Flex)?,
        "wgpu" => burn(Backend::Wgpu)?,
        other => return Err(EngineError::Unknown(other.to_string())),
    };
    Ok(LocalProbe::new(engine, RunOptions::default()))
}

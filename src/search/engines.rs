//! The in-process engines by name. A new one is one line here.

use crate::device::{Engine, LocalProbe, RunOptions, TractEngine};
use crate::model::{Backend, BackendError, BurnEngine};

/// Why there is no such engine here.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum EngineError {
    #[error("there is no engine `{0}`")]
    #[diagnostic(help("engines: tract, flex, wgpu"))]
    Unknown(String),
    #[error("engine `{name}` cannot start: {source}")]
    #[diagnostic(help("choose another with --engine, or install what it lacks"))]
    Start { name: String, source: BackendError },
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

//! burn as an inference engine to be measured: the bridge between the probe,
//! which knows nothing of burn, and inference sessions.

use crate::device::{Deployable, Engine, ProbeError, RunOptions, Session};

use super::InferenceSession;
use super::backend::{Backend, BackendError, device};

/// One burn backend as an engine.
#[derive(Debug, Clone)]
pub struct BurnEngine {
    backend: Backend,
    device: burn::tensor::Device,
}

impl BurnEngine {
    /// Opens the backend's default device.
    ///
    /// # Errors
    /// When the backend has no device here.
    pub fn new(backend: Backend) -> Result<Self, BackendError> {
        Ok(BurnEngine {
            backend,
            device: device(backend)?,
        })
    }
}

impl Engine for BurnEngine {
    fn name(&self) -> String {
        self.backend.to_string()
    }

    fn load(
        &self,
        model: &Deployable,
        options: &RunOptions,
    ) -> Result<Box<dyn Session>, ProbeError> {
        let session = InferenceSession::new(
            model.network(),
            model.weights(),
            &self.device,
            options.batch,
        )
        .map_err(|e| failed(&self.name(), e))?;
        Ok(Box::new(BurnSession {
            engine: self.name(),
            session,
        }))
    }
}

struct BurnSession {
    engine: String,
    session: InferenceSession,
}

impl Session for BurnSession {
    fn run(&mut self) -> Result<(), ProbeError> {
        self.session.run().map_err(|e| failed(&self.engine, e))
    }
}

fn failed(engine: &str, error: super::ModelError) -> ProbeError {
    ProbeError::Load {
        engine: engine.to_string(),
        reason: error.to_string(),
    }
}

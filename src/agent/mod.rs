//! The probe agent: a small program on a device that dials out to the
//! coordinator, takes one network at a time, times it and sends what it saw. It
//! does nothing else for anybody: it opens no port, runs no command but the
//! plugins that its owner named, and writes to its own directory only.

mod cli;
mod engines;
mod enrol;
mod home;
mod jobs;
mod session;
mod supervise;
mod worker;

pub use cli::main;
pub use engines::{Engines, EnginesError, scratch_dir};
pub use enrol::enrol;
pub use home::{AgentHome, Enrolment};
pub use session::{Agent, AgentError, Measure};
pub use supervise::{Limits, ProcessMeasure};

#[cfg(test)]
mod tests;

//! Binding to cores, so that the scheduler moves nothing while it is measured.
//! Done by `taskset` (util-linux): the call itself would need unsafe code.

use std::process::Command;

/// Why the process could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("this process cannot be bound to the cores {cores}: {reason}")]
pub struct PinError {
    cores: String,
    reason: String,
}

/// Binds every thread of this process, and those it starts from now on, to
/// cores such as `0` or `0-3,6`. [`DeviceFacts`](super::DeviceFacts) then has
/// them as `allowed_cores`.
///
/// # Errors
/// Where there is no `taskset`, or no such cores.
pub fn pin_this_process(cores: &str) -> Result<(), PinError> {
    let error = |reason: String| PinError {
        cores: cores.into(),
        reason,
    };
    let id = std::process::id().to_string();
    let output = Command::new("taskset")
        .args(["--all-tasks", "--pid", "--cpu-list", cores, &id])
        .output()
        .map_err(|e| error(format!("`taskset` cannot be started: {e}")))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(error(
            String::from_utf8_lossy(&output.stderr).trim().to_string(),
        )),
    }
}

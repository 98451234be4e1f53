//! Enrolment: the agent makes a key, and the coordinator that issued the token
//! takes note of it.

use super::{AgentError, AgentHome, Enrolment};
use crate::wire::{
    DEFAULT_PORT, EnrolToken, Greeting, Identity, PATIENCE, ToAgent, VERSION, connect, hex_text,
};

/// Enrols with the coordinator at `address` (`HOST` or `HOST:PORT`) and returns
/// the device's name. Interrupted, it can be called again with the same token.
///
/// # Errors
/// When the coordinator refuses, is another one, or cannot be reached, or the
/// agent is enrolled already.
pub async fn enrol(
    home: &AgentHome,
    address: &str,
    token: &EnrolToken,
) -> Result<String, AgentError> {
    let address = match address.contains(':') {
        true => address.to_string(),
        false => format!("{address}:{DEFAULT_PORT}"),
    };
    let identity = match home.enrolment()? {
        Some(Enrolment {
            device: Some(device),
            address,
            ..
        }) => return Err(AgentError::Enrolled { device, address }),
        // An enrolment whose answer did not arrive: the key may be known.
        Some(begun) => begun.identity,
        None => Identity::generate(),
    };
    let mut enrolment = Enrolment {
        address: address.clone(),
        server: token.server,
        identity,
        device: None,
    };
    home.write_enrolment(&enrolment)?;
    let connected = connect(&address, token.server, &enrolment.identity).await;
    let mut channel = connected.map_err(|source| AgentError::Connect { address, source })?;
    let greeting = Greeting::Enrol {
        version: VERSION,
        secret: hex_text(&token.secret),
    };
    channel.send(&greeting).await?;
    let answer = channel.receive_within(PATIENCE).await?;
    channel.close().await;
    match answer {
        ToAgent::Enrolled { device } => {
            enrolment.device = Some(device.clone());
            home.write_enrolment(&enrolment)?;
            Ok(device)
        }
        ToAgent::Refused(refusal) => Err(AgentError::Refused(refusal)),
        _ => Err(AgentError::Confused("it did not answer to the token")),
    }
}

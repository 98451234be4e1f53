//! The door: who is calling, and what their key or token lets them do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::devices::TokenStep;
use super::events::wall_s;
use super::shared::Shared;
use super::{Record, agents, clients};
use crate::wire::{
    Accepted, Channel, Digest, Greeting, MAX_FRAME, Refusal, ToAgent, VERSION, accept, hex_bytes,
    plain,
};

/// How long a caller may take to greet.
const GREETING: Duration = Duration::from_secs(10);

/// The other side of a connection.
pub(super) type Peer = Channel<tokio_rustls::server::TlsStream<TcpStream>>;

/// The handshake and the first message.
pub(super) async fn greet(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    from: SocketAddr,
    shared: &Shared,
) -> Option<(Accepted, Greeting)> {
    let mut accepted = match accept(acceptor, stream).await {
        Ok(accepted) => accepted,
        Err(error) => {
            shared.note(format!(
                "refused {from}: no handshake: {}",
                plain(&error.to_string(), 200)
            ));
            return None;
        }
    };
    let refusal = match accepted.channel.receive_within::<Greeting>(GREETING).await {
        Ok(greeting) if greeting.version() == VERSION => return Some((accepted, greeting)),
        Ok(_) => Refusal::Version { ours: VERSION },
        Err(error) => Refusal::Misbehaved {
            reason: plain(&error.to_string(), 200),
        },
    };
    refuse(&mut accepted, refusal, from, shared).await;
    None
}

/// Says why, notes it, and closes.
async fn refuse(accepted: &mut Accepted, refusal: Refusal, from: SocketAddr, shared: &Shared) {
    shared.note(format!(
        "refused {from}, key {}: {refusal}",
        accepted.caller.short()
    ));
    let _ = accepted.channel.send(&ToAgent::Refused(refusal)).await;
    accepted.channel.close().await;
}

/// Serves a caller by what it says it is and what its key allows.
pub(super) async fn serve(
    mut accepted: Accepted,
    greeting: Greeting,
    from: SocketAddr,
    shared: &Arc<Shared>,
) {
    let key = accepted.caller;
    let refusal = match greeting {
        Greeting::Enrol { secret, .. } => match enrol(key, &secret, from, shared).await {
            Ok(device) => {
                let _ = accepted.channel.send(&ToAgent::Enrolled { device }).await;
                accepted.channel.close().await;
                return;
            }
            Err(refusal) => refusal,
        },
        Greeting::Hello { hello, .. } => {
            let device = shared.lock().core.device_of(key).map(str::to_string);
            match device {
                Ok(device) => {
                    let connection = shared.number();
                    accepted.channel.raise_limit(MAX_FRAME);
                    agents::serve(accepted.channel, &device, connection, *hello, shared).await;
                    return;
                }
                Err(refusal) => refusal,
            }
        }
        Greeting::Client { .. } if shared.is_admin(key) => {
            accepted.channel.raise_limit(MAX_FRAME);
            clients::serve(accepted.channel, shared).await;
            return;
        }
        Greeting::Client { .. } => Refusal::UnknownKey,
    };
    refuse(&mut accepted, refusal, from, shared).await;
}

/// Admits a device that shows a token.
async fn enrol(
    key: Digest,
    secret: &str,
    from: SocketAddr,
    shared: &Shared,
) -> Result<String, Refusal> {
    let secret = hex_bytes(secret).ok_or(Refusal::UnknownToken)?;
    let (location, device) = {
        let mut state = shared.lock();
        match state.core.show_token(&secret, key, wall_s())? {
            TokenStep::Known(device) => return Ok(device),
            TokenStep::Enrol(record) => {
                let device = match &record {
                    Record::Enrolled { device, .. } => device.clone(),
                    _ => String::new(),
                };
                (shared.commit(&mut state, record), device)
            }
        }
    };
    shared
        .on_disk(location)
        .await
        .map_err(|_| Refusal::Stopping)?;
    shared.note(format!(
        "{device} enrolled from {from}, key {}",
        key.short()
    ));
    Ok(device)
}

//! Serves one client, who may ask for anything: its key is the coordinator's
//! own. Requests are answered one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::Standing;
use super::door::Peer;
use super::events::wall_s;
use super::shared::Shared;
use super::{JournalError, Location, Record};
use crate::wire::{
    Digest, EnrolToken, FromClient, JobSpec, MAX_NETWORK_BYTES, Outcome, PATIENCE, Refusal,
    ToClient, WireError,
};

/// Longest that a client can wait in one request.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Longest validity of a token: a week.
const LONGEST_VALID_S: u64 = 7 * 24 * 3600;

/// Serves until the connection ends.
pub(super) async fn serve(mut peer: Peer, shared: &Arc<Shared>) {
    let version = env!("CARGO_PKG_VERSION").to_string();
    if peer.send(&ToClient::Welcome { version }).await.is_err() {
        return;
    }
    loop {
        let request = tokio::select! {
            request = peer.receive::<FromClient>() => request,
            () = shared.halted() => break,
        };
        let answered = match request {
            Ok(FromClient::Upload { onnx, bytes }) => upload(&mut peer, onnx, bytes, shared).await,
            Ok(request) => match answer(request, shared).await {
                Ok(answer) => peer.send(&answer).await,
                Err(refusal) => peer.send(&ToClient::Refused(refusal)).await,
            },
            Err(error) => Err(error),
        };
        if answered.is_err() {
            return;
        }
    }
    let _ = peer.send(&ToClient::Refused(Refusal::Stopping)).await;
    peer.close().await;
}

async fn answer(request: FromClient, shared: &Arc<Shared>) -> Result<ToClient, Refusal> {
    match request {
        FromClient::Submit(spec) => submit(spec, shared),
        FromClient::Upload { .. } => unreachable!("served by the caller"),
        FromClient::Wait { job, patience_ms } => wait(job, patience_ms, shared).await,
        FromClient::Devices => {
            let devices = shared.lock().core.list(Instant::now());
            Ok(ToClient::Devices(devices))
        }
        FromClient::Enrol { device, valid_s } => {
            let token = EnrolToken::new(shared.fingerprint);
            let now = wall_s();
            let expires = now + valid_s.min(LONGEST_VALID_S);
            let location = {
                let mut state = shared.lock();
                let record = state.core.issue(&device, &token, expires, now)?;
                shared.commit(&mut state, record)
            };
            kept(location, shared).await?;
            shared.note(format!("a token was issued for {device}"));
            Ok(ToClient::Token {
                token: token.to_string(),
                address: shared.advertise.clone(),
            })
        }
        FromClient::Revoke { device } => {
            let location = {
                let mut state = shared.lock();
                let record = state.core.revoke(&device)?;
                shared.commit(&mut state, record)
            };
            shared.wake(&device);
            kept(location, shared).await?;
            shared.tell_ended();
            shared.note(format!("{device} was revoked"));
            Ok(ToClient::Revoked)
        }
        FromClient::Events { after } => Ok(ToClient::Events(shared.events_after(after))),
    }
}

async fn kept(location: Location, shared: &Shared) -> Result<(), Refusal> {
    let kept = shared.on_disk(location).await;
    kept.map_err(|e| Refusal::Request {
        reason: e.to_string(),
    })
}

fn submit(spec: Box<JobSpec>, shared: &Shared) -> Result<ToClient, Refusal> {
    let device = spec.device.clone();
    let has = shared.networks.has(spec.onnx);
    let (job, state) = {
        let mut state = shared.lock();
        let (job, submitted, record) = state.core.submit(spec, has)?;
        if let Some(record) = record {
            shared.commit(&mut state, record);
        }
        (job, submitted)
    };
    shared.wake(&device);
    Ok(ToClient::Submitted { job, state })
}

/// What came of a job, when something does.
async fn wait(job: Digest, patience_ms: u64, shared: &Shared) -> Result<ToClient, Refusal> {
    let patience = Duration::from_millis(patience_ms).min(LONGEST_WAIT);
    let deadline = tokio::time::Instant::now() + patience;
    let mut ended = shared.ended.subscribe();
    loop {
        ended.borrow_and_update();
        let standing = shared.lock().core.standing(job, Instant::now());
        let waiting = match standing {
            None => {
                return Err(Refusal::Request {
                    reason: "this job was never submitted".into(),
                });
            }
            Some(Standing::Failed(failure)) => {
                return Ok(ToClient::Outcome(Box::new(Outcome::Failed(failure))));
            }
            Some(Standing::Done(location)) => {
                return measured(location, shared)
                    .await
                    .map_err(|e| Refusal::Request {
                        reason: e.to_string(),
                    });
            }
            Some(Standing::Waiting(waiting)) => waiting,
        };
        tokio::select! {
            changed = ended.changed() => {
                if changed.is_err() {
                    return Err(Refusal::Stopping);
                }
            }
            () = tokio::time::sleep_until(deadline) => return Ok(ToClient::Waiting(waiting)),
            () = shared.halted() => return Err(Refusal::Stopping),
        }
    }
}

async fn measured(location: Location, shared: &Shared) -> Result<ToClient, JournalError> {
    shared.on_disk(location).await?;
    match shared.read(location)? {
        Record::Done { report, .. } => Ok(ToClient::Outcome(Box::new(Outcome::Measured(report)))),
        _ => Err(JournalError::Write("a record is not where it was".into())),
    }
}

/// Takes a network from a client.
async fn upload(
    peer: &mut Peer,
    onnx: Digest,
    bytes: u64,
    shared: &Shared,
) -> Result<(), WireError> {
    let refused = |reason: String| ToClient::Refused(Refusal::Request { reason });
    let _one = shared.upload.lock().await;
    if bytes == 0 || bytes > MAX_NETWORK_BYTES {
        let why = format!("a network of {bytes} bytes cannot be sent to a device");
        return peer.send(&refused(why)).await;
    }
    let begun = {
        let state = shared.lock();
        let wanted = |network| state.core.wants(network);
        shared.networks.begin(onnx, bytes, &wanted)
    };
    let begun = begun.and_then(|mut partial| {
        partial.restart()?;
        Ok(partial)
    });
    let mut partial = match begun {
        Ok(partial) => partial,
        Err(error) => return peer.send(&refused(error.to_string())).await,
    };
    peer.send(&ToClient::Ready).await?;
    while !partial.is_complete() {
        let frame = tokio::time::timeout(PATIENCE, peer.frame()).await;
        let frame = frame.map_err(|_| WireError::Silent(PATIENCE.as_secs_f64()))??;
        if let Err(error) = partial.push(&frame.chunk()?) {
            // The rest is on its way; only the end of the connection stops it.
            peer.send(&refused(error.to_string())).await?;
            return Err(WireError::Closed);
        }
    }
    match partial.finish() {
        Ok(_) => peer.send(&ToClient::Uploaded).await,
        Err(error) => peer.send(&refused(error.to_string())).await,
    }
}

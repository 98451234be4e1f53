//! A device elsewhere as a probe: what a search measures with, just as it
//! measures here.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::{Admin, Client, ClientError};
use crate::device::{
    Deployable, DeviceFacts, Limits, Measurement, Probe, ProbeError, Protocol, RunOptions,
};
use crate::network::onnx::{Batch, OnnxOptions, export};
use crate::wire::{Digest, JobSpec, Outcome, Refusal};

/// How long a device may be away, or the coordinator not answer, before a
/// measurement fails.
pub const AWAY: Duration = Duration::from_secs(120);

/// How often a waiting client looks whether the device is still there.
const LOOK: Duration = Duration::from_secs(5);

/// Device, engine and series in a name such as `pi5/tract` or
/// `pi5/tract@cooled`; `remote:pi5` leaves the engine to the device. `None`
/// where it is no such name.
pub fn split_name(name: &str) -> Option<(&str, &str, &str)> {
    let (name, series) = name.split_once('@').unwrap_or((name, ""));
    let (device, engine) = match name.strip_prefix("remote:") {
        Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
        None => name.split_once('/')?,
    };
    (!device.is_empty()).then_some((device, engine, series))
}

/// An engine of a device that dialled in to the coordinator.
pub struct RemoteProbe {
    admin: Admin,
    runtime: Runtime,
    client: Option<Client>,
    device: String,
    engine: String,
    series: String,
    options: RunOptions,
    /// The engine's, once the device has said them.
    limits: Option<Limits>,
    /// How often each network was asked for: each pass is another measurement.
    passes: HashMap<Digest, u32>,
    away: Duration,
}

impl RemoteProbe {
    /// The engine that `name` names (see [`split_name`]), by the coordinator of
    /// this file, or of [`Admin::default_path`].
    ///
    /// # Errors
    /// When there is no coordinator, device or engine of the name.
    pub fn open(
        name: &str,
        admin: Option<PathBuf>,
        options: RunOptions,
    ) -> Result<Self, ClientError> {
        let refuse = |reason: String| ClientError::Refused(Refusal::Request { reason });
        let Some((device, engine, series)) = split_name(name) else {
            return Err(refuse(format!(
                "`{name}` names no device: write DEVICE/ENGINE, for example pi5/tract"
            )));
        };
        let admin = Admin::read(&admin.unwrap_or_else(Admin::default_path))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| refuse(format!("the system gives no runtime: {e}")))?;
        let mut probe = RemoteProbe {
            admin,
            runtime,
            client: None,
            device: device.into(),
            engine: engine.into(),
            series: series.into(),
            options,
            limits: None,
            passes: HashMap::new(),
            away: AWAY,
        };
        let info = probe.info()?;
        if probe.engine.is_empty() {
            let first = info.engines.first();
            probe.engine = first.cloned().ok_or_else(|| {
                refuse(format!(
                    "device `{device}` has not said yet which engines it has: start its agent, or \
                     name one as {device}/ENGINE"
                ))
            })?;
        }
        if !info.engines.is_empty() && !info.engines.contains(&probe.engine) {
            return Err(refuse(format!(
                "device `{device}` has no engine `{engine}`; it has: {}",
                info.engines.join(", ")
            )));
        }
        probe.limits = told(&info, &probe.engine);
        Ok(probe)
    }

    /// What its owner allows on the engine; nothing is known of a device that was
    /// not there yet.
    fn limits(&mut self) -> Result<Limits, ProbeError> {
        if self.limits.is_none() {
            let info = self.info().map_err(|e| self.error(e))?;
            self.limits = told(&info, &self.engine);
        }
        Ok(self.limits.unwrap_or_default())
    }

    /// Gives up on a device that is away for so long.
    pub fn away_limit(mut self, away: Duration) -> Self {
        self.away = away;
        self
    }

    fn info(&mut self) -> Result<crate::wire::DeviceInfo, ClientError> {
        let admin = &self.admin;
        let client = &mut self.client;
        let devices = self.runtime.block_on(async {
            let client = match client {
                Some(client) => client,
                none => none.insert(Client::connect(admin).await?),
            };
            client.devices().await
        });
        if devices.is_err() {
            self.client = None;
        }
        let devices = devices?;
        let names: Vec<&str> = devices.iter().map(|d| d.name.as_str()).collect();
        let reason = match names.is_empty() {
            true => "no device is enrolled; `bespoke devices enrol NAME` begins".to_string(),
            false => format!(
                "there is no device `{}`; there are: {}",
                self.device,
                names.join(", ")
            ),
        };
        let found = devices.iter().find(|d| d.name == self.device);
        found
            .cloned()
            .ok_or(ClientError::Refused(Refusal::Request { reason }))
    }

    fn error(&self, error: ClientError) -> ProbeError {
        self.failed(error.to_string(), "see `bespoke devices list`")
    }

    fn failed(&self, reason: String, remedy: &str) -> ProbeError {
        ProbeError::Remote {
            device: self.device.clone(),
            reason,
            remedy: remedy.into(),
        }
    }

    /// Submits the job and waits for it, over as many connections as it takes.
    fn outcome(&mut self, spec: &JobSpec, onnx: &[u8]) -> Result<Outcome, ProbeError> {
        let mut trouble: Option<Instant> = None;
        loop {
            let admin = &self.admin;
            let client = &mut self.client;
            let away = self.away;
            let asked = self
                .runtime
                .block_on(ask_once(client, admin, spec, onnx, away));
            let error = match asked {
                Ok(Some(outcome)) => return Ok(outcome),
                Ok(None) => {
                    return Err(self.failed(
                        format!("it has not been connected for {:.0} s", away.as_secs_f64()),
                        "start `bespoke-probe run` on it; the measurement is kept for when it \
                         comes back",
                    ));
                }
                Err(error) => error,
            };
            self.client = None;
            let since = *trouble.get_or_insert_with(Instant::now);
            if !error.is_passing() || since.elapsed() > self.away {
                return Err(self.error(error));
            }
            // The coordinator may be starting again; what it was asked is kept.
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// An engine's limits, where the device has been here.
fn told(info: &crate::wire::DeviceInfo, engine: &str) -> Option<Limits> {
    let known = !info.engines.is_empty();
    known.then(|| info.limits.get(engine).copied().unwrap_or_default())
}

/// Asks over the present connection; `None` where the device is away too long.
async fn ask_once(
    client: &mut Option<Client>,
    admin: &Admin,
    spec: &JobSpec,
    onnx: &[u8],
    away: Duration,
) -> Result<Option<Outcome>, ClientError> {
    let client = match client {
        Some(client) => client,
        none => none.insert(Client::connect(admin).await?),
    };
    let job = client.submit(spec, onnx).await?;
    loop {
        match client.wait(job, LOOK.min(away)).await? {
            Ok(outcome) => return Ok(Some(outcome)),
            Err(waiting) => {
                if waiting.away_s.is_some_and(|s| s >= away.as_secs_f64()) {
                    return Ok(None);
                }
            }
        }
    }
}

impl Probe for RemoteProbe {
    fn name(&self) -> String {
        format!("{}/{}", self.device, self.engine)
    }

    fn facts(&self) -> DeviceFacts {
        let asked = self.runtime.block_on(async {
            let mut client = Client::connect(&self.admin).await?;
            client.devices().await
        });
        // Facts are told where they are known.
        let devices = asked.unwrap_or_default();
        let found = devices.into_iter().find(|d| d.name == self.device);
        found.map(|d| d.facts).unwrap_or_default()
    }

    fn measure(
        &mut self,
        model: &Deployable,
        protocol: &Protocol,
    ) -> Result<Measurement, ProbeError> {
        protocol.check()?;
        let batch = self.options.batch;
        let engine = self.engine.clone();
        let fits = |limits: Limits| limits.check_size(&engine, model.network(), batch);
        fits(self.limits()?)?;
        // Under a fixed name, so that equal networks are equal files; without
        // unknown shapes, as a deployment would fix them.
        let options = OnnxOptions {
            batch: Batch::Fixed(batch),
            ..OnnxOptions::default()
        };
        let onnx = export(model.network(), model.weights(), &options)?;
        let digest = Digest::of(&onnx);
        let pass = self.passes.entry(digest).or_insert(0);
        let spec = JobSpec {
            device: self.device.clone(),
            engine: self.engine.clone(),
            network: model.name().into(),
            onnx: digest,
            bytes: onnx.len() as u64,
            input: model.network().input_spec(),
            options: self.options,
            protocol: protocol.clone(),
            pass: *pass,
            series: self.series.clone(),
        };
        *pass += 1;
        let report = match self.outcome(&spec, &onnx)? {
            Outcome::Measured(report) => report,
            Outcome::Failed(failure) => return Err(failure.into_error(&self.device)),
        };
        // A device that came only now has said its limits only now.
        let limits = self.limits()?;
        fits(limits)?;
        let measured = report.measurement(&spec.network, spec.engine, &spec.options)?;
        limits.check_latency(&engine, measured.median_ms())?;
        Ok(measured)
    }
}

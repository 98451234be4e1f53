//! A plugin as an engine: several networks loaded at once in its process, each
//! a session that asks the plugin to time its own runs.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use super::message::{
    EnergyTaken, Input, Loaded, MemoryTaken, Nothing, RUNS_LIMIT, Ran, Request, Written,
};
use super::self_contained::self_contained;
use super::{CommandLine, Hello, Plugin};
use crate::device::stats::check_sample;
use crate::device::{
    Clock, Deployable, DeviceFacts, Engine, Limits, PeakMemory, ProbeError, RunOptions, Session,
};
use crate::network::onnx::{Batch, OnnxOptions, export};
use crate::network::{Array, InputSpec, Shape};

/// Two clocks of one machine may differ by so much over one wait.
const CLOCK_SLACK: f64 = 1.02;

/// An engine in a process of its own.
#[derive(Debug, Clone)]
pub struct PluginEngine {
    plugin: Arc<Mutex<Plugin>>,
    hello: Hello,
}

impl PluginEngine {
    /// Starts the plugin.
    ///
    /// # Errors
    /// When it does not start or speaks another version of the protocol.
    pub fn start(line: CommandLine, limits: Limits) -> Result<Self, ProbeError> {
        let plugin = Plugin::start(line, limits)?;
        Ok(PluginEngine {
            hello: plugin.hello().clone(),
            plugin: Arc::new(Mutex::new(plugin)),
        })
    }

    /// How the plugin introduced itself.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    pub(super) fn plugin(&self) -> MutexGuard<'_, Plugin> {
        self.plugin.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Loads a network; as [`Engine::load`], which hides the session's kind.
    ///
    /// # Errors
    /// As there.
    pub fn open(
        &self,
        model: &Deployable,
        options: &RunOptions,
    ) -> Result<PluginSession, ProbeError> {
        let onnx = export(
            model.network(),
            model.weights(),
            &OnnxOptions {
                // Shapes without unknowns, as a deployment would fix them.
                batch: Batch::Fixed(options.batch),
                ..OnnxOptions::default()
            },
        )?;
        self.open_bytes(&onnx, &model.network().input_spec(), options)
    }

    /// As [`open`](Self::open), with the bytes of a file.
    pub(super) fn open_bytes(
        &self,
        onnx: &[u8],
        input: &InputSpec,
        options: &RunOptions,
    ) -> Result<PluginSession, ProbeError> {
        let mut dims = vec![options.batch];
        dims.extend(input.shape.dims());
        let values = input.example(options.batch, 0);
        let ids = matches!(input.shape, Shape::Ids { .. });
        let mut plugin = self.plugin();
        plugin.revive()?;
        let session = plugin.new_session();
        let onnx_path = plugin.scratch().join(format!("{session}.onnx"));
        let input_path = plugin.scratch().join(format!("{session}.input"));
        let written = std::fs::write(&onnx_path, onnx)
            .and_then(|()| std::fs::write(&input_path, raw(&values, ids)));
        let doing = "before it loaded a network";
        written.map_err(|e| plugin.failure(doing, e.into()))?;
        let loaded = plugin.ask::<Loaded>(&Request::Load {
            session,
            onnx: &onnx_path,
            input: Input {
                path: &input_path,
                dims: &dims,
                dtype: if ids { "int64" } else { "float32" },
            },
            batch: options.batch,
            threads: options.threads,
        });
        // The plugin has read them by now.
        for path in [onnx_path, input_path] {
            let _ = std::fs::remove_file(path);
        }
        let loaded = loaded?;
        if !(loaded.load_ms.is_finite() && loaded.load_ms >= 0.0) {
            let problem = format!("`load_ms` is {}", loaded.load_ms);
            return Err(plugin.answer_failure("while it loaded a network", &problem));
        }
        Ok(PluginSession {
            plugin: self.plugin.clone(),
            simulated: self.hello.simulated,
            starts: plugin.starts(),
            session,
            load_ms: loaded.load_ms,
        })
    }
}

/// Values as raw little-endian numbers.
fn raw(values: &[f32], ids: bool) -> Vec<u8> {
    match ids {
        true => values
            .iter()
            .flat_map(|v| (*v as i64).to_le_bytes())
            .collect(),
        false => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
    }
}

impl Engine for PluginEngine {
    fn name(&self) -> String {
        self.hello.name.clone()
    }

    fn load(
        &self,
        model: &Deployable,
        options: &RunOptions,
    ) -> Result<Box<dyn Session>, ProbeError> {
        Ok(Box::new(self.open(model, options)?))
    }

    /// The file came from elsewhere, so it must be all that the plugin reads.
    fn load_onnx(
        &self,
        onnx: &[u8],
        input: &InputSpec,
        options: &RunOptions,
    ) -> Result<Box<dyn Session>, ProbeError> {
        self_contained(onnx).map_err(|reason| ProbeError::Load {
            engine: self.name(),
            reason,
        })?;
        Ok(Box::new(self.open_bytes(onnx, input, options)?))
    }

    fn facts(&self) -> DeviceFacts {
        self.plugin().facts().clone()
    }

    fn version(&self) -> Option<String> {
        Some(self.hello.version.clone()).filter(|v| !v.is_empty())
    }

    fn is_simulated(&self) -> bool {
        self.hello.simulated
    }

    fn process_id(&self) -> Option<u32> {
        // One that was restarted since has another number.
        let mut plugin = self.plugin();
        plugin.revive().ok()?;
        plugin.process_id()
    }
}

/// A network loaded in a plugin's process.
#[derive(Debug)]
pub struct PluginSession {
    plugin: Arc<Mutex<Plugin>>,
    simulated: bool,
    starts: u64,
    session: u64,
    load_ms: f64,
}

impl PluginSession {
    /// The plugin, provided it is still the process that loaded the network.
    fn plugin(&self) -> Result<MutexGuard<'_, Plugin>, ProbeError> {
        let plugin = self.plugin.lock().unwrap_or_else(|e| e.into_inner());
        match plugin.starts() == self.starts && plugin.process_id().is_some() {
            true => Ok(plugin),
            false => Err(ProbeError::Run {
                engine: plugin.hello().name.clone(),
                reason: "its process has ended since it loaded the network".into(),
            }),
        }
    }

    /// Milliseconds that each of `runs` consecutive inferences took.
    ///
    /// # Errors
    /// When the plugin fails or complains, or a time is impossible.
    pub fn samples_ms(&mut self, runs: usize) -> Result<Vec<f64>, ProbeError> {
        let session = self.session;
        let mut plugin = self.plugin()?;
        let mut samples = Vec::with_capacity(runs);
        while samples.len() < runs {
            let runs = (runs - samples.len()).min(RUNS_LIMIT);
            let start = Instant::now();
            let ran: Ran = plugin.ask(&Request::Run { session, runs })?;
            let waited_ms = start.elapsed().as_secs_f64() * 1e3;
            if ran.samples_ms.len() != runs {
                let problem = format!(
                    "`samples_ms` has {} times for {runs} runs",
                    ran.samples_ms.len()
                );
                return Err(plugin.answer_failure("while it ran a network", &problem));
            }
            let mut sum = 0.0;
            for sample in ran.samples_ms {
                let sample = sample.unwrap_or(f64::NAN);
                check_sample(sample)?;
                sum += sample;
                samples.push(sample);
            }
            if !self.simulated && sum > CLOCK_SLACK * waited_ms {
                return Err(ProbeError::BadSample {
                    value_ms: sum / runs as f64,
                    reason: "the runs are said to have taken longer than their answer did",
                });
            }
        }
        Ok(samples)
    }

    fn mean_ms(&mut self, runs: usize) -> Result<f64, ProbeError> {
        let samples = self.samples_ms(runs)?;
        Ok(samples.iter().sum::<f64>() / samples.len() as f64)
    }
}

impl Session for PluginSession {
    fn run(&mut self) -> Result<(), ProbeError> {
        self.samples_ms(1).map(|_| ())
    }

    fn time(&mut self, runs: usize, _: &dyn Clock) -> Result<f64, ProbeError> {
        self.mean_ms(runs)
    }

    fn is_simulated(&self) -> bool {
        self.simulated
    }

    fn load_ms(&self) -> Option<f64> {
        Some(self.load_ms)
    }

    fn energy_mj(&mut self, runs: usize) -> Result<Option<f64>, ProbeError> {
        let session = self.session;
        let mut plugin = self.plugin()?;
        if !plugin.hello().offers("energy") {
            return Ok(None);
        }
        let taken: EnergyTaken = plugin.ask(&Request::Energy { session, runs })?;
        match taken.energy_mj {
            Some(mj) if !(mj.is_finite() && mj >= 0.0) => {
                let problem = format!("`energy_mj` is {mj}");
                Err(plugin.answer_failure("while it was asked for energy", &problem))
            }
            other => Ok(other),
        }
    }

    fn memory(&mut self) -> Result<Option<PeakMemory>, ProbeError> {
        let session = self.session;
        let mut plugin = self.plugin()?;
        if !plugin.hello().offers("memory") {
            return Ok(None);
        }
        let taken: MemoryTaken = plugin.ask(&Request::Memory { session })?;
        Ok(Some(PeakMemory {
            before_bytes: taken.before_bytes,
            peak_bytes: taken.peak_bytes,
        }))
    }

    fn output(&mut self) -> Result<Option<Array>, ProbeError> {
        let session = self.session;
        let mut plugin = self.plugin()?;
        if !plugin.hello().offers("output") {
            return Ok(None);
        }
        let path = plugin.scratch().join(format!("{session}.output"));
        let doing = "while it was asked for a network's output";
        let written: Written = plugin.ask(&Request::Output {
            session,
            path: &path,
        })?;
        let bytes = std::fs::read(&path).map_err(|e| plugin.failure(doing, e.into()))?;
        let _ = std::fs::remove_file(&path);
        let floats = bytes.chunks_exact(4);
        let data: Vec<f32> = floats
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        let elements = written
            .dims
            .iter()
            .try_fold(1usize, |n, d| n.checked_mul(*d));
        if bytes.len() % 4 != 0 || elements != Some(data.len()) {
            let problem = format!(
                "`dims` are {:?}, but the file has {} bytes",
                written.dims,
                bytes.len()
            );
            return Err(plugin.answer_failure(doing, &problem));
        }
        Ok(Some(Array {
            dims: written.dims,
            data,
        }))
    }
}

impl Drop for PluginSession {
    fn drop(&mut self) {
        let session = self.session;
        if let Ok(mut plugin) = self.plugin() {
            // One that fails here is started again for the next network.
            let _ = plugin.ask::<Nothing>(&Request::Unload { session });
        }
    }
}

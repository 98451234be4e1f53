//! Devices and engines by name: the engines in this program, of which a new one
//! is one line here, and the device profiles at hand.

use crate::device::{
    Catalogue, CatalogueError, Connection, Engine, LocalProbe, PluginEngine, ProbeError, Profile,
    RunOptions, TractEngine, pin_this_process,
};
use crate::model::{Backend, BackendError, BurnEngine};

/// The engines in this program.
pub const ENGINES: [&str; 3] = ["tract", "flex", "wgpu"];

/// Why there is no such device or engine here.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum EngineError {
    #[error("there is no device or engine `{name}`")]
    #[diagnostic(help("engines: tract, flex, wgpu; devices: {devices} (`bespoke device list`)"))]
    Unknown { name: String, devices: String },
    #[error("device `{device}` has no engine `{engine}`; it has {engines}")]
    #[diagnostic(help("`bespoke device show {device}` prints its profile"))]
    NotThere {
        device: String,
        engine: String,
        engines: String,
    },
    #[error(transparent)]
    #[diagnostic(help("`bespoke device list` shows the profiles that can be read"))]
    Profile(#[from] CatalogueError),
    #[error("engine `{name}` cannot start: {source}")]
    #[diagnostic(help("choose another with --engine, or install what it lacks"))]
    Start { name: String, source: BackendError },
    #[error("device `{device}` cannot be reached: {source}")]
    #[diagnostic(help(
        "`bespoke device test {device}` tells what its plugin does wrong; those in devices/ need what scripts/python-env.sh installs"
    ))]
    Plugin { device: String, source: ProbeError },
    #[error(transparent)]
    #[diagnostic(help("leave out --cores, or install util-linux"))]
    Pin(#[from] crate::device::PinError),
}

/// How to run what is measured.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    pub run: RunOptions,
    /// Cores to bind the engine's process to, such as `0` or `0-3`.
    pub cores: Option<String>,
}

/// [`probe`] with one sample on one thread.
///
/// # Errors
/// As there.
pub fn local_probe(name: &str) -> Result<LocalProbe, EngineError> {
    probe(name, &Setup::default())
}

/// The probe for an engine of this program (`tract`), a device (`ncnn`, the
/// first of its engines), an engine of a device (`local/tract`), or a profile's
/// file (`boards/pi.toml`).
///
/// # Errors
/// When the name is unknown, the profile is none, or the engine does not start.
pub fn probe(name: &str, setup: &Setup) -> Result<LocalProbe, EngineError> {
    let engine: Box<dyn Engine> = match ENGINES.contains(&name) {
        true => in_process(name, setup)?,
        false => {
            let (profile, engine) = profile(name)?;
            match profile.connection {
                Connection::Local => in_process(&engine, setup)?,
                Connection::Command(_) => Box::new(plugin(&profile, setup)?),
            }
        }
    };
    Ok(LocalProbe::new(engine, setup.run))
}

/// Starts the plugin of a profile that has one.
fn plugin(profile: &Profile, setup: &Setup) -> Result<PluginEngine, EngineError> {
    let mut line = profile.command_line().expect("it has a plugin");
    line.cores = setup.cores.clone().or(line.cores);
    PluginEngine::start(line, profile.limits).map_err(|source| EngineError::Plugin {
        device: profile.name.clone(),
        source,
    })
}

/// The profile and the engine that a name stands for.
fn profile(name: &str) -> Result<(Profile, String), EngineError> {
    let catalogue = Catalogue::from_environment();
    let (device, engine) = match name.split_once('/') {
        Some((device, engine)) if !name.ends_with(".toml") => (device, Some(engine)),
        _ => (name, None),
    };
    let profile = catalogue.find(device).map_err(|error| match error {
        CatalogueError::Unknown { .. } => EngineError::Unknown {
            name: name.into(),
            devices: catalogue.names().join(", "),
        },
        other => other.into(),
    })?;
    let engine = engine.unwrap_or(&profile.engines[0]).to_string();
    match profile.engines.contains(&engine) {
        true => Ok((profile, engine)),
        false => Err(EngineError::NotThere {
            device: device.into(),
            engine,
            engines: profile.engines.join(", "),
        }),
    }
}

/// An engine in this program.
fn in_process(name: &str, setup: &Setup) -> Result<Box<dyn Engine>, EngineError> {
    // Before the engine starts threads of its own, which inherit it.
    if let Some(cores) = &setup.cores {
        pin_this_process(cores)?;
    }
    let burn = |backend| -> Result<Box<dyn Engine>, EngineError> {
        let engine = BurnEngine::new(backend).map_err(|source| EngineError::Start {
            name: name.to_string(),
            source,
        })?;
        Ok(Box::new(engine))
    };
    match name {
        "tract" => Ok(Box::new(TractEngine)),
        "flex" => burn(Backend::Flex),
        "wgpu" => burn(Backend::Wgpu),
        other => Err(EngineError::Unknown {
            name: other.to_string(),
            devices: Catalogue::from_environment().names().join(", "),
        }),
    }
}

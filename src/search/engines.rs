//! Devices and engines by name: the engines in this program, of which a new one
//! is one line here, the device profiles at hand, and the devices that dialled
//! in to a coordinator.

use crate::coordinator::{ClientError, RemoteProbe, split_name};
use crate::device::{
    Catalogue, CatalogueError, Connection, Engine, LocalProbe, PluginEngine, Probe, ProbeError,
    Profile, RunOptions, TractEngine, pin_this_process,
};
use crate::model::{Backend, BackendError, BurnEngine};

/// The engines in this program.
pub const ENGINES: [&str; 3] = ["tract", "flex", "wgpu"];

/// Why there is no such device or engine here.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum EngineError {
    #[error("there is no device or engine `{name}`")]
    #[diagnostic(help(
        "engines: tract, flex, wgpu; devices: {devices} (`bespoke device list`); those of devices elsewhere are DEVICE/ENGINE, such as pi5/tract"
    ))]
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
    #[error("engine `{name}` cannot be reached: {source}")]
    #[diagnostic(help("`bespoke devices list` shows the devices elsewhere and their engines"))]
    Remote { name: String, source: ClientError },
    #[error("`{0}` is elsewhere, where nothing can be bound to cores from here")]
    #[diagnostic(help("leave out --cores"))]
    CoresElsewhere(String),
    #[error("two engines are called `{0}`")]
    #[diagnostic(help("give each once, and profiles names of their own"))]
    Twice(String),
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

/// The probe for an engine of this program (`tract`), a device (`ncnn`, the
/// first of its engines), an engine of a device (`local/tract`), a profile's
/// file (`boards/pi.toml`), or an engine of a device elsewhere (`pi5/tract`).
///
/// # Errors
/// When the name is unknown, the profile is none, or the engine does not start.
pub fn probe(name: &str, setup: &Setup) -> Result<Box<dyn Probe>, EngineError> {
    if ENGINES.contains(&name) {
        let engine = in_process(name, setup)?;
        return Ok(Box::new(LocalProbe::new(engine, setup.run)));
    }
    let (profile, engine) = match profile(name) {
        Err(EngineError::Unknown { .. }) if split_name(name).is_some() => {
            return Ok(Box::new(remote(name, setup)?));
        }
        found => found?,
    };
    let engine: Box<dyn Engine> = match profile.connection {
        Connection::Local => in_process(&engine, setup)?,
        Connection::Command(_) => Box::new(plugin(&profile, setup)?),
    };
    let probe = LocalProbe::new(engine, setup.run);
    Ok(Box::new(probe.limited(profile.limits)))
}

/// What an engine is called in records and messages: a device that is given as its
/// profile's file has the profile's name.
///
/// # Errors
/// When the file is no profile.
pub fn engine_name(name: &str) -> Result<String, EngineError> {
    match name.ends_with(".toml") {
        true => Ok(profile(name)?.0.name),
        false => Ok(name.to_string()),
    }
}

/// The name under which an engine measures anew. A device elsewhere answers
/// from what was measured before unless it is asked for another series.
pub fn anew(name: &str) -> String {
    if ENGINES.contains(&name) || split_name(name).is_none() || profile(name).is_ok() {
        return name.to_string();
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let series = now.map_or(0, |elapsed| elapsed.as_micros());
    match name.contains('@') {
        true => format!("{name}-{series}"),
        false => format!("{name}@{series}"),
    }
}

/// By way of the coordinator.
fn remote(name: &str, setup: &Setup) -> Result<RemoteProbe, EngineError> {
    if setup.cores.is_some() {
        return Err(EngineError::CoresElsewhere(name.to_string()));
    }
    RemoteProbe::open(name, None, setup.run).map_err(|source| EngineError::Remote {
        name: name.to_string(),
        source,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_devices_elsewhere_need_another_name_to_measure_anew() {
        assert_eq!(anew("tract"), "tract");
        assert_eq!(anew("local/tract"), "local/tract");
        let first = anew("pi5/tract");
        assert!(first.starts_with("pi5/tract@"), "{first}");
        let again = anew(&first);
        assert!(again.starts_with(&first) && again != first);
        assert_eq!(split_name(&again).unwrap().1, "tract");
    }
}

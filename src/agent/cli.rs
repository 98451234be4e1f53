//! The command line of `bespoke-probe`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::{
    Agent, AgentError, AgentHome, Engines, Limits, ProcessMeasure, enrol, scratch_dir, worker,
};
use crate::device::DeviceFacts;
use crate::wire::EnrolToken;

/// Measures networks on this device for a bespoke coordinator elsewhere. It
/// dials out, opens no port, needs no root, and does nothing but load and time
/// networks.
#[derive(Debug, Parser)]
#[command(name = "bespoke-probe", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Enrol this device with the one-time token of `bespoke devices enrol`.
    Enrol {
        /// The coordinator: HOST or HOST:PORT.
        #[arg(value_name = "HOST:PORT")]
        address: String,
        token: String,
        #[command(flatten)]
        state: StateDir,
    },
    /// Serve the coordinator until stopped, dialling again when cut off.
    Run {
        #[command(flatten)]
        state: StateDir,
        /// Networks kept on this device, in MiB.
        #[arg(long, value_name = "MIB", default_value_t = 1024)]
        cache: u64,
        /// Most memory of a measurement, in MiB [default: three quarters of
        /// this device's].
        #[arg(long, value_name = "MIB")]
        memory: Option<u64>,
        /// Most time of a measurement, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 900)]
        time: u64,
        #[command(flatten)]
        devices: Devices,
    },
    /// Print what this device says of itself: its engines and facts. Plugins are
    /// started to see whether they do.
    Facts {
        #[command(flatten)]
        devices: Devices,
    },
    /// The measuring process.
    #[command(hide = true)]
    Worker {
        #[command(flatten)]
        devices: Devices,
    },
}

#[derive(Debug, clap::Args)]
struct Devices {
    /// A device profile whose plugin is an engine of this device, under the
    /// profile's name, or whose limits are those of the engines in this program;
    /// can be given several times.
    #[arg(long = "device", value_name = "FILE.toml")]
    profiles: Vec<PathBuf>,
}

impl Devices {
    fn engines(&self) -> Result<Engines, String> {
        Engines::read(&self.profiles).map_err(|e| e.to_string())
    }
}

#[derive(Debug, clap::Args)]
struct StateDir {
    /// The agent's directory: its key and its networks
    /// [default: ~/.local/state/bespoke-probe].
    #[arg(long = "state", value_name = "DIR")]
    path: Option<PathBuf>,
}

impl StateDir {
    fn path(self) -> PathBuf {
        self.path.unwrap_or_else(AgentHome::default_path)
    }
}

/// Runs the program and returns its exit code: 0 stopped, 2 wrong input or a
/// failure explained.
pub fn main() -> i32 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return error.exit_code();
        }
    };
    let outcome = match cli.command {
        Command::Worker { devices } => match devices.engines() {
            Ok(engines) => return worker::run(engines),
            Err(text) => Err(text),
        },
        Command::Facts { devices } => facts(&devices),
        Command::Enrol {
            address,
            token,
            state,
        } => enrol_here(&address, &token, state),
        Command::Run {
            state,
            cache,
            memory,
            time,
            devices,
        } => run(state, cache, memory, Duration::from_secs(time), &devices),
    };
    match outcome {
        Ok(()) => 0,
        Err(text) => {
            eprintln!("error: {text}");
            2
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("the system gives no runtime: {e}"))
}

fn enrol_here(address: &str, token: &str, state: StateDir) -> Result<(), String> {
    let token: EnrolToken = token.parse()?;
    let home = AgentHome::open(&state.path()).map_err(|e| e.to_string())?;
    let device = runtime()?
        .block_on(enrol(&home, address, &token))
        .map_err(|e| e.to_string())?;
    println!("this device is {device}; start it with: bespoke-probe run");
    Ok(())
}

fn facts(devices: &Devices) -> Result<(), String> {
    let engines = devices.engines()?;
    for name in engines.names() {
        let engine = engines.open(&name).map_err(|e| e.to_string())?;
        let version = engine.and_then(|e| e.version()).unwrap_or_default();
        println!("{}", format!("engine:      {name} {version}").trim_end());
    }
    for (name, limits) in engines.limits() {
        println!("limits:      {name}: {limits}");
    }
    println!("{}", DeviceFacts::collect());
    Ok(())
}

fn run(
    state: StateDir,
    cache: u64,
    memory: Option<u64>,
    time: Duration,
    devices: &Devices,
) -> Result<(), String> {
    let engines = devices.engines()?;
    let text = |e: AgentError| e.to_string();
    let path = state.path();
    let home = AgentHome::open(&path).map_err(text)?;
    let scratch = std::path::absolute(scratch_dir(&path))
        .map_err(|e| format!("where is its directory? {e}"))?;
    let enrolment = home.enrolment().map_err(|e| e.to_string())?;
    let enrolment = enrolment.ok_or_else(|| text(AgentError::NotEnrolled))?;
    let program = std::env::current_exe().map_err(|e| format!("where is this program? {e}"))?;
    let total = DeviceFacts::collect().memory_bytes;
    let limits = Limits {
        time,
        memory_bytes: match memory {
            Some(mib) => mib << 20,
            None => total.map_or(u64::MAX, |t| t / 4 * 3),
        },
    };
    let cache = home.cache(cache << 20).map_err(|e| e.to_string())?;
    runtime()?.block_on(async {
        let measure = ProcessMeasure::new(program, limits).with(engines, scratch);
        let mut agent = Agent::new(enrolment, Some(home), cache, measure).echo();
        tokio::select! {
            ended = agent.run() => match ended {
                Ok(never) => match never {},
                Err(error) => Err(error.to_string()),
            },
            () = stopped() => Ok(()),
        }
    })
}

/// Resolves when the process is asked to end.
async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

//! `bespoke web`: the runs in a browser.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use miette::IntoDiagnostic;

use crate::coordinator::{Admin, Client, ClientError};
use crate::web::{DEFAULT_BIND, DeviceHealth, DeviceSource, Options, Server, Token};
use crate::wire::{DeviceInfo, DeviceState};

pub const EXAMPLES: &str = "\
Examples:
  bespoke web
  bespoke web --db runs/bespoke.db --bind 127.0.0.1:8080
  BESPOKE_WEB_TOKEN=$(openssl rand -hex 16) bespoke web   # notes can be left

From another machine, through SSH: ssh -L 7312:localhost:7312 HOST, then open
http://localhost:7312/ there. docs/web.md tells more.";

/// How long the coordinator has to answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// Where a token may come from, as other users can see command lines.
const TOKEN_VARIABLE: &str = "BESPOKE_WEB_TOKEN";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Database of runs: a file, or postgres://USER:PASSWORD@HOST/DATABASE.
    #[arg(long, value_name = "FILE", default_value = "runs/bespoke.db")]
    db: PathBuf,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = DEFAULT_BIND)]
    bind: String,
    /// Who shows this token may leave notes; without it the page only reads
    /// [default: $BESPOKE_WEB_TOKEN].
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// A name of this machine by which browsers may ask, beside localhost and
    /// addresses (may be given more than once).
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// The coordinator's admin.json, for devices and their health [default:
    /// $BESPOKE_COORDINATOR, else runs/coordinator/admin.json].
    #[arg(long, value_name = "FILE")]
    coordinator: Option<PathBuf>,
}

pub fn run(args: Args) -> miette::Result<()> {
    let token = args.token.or_else(|| std::env::var(TOKEN_VARIABLE).ok());
    let token = token.map(|text| Token::new(&text)).transpose()?;
    let store = match token {
        Some(_) => super::runs::open_to_write(&args.db)?,
        None => super::runs::open_to_read(&args.db)?,
    };
    let admin = args.coordinator.unwrap_or_else(Admin::default_path);
    let options = Options {
        bind: args.bind,
        token,
        hosts: args.host,
        devices: Some(coordinator(admin)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .into_diagnostic()?;
    runtime.block_on(async {
        let server = Server::start(store, options).await?;
        let address = server.address();
        if !address.ip().is_loopback() {
            super::say(&format!(
                "warning: whoever reaches {address} can read every run; without TLS, others on \
                 the way can too"
            ));
        }
        super::print(&format!("http://{address}/\n"));
        server.run(super::serve::stopped()).await?;
        Ok(())
    })
}

/// Asks the coordinator anew each time: it may be started or ended meanwhile.
fn coordinator(admin: PathBuf) -> DeviceSource {
    let admin: Arc<Path> = admin.into();
    DeviceSource::new(move || {
        let admin = admin.clone();
        async move {
            match tokio::time::timeout(PATIENCE, devices(&admin)).await {
                Ok(devices) => devices.map_err(|e| e.to_string()),
                Err(_) => Err("the coordinator does not answer".into()),
            }
        }
    })
}

async fn devices(admin: &Path) -> Result<Vec<DeviceHealth>, ClientError> {
    let admin = Admin::read(admin)?;
    let devices = Client::connect(&admin).await?.devices().await?;
    Ok(devices.into_iter().map(health).collect())
}

fn health(d: DeviceInfo) -> DeviceHealth {
    let state = match d.state {
        DeviceState::Idle => "idle",
        DeviceState::Fetching => "fetching",
        DeviceState::Measuring => "measuring",
        DeviceState::Away => "away",
        DeviceState::Unseen => "unseen",
        DeviceState::Revoked => "revoked",
    };
    let facts = d.facts;
    DeviceHealth {
        name: d.name,
        state: state.into(),
        agent: d.agent,
        engines: d.engines,
        queued: d.queued,
        measured: d.measured,
        failed: d.failed,
        silent_s: d.silent_s,
        cpu: facts.cpu_model,
        architecture: Some(facts.architecture).filter(|a| !a.is_empty()),
        cores: facts.logical_cores,
        memory_bytes: facts.memory_bytes,
        os: facts.os,
        governor: facts.governor,
        temperature_c: facts.temperature_c,
        load_1min: facts.load_1min,
    }
}

//! `bespoke serve`: the coordinator that devices dial in to.

use std::path::PathBuf;

use miette::IntoDiagnostic;

use crate::coordinator::{Home, Server, ServerOptions};
use crate::wire::DEFAULT_PORT;

pub const EXAMPLES: &str = "\
Examples:
  bespoke serve
  bespoke serve --listen 192.168.1.10:7311 --state /var/lib/bespoke
  bespoke serve --advertise workstation.local:7311

Devices are enrolled with `bespoke devices enrol NAME`; docs/agents.md tells how.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where to listen [default: port 7311 of all addresses].
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The coordinator's directory: keys, journal, networks
    /// [default: runs/coordinator].
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// How devices reach it, for the commands that enrol them [default: guessed].
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Networks kept on disk, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    networks: u64,
}

pub fn run(args: Args) -> miette::Result<()> {
    let listen = args
        .listen
        .unwrap_or_else(|| format!("0.0.0.0:{DEFAULT_PORT}"));
    let state = args.state.unwrap_or_else(Home::default_path);
    let mut options = ServerOptions::new(&listen, state);
    options.advertise = args.advertise;
    options.network_bytes = args.networks << 20;
    options.echo = true;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .into_diagnostic()?;
    runtime
        .block_on(async {
            let server = Server::start(options).await?;
            super::print(&format!(
                "coordinator at {}\ncertificate SHA-256 {}\n",
                server.advertised(),
                server.fingerprint()
            ));
            let stop = server.stopper();
            tokio::spawn(async move {
                stopped().await;
                stop();
            });
            server.run().await
        })
        .into_diagnostic()
}

/// Resolves when the process is asked to end.
pub(super) async fn stopped() {
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

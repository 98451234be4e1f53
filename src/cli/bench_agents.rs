//! `bespoke bench agents`: the coordinator under load.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use miette::{IntoDiagnostic, miette};

use crate::coordinator::load::{Load, peak_memory, run as load};

pub const EXAMPLES: &str = "\
Examples:
  bespoke bench agents
  bespoke bench agents --agents 10 --measurements 500 --drop-every 0 --json

A coordinator is started as a process of its own in a temporary directory. The
agents are simulated: they speak the real protocol over TLS and answer at once
with samples known beforehand, so that every measurement that comes back can be
compared with what was sent.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[arg(long, default_value_t = 100)]
    agents: usize,
    #[arg(long, default_value_t = 10_000)]
    measurements: usize,
    /// Samples in each measurement.
    #[arg(long, default_value_t = 200)]
    samples: usize,
    /// Each agent drops its connection in the middle of one job in so many; 0
    /// for never.
    #[arg(long, value_name = "JOBS", default_value_t = 37)]
    drop_every: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> miette::Result<()> {
    if args.agents == 0 || args.measurements == 0 || !(50..=10_000).contains(&args.samples) {
        return Err(miette!(
            "at least one agent and one measurement are needed, and 50 to 10000 samples"
        ));
    }
    let name = format!("bespoke-bench-agents-{}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    let program = std::env::current_exe().into_diagnostic()?;
    let mut server = Command::new(program)
        .args(["serve", "--listen", "127.0.0.1:0", "--state"])
        .arg(&dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .into_diagnostic()?;
    let outcome = against(&dir.join("admin.json"), &args, server.id());
    let _ = server.kill();
    let _ = server.wait();
    let _ = std::fs::remove_dir_all(&dir);
    outcome
}

fn against(admin: &std::path::Path, args: &Args, server: u32) -> miette::Result<()> {
    let started = Instant::now();
    while !admin.exists() {
        if started.elapsed() > Duration::from_secs(20) {
            return Err(miette!("the coordinator did not start"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .into_diagnostic()?;
    let wanted = Load {
        agents: args.agents,
        measurements: args.measurements,
        samples: args.samples,
        drop_every: args.drop_every,
    };
    let report = runtime
        .block_on(load(admin, wanted, &mut |said| eprintln!("{said}")))
        .into_diagnostic()?;
    let peak = peak_memory(server);
    if args.json {
        let json = serde_json::json!({ "load": report, "server_peak_bytes": peak });
        super::print(&format!("{json:#}\n"));
    } else {
        super::print(&format!(
            "{} agents, {} measurements of {} samples: {} right, {} lost, {} doubled, \
             {} given while another was in hand; {} connections dropped in a job\n\
             {:.1} s, {:.0} measurements a second; the coordinator's peak memory {}\n",
            report.agents,
            report.measurements,
            args.samples,
            report.right,
            report.lost,
            report.doubled,
            report.overlapped,
            report.dropped,
            report.seconds,
            report.measurements as f64 / report.seconds,
            peak.map_or("is not told".into(), |b| format!(
                "{:.0} MB",
                b as f64 / 1e6
            )),
        ));
    }
    match report.right == report.measurements && report.doubled == 0 && report.overlapped == 0 {
        true => Ok(()),
        false => Err(miette!("the coordinator lost or doubled work")),
    }
}

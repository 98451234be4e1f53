//! `bespoke devices`: which devices the coordinator knows, and making it know
//! another or forget one.

use std::path::PathBuf;
use std::time::Duration;

use miette::{IntoDiagnostic, miette};

use crate::coordinator::{Admin, Client};
use crate::wire::{DeviceInfo, DeviceState};

pub const EXAMPLES: &str = "\
Examples:
  bespoke devices enrol pi5
  bespoke devices list
  bespoke devices watch
  bespoke measure search-spaces/quickstart.space --engine pi5/tract";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// The coordinator's admin.json [default: $BESPOKE_COORDINATOR, else
    /// runs/coordinator/admin.json].
    #[arg(long, value_name = "FILE", global = true)]
    coordinator: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The devices, what they are doing, and how much they have measured.
    List {
        #[arg(long)]
        json: bool,
    },
    /// All about one device.
    Show {
        #[arg(value_name = "NAME")]
        device: String,
        #[arg(long)]
        json: bool,
    },
    /// Issue a one-time token for a new device and print what to run on it.
    Enrol {
        #[arg(value_name = "NAME")]
        device: String,
        /// How long the token serves, in minutes.
        #[arg(long, value_name = "MINUTES", default_value_t = 60)]
        valid: u64,
        /// Print the token and the address as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lock a device out; what waits for it fails.
    Revoke {
        #[arg(value_name = "NAME")]
        device: String,
    },
    /// Print what happens, as it happens.
    Watch,
}

pub fn run(args: Args) -> miette::Result<()> {
    let path = args.coordinator.unwrap_or_else(Admin::default_path);
    let admin = Admin::read(&path).into_diagnostic()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .into_diagnostic()?;
    runtime.block_on(async {
        let mut client = Client::connect(&admin).await.into_diagnostic()?;
        match args.command {
            Command::List { json } => list(&mut client, json).await,
            Command::Show { device, json } => show(&mut client, &device, json).await,
            Command::Enrol {
                device,
                valid,
                json,
            } => enrol(&mut client, &device, valid, json).await,
            Command::Revoke { device } => {
                client.revoke(&device).await.into_diagnostic()?;
                super::print(&format!("{device} is locked out\n"));
                Ok(())
            }
            Command::Watch => watch(&mut client).await,
        }
    })
}

async fn list(client: &mut Client, json: bool) -> miette::Result<()> {
    let devices = client.devices().await.into_diagnostic()?;
    if json {
        let json = serde_json::to_string_pretty(&devices).into_diagnostic()?;
        super::print(&format!("{json}\n"));
        return Ok(());
    }
    let mut table = comfy_table::Table::new();
    table.set_header([
        "device", "state", "engines", "queued", "measured", "failed", "CPU",
    ]);
    for d in &devices {
        table.add_row([
            d.name.clone(),
            state(d),
            d.engines.join(", "),
            d.queued.to_string(),
            d.measured.to_string(),
            d.failed.to_string(),
            d.facts.cpu_model.clone().unwrap_or_default(),
        ]);
    }
    super::print(&format!("{table}\n"));
    Ok(())
}

fn state(d: &DeviceInfo) -> String {
    let since = || {
        let s = d.silent_s.unwrap_or(0.0);
        crate::report::duration_text(s)
    };
    match d.state {
        DeviceState::Idle => "idle".into(),
        DeviceState::Fetching => "fetching".into(),
        DeviceState::Measuring => "measuring".into(),
        DeviceState::Away => format!("away for {}", since()),
        DeviceState::Unseen => "not seen yet".into(),
        DeviceState::Revoked => "revoked".into(),
    }
}

async fn show(client: &mut Client, device: &str, json: bool) -> miette::Result<()> {
    let devices = client.devices().await.into_diagnostic()?;
    let names: Vec<&str> = devices.iter().map(|d| d.name.as_str()).collect();
    let found = devices.iter().find(|d| d.name == device);
    let d = found.ok_or_else(|| {
        miette!(
            help = "`bespoke devices enrol NAME` makes one known",
            "there is no device `{device}`; there are: {}",
            names.join(", ")
        )
    })?;
    if json {
        let json = serde_json::to_string_pretty(d).into_diagnostic()?;
        super::print(&format!("{json}\n"));
        return Ok(());
    }
    let limits: String = d
        .limits
        .iter()
        .map(|(engine, limits)| format!("limits:      {engine}: {limits}\n"))
        .collect();
    super::print(&format!(
        "device:      {}\nstate:       {}\nkey:         {}\nagent:       {}\nengines:     {}\n{limits}\
         queued:      {}\nmeasured:    {} ({} failed)\n{}\n",
        d.name,
        state(d),
        d.key,
        d.agent,
        d.engines.join(", "),
        d.queued,
        d.measured,
        d.failed,
        d.facts
    ));
    Ok(())
}

async fn enrol(client: &mut Client, device: &str, valid: u64, json: bool) -> miette::Result<()> {
    let valid_for = Duration::from_secs(60 * valid);
    let (token, address) = client.enrol(device, valid_for).await.into_diagnostic()?;
    if json {
        let json = serde_json::json!({ "device": device, "token": token, "address": address });
        super::print(&format!("{json:#}\n"));
        return Ok(());
    }
    super::print(&format!(
        "Run on {device} within {valid} minutes:\n\n  bespoke-probe enrol {address} \\\n    {token}\n  \
         bespoke-probe run\n\nThen measure with --engine {device}/tract\n"
    ));
    Ok(())
}

async fn watch(client: &mut Client) -> miette::Result<()> {
    let mut after = 0;
    loop {
        for event in client.events(after).await.into_diagnostic()? {
            after = event.number;
            super::print(&format!("{} {}\n", clock(event.at), event.text));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The time of day in UTC.
fn clock(at: u64) -> String {
    let s = at % 86_400;
    format!("{:02}:{:02}:{:02}Z", s / 3600, s / 60 % 60, s % 60)
}

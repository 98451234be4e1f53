//! `bespoke device`: the device profiles at hand, and help for who writes a
//! plugin.

use std::path::{Path, PathBuf};

use miette::{IntoDiagnostic, WrapErr};

use crate::device::plugin::CommandLine;
use crate::device::plugin::conformance::{self, Outcome};
use crate::device::{
    Catalogue, CatalogueError, Connection, DeviceFacts, Engine, Limits, PluginEngine, Profile,
};
use crate::search::ENGINES;

pub const EXAMPLES: &str = "\
Examples:
  bespoke device list
  bespoke device test onnxruntime
  bespoke device new myboard        # writes devices/myboard.toml and its plugin
  bespoke device test ./my-plugin --arg value

docs/plugins.md is the protocol that plugins speak.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The engines of this program and the profiles in devices/ (or the
    /// directories in BESPOKE_DEVICES).
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// A profile, its plugin and what the device says of itself.
    Show {
        #[arg(value_name = "DEVICE")]
        name: String,
    },
    /// Whether a plugin keeps to the protocol, and what to change where not.
    Test {
        /// A device's name or profile, or the plugin's command line.
        #[arg(
            value_name = "DEVICE | PROGRAM",
            trailing_var_arg = true,
            allow_hyphen_values = true,
            required = true
        )]
        command: Vec<String>,
        /// Longest time for one answer, in seconds [default: the profile's; 60].
        #[arg(long, value_name = "S")]
        timeout: Option<u32>,
    },
    /// Make a profile with a plugin that works and is there to be changed.
    New {
        #[arg(value_name = "NAME")]
        name: String,
        /// Where profiles are; the plugin goes into plugins/ below it.
        #[arg(long, value_name = "DIR", default_value = "devices")]
        dir: PathBuf,
    },
}

pub fn run(args: Args) -> miette::Result<()> {
    match args.command {
        Command::List { json } => list(json),
        Command::Show { name } => show(&name),
        Command::Test { command, timeout } => test(&command, timeout),
        Command::New { name, dir } => new(&name, &dir),
    }
}

/// How a device is reached, in a few words.
fn reached(profile: &Profile) -> String {
    match &profile.connection {
        Connection::Local => "in this program".into(),
        Connection::Command(command) => command.argv.join(" "),
    }
}

fn list(json: bool) -> miette::Result<()> {
    let catalogue = Catalogue::from_environment();
    let mut profiles = Vec::new();
    for file in catalogue.files() {
        match Profile::read(&file) {
            Ok(profile) => profiles.push(profile),
            Err(error) => eprintln!("warning: {error}"),
        }
    }
    if json {
        let json = serde_json::json!({ "engines": ENGINES, "devices": profiles });
        super::print(&format!("{json:#}\n"));
        return Ok(());
    }
    let mut table = comfy_table::Table::new();
    table.set_header(["name", "engines", "reached by", "description"]);
    for engine in ENGINES {
        table.add_row([
            engine,
            engine,
            "in this program",
            "an engine of this machine",
        ]);
    }
    for profile in &profiles {
        table.add_row([
            profile.name.clone(),
            profile.engines.join(", "),
            reached(profile),
            profile.description.clone(),
        ]);
    }
    super::print(&format!("{table}\n"));
    Ok(())
}

fn found(name: &str) -> miette::Result<Profile> {
    Catalogue::from_environment()
        .find(name)
        .into_diagnostic()
        .wrap_err("`bespoke device list` shows what there is")
}

fn show(name: &str) -> miette::Result<()> {
    let profile = found(name)?;
    let mut text = format!("name:        {}\n", profile.name);
    if !profile.description.is_empty() {
        text += &format!("description: {}\n", profile.description);
    }
    text += &format!("engines:     {}\n", profile.engines.join(", "));
    text += &format!("reached by:  {}\n", reached(&profile));
    let limits = profile.limits;
    text += &format!("limits:      {limits}\n");
    let facts = match profile.command_line() {
        None => DeviceFacts::collect(),
        Some(line) => {
            let engine = PluginEngine::start(line, limits).into_diagnostic()?;
            let hello = engine.hello();
            text += &format!(
                "plugin:      {} {}, offers {}{}\n",
                hello.name,
                hello.version,
                hello.offers.join(", "),
                if hello.simulated { "; simulated" } else { "" }
            );
            engine.facts()
        }
    };
    super::print(&format!("{text}{facts}\n"));
    Ok(())
}

/// The command line of a device's plugin, or the words themselves.
fn command_line(words: &[String]) -> miette::Result<(CommandLine, Limits)> {
    if let [name] = words {
        match Catalogue::from_environment().find(name) {
            Ok(profile) => {
                let Some(line) = profile.command_line() else {
                    miette::bail!(
                        help = "`bespoke measure SPACE --engine NAME` measures with it",
                        "`{name}` is measured in this program: there is no plugin to test"
                    );
                };
                return Ok((line, profile.limits));
            }
            // Not a name: perhaps a program.
            Err(CatalogueError::Unknown { .. }) if Path::new(name).is_file() => {}
            Err(error) => {
                return Err(error)
                    .into_diagnostic()
                    .wrap_err("give a device of `bespoke device list`, a profile or a program");
            }
        }
    }
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words[0].ends_with(".py") {
        words.insert(0, "{python}");
    }
    Ok((CommandLine::new(&words), Limits::default()))
}

fn test(words: &[String], timeout: Option<u32>) -> miette::Result<()> {
    let (mut line, limits) = command_line(words)?;
    if let Some(seconds) = timeout {
        line.timeout = std::time::Duration::from_secs(seconds.into());
    }
    let report = conformance::check(&line, limits);
    for check in &report.checks {
        let mark = match check.outcome {
            Outcome::Passed => "ok  ",
            Outcome::Noted => "note",
            Outcome::Failed => "FAIL",
        };
        super::print(&format!("{mark} {}: {}\n", check.name, check.detail));
    }
    if let Some(measurement) = &report.measurement {
        for warning in &measurement.warnings {
            eprintln!("warning: {warning}");
        }
    }
    match report.passed() {
        true => Ok(()),
        false => miette::bail!(
            help = "docs/plugins.md has the protocol and an example session",
            "the plugin does not keep to the protocol"
        ),
    }
}

const TEMPLATE: &str = include_str!("../../devices/plugins/template.py");
const HELPER: &str = include_str!("../../devices/plugins/bespoke_plugin.py");

fn new(name: &str, dir: &Path) -> miette::Result<()> {
    let toml = format!(
        "name = \"{name}\"\n\
         description = \"\"\n\n\
         [connection]\n\
         kind = \"command\"\n\
         argv = [\"{{python}}\", \"plugins/probe_{name}.py\"]\n\
         # Longest time for one answer.\n\
         timeout_s = 60\n\n\
         # Limits are optional; networks beyond them fail, and the plugin is told them.\n\
         # [limits]\n\
         # latency_ms = 10.0\n\
         # sram_bytes = 262144\n\
         # flash_bytes = 1048576\n"
    );
    let profile = dir.join(format!("{name}.toml"));
    Profile::parse(&toml, &profile.display().to_string()).into_diagnostic()?;
    let plugin = dir.join(format!("plugins/probe_{name}.py"));
    for path in [&profile, &plugin] {
        if path.exists() {
            miette::bail!(
                help = "choose another name, or remove it first",
                "{} is already there",
                path.display()
            );
        }
    }
    let helper = dir.join("plugins/bespoke_plugin.py");
    let write = |path: &Path, text: &str| {
        std::fs::write(path, text)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write {}", path.display()))
    };
    std::fs::create_dir_all(dir.join("plugins"))
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot make {}", dir.join("plugins").display()))?;
    write(&profile, &toml)?;
    write(&plugin, &TEMPLATE.replace("template", name))?;
    if !helper.exists() {
        write(&helper, HELPER)?;
    }
    eprintln!(
        "wrote {} and {}; change the plugin, then: bespoke device test {}",
        profile.display(),
        plugin.display(),
        profile.display()
    );
    Ok(())
}

//! The command line: arguments to calls. Data goes to stdout, everything else
//! to stderr. Exit codes: 0 done, 2 wrong input or a failure explained, 130
//! stopped by Ctrl-C.

pub mod bench_agents;
pub mod bench_differentiable;
pub mod bench_predictor;
pub mod bench_proxies;
pub mod bench_search;
pub mod bench_training;
pub mod calibrate;
pub mod device;
pub mod devices;
pub mod measure;
pub mod packaging;
pub mod predict;
pub mod predictor;
mod progress;
pub mod proxies;
pub mod report;
pub mod runs;
pub mod search;
pub mod serve;
pub mod space;
pub mod supernet;
pub mod top;
pub mod web;

use clap::Parser;

/// Networks cut to measure for your device.
#[derive(Debug, Parser)]
#[command(name = "bespoke", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The main job: search the quickstart space on this machine, from
    /// measurement to a trained, exported front.
    Quickstart(search::Args),
    /// Search a space for accuracy against latency on a device.
    Search(search::Args),
    /// Check, count, sample and draw search spaces.
    Space(space::Args),
    /// Measure architectures of a space, here or on a device elsewhere.
    Measure(measure::MeasureArgs),
    /// List, show, test and make device profiles and their plugins.
    Device(device::Args),
    /// Calibrate the predictor to a device from about ten measurements.
    Calibrate(calibrate::Args),
    /// Coordinate devices elsewhere: they dial in and measure.
    Serve(serve::Args),
    /// Enrol, list, watch and revoke devices elsewhere.
    Devices(devices::Args),
    /// Browse and export recorded runs.
    Runs(runs::Args),
    /// Show runs in a browser: fronts, networks, live progress, devices.
    Web(web::Args),
    /// Show a run on the terminal while it goes on.
    Top(top::Args),
    /// Write a run as one HTML file to send to a colleague.
    Report(report::Args),
    /// Predict latency, energy or memory on a calibrated device.
    Predict(predict::Args),
    /// Meta-train the predictor, judge it, or show what it knows.
    Predictor(predictor::Args),
    /// Score untrained architectures by zero-cost proxies.
    Proxies(proxies::Args),
    /// Train a whole space in one set of weights, rank by them, extract networks.
    Supernet(supernet::Args),
    /// Reproduce the published comparisons.
    Bench {
        #[command(subcommand)]
        command: Bench,
    },
    /// Print completions for a shell.
    Completions(packaging::Completions),
    /// Print the manual page, or write one for every command.
    Man(packaging::Man),
}

#[derive(Debug, clap::Subcommand)]
enum Bench {
    /// The predictor on devices it never saw, beside HELP's figures.
    Predictor(bench_predictor::Args),
    /// The coordinator under the load of many simulated agents.
    Agents(bench_agents::Args),
    /// Zero-cost proxies against a benchmark's true accuracies, beside published
    /// figures.
    Proxies(bench_proxies::Args),
    /// Differentiable strategies beside random architectures under equal budgets.
    Differentiable(bench_differentiable::Args),
    /// Strategies on NAS-Bench-201, where every accuracy is known.
    Search(bench_search::Args),
    /// Images a second in training, network by network.
    Training(bench_training::Args),
}

/// Runs the program and returns its exit code.
pub fn main() -> i32 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return error.exit_code();
        }
    };
    let outcome = match cli.command {
        Command::Quickstart(args) | Command::Search(args) => search::run(args),
        Command::Space(args) => space::run(args),
        Command::Measure(args) => measure::measure(args),
        Command::Device(args) => device::run(args),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Runs(args) => runs::run(args),
        Command::Web(args) => web::run(args),
        Command::Top(args) => top::run(args),
        Command::Report(args) => report::run(args),
        Command::Predict(args) => predict::run(args),
        Command::Predictor(args) => predictor::run(args),
        Command::Proxies(args) => proxies::run(args),
        Command::Supernet(args) => supernet::run(args),
        Command::Bench { command } => match command {
            Bench::Predictor(args) => bench_predictor::run(args),
            Bench::Differentiable(args) => bench_differentiable::run(args),
            Bench::Search(args) => bench_search::run(args),
            Bench::Proxies(args) => bench_proxies::run(args),
            Bench::Training(args) => bench_training::run(args),
            Bench::Agents(args) => bench_agents::run(args),
        },
        Command::Completions(args) => packaging::completions(args),
        Command::Man(args) => packaging::man(args),
    };
    match outcome {
        Ok(()) => 0,
        Err(report) => {
            say(&format!("{report:?}"));
            match report.downcast_ref::<crate::search::SearchError>() {
                Some(crate::search::SearchError::Interrupted { .. }) => 130,
                _ => 2,
            }
        }
    }
}

/// Prints data to stdout; a closed pipe is not an error.
fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Tells the user something on stderr; a closed pipe is not an error.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

//! `bespoke space`: the search-space language's tools.

use std::path::PathBuf;

use miette::{IntoDiagnostic, WrapErr};
use rand::SeedableRng;

use crate::space::{Architecture, Space};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Prove that every architecture's shapes fit, or show one that does not.
    Check {
        #[arg(value_name = "FILE.space", required = true)]
        files: Vec<PathBuf>,
    },
    /// Count the architectures, exactly.
    Count {
        #[arg(value_name = "FILE.space")]
        file: PathBuf,
    },
    /// Draw architectures uniformly, one genotype a line.
    Sample {
        #[arg(value_name = "FILE.space")]
        file: PathBuf,
        /// How many.
        #[arg(short = 'n', default_value_t = 1)]
        count: usize,
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Print one JSON object a line, with costs.
        #[arg(long)]
        json: bool,
    },
    /// List a space's choices with their options.
    Explain {
        #[arg(value_name = "FILE.space")]
        file: PathBuf,
    },
    /// Draw an architecture as SVG.
    Draw {
        #[arg(value_name = "FILE.space")]
        file: PathBuf,
        /// The genotype; a random one where none is given.
        genotype: Option<String>,
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Write to this file instead of stdout.
        #[arg(long, value_name = "FILE.svg")]
        out: Option<PathBuf>,
    },
}

pub fn run(args: Args) -> miette::Result<()> {
    match args.command {
        Command::Check { files } => {
            for file in files {
                let space = Space::load(&file)?;
                super::print(&format!(
                    "{}: {} fits, {} architectures, {} choices\n",
                    file.display(),
                    space.name(),
                    space.count(),
                    space.choices().len()
                ));
            }
        }
        Command::Count { file } => super::print(&format!("{}\n", Space::load(&file)?.count())),
        Command::Sample {
            file,
            count,
            seed,
            json,
        } => {
            let space = Space::load(&file)?;
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            for _ in 0..count {
                let architecture = space.sample(&mut rng);
                let genotype = space.genotype(&architecture);
                let line = match json {
                    false => genotype,
                    true => {
                        let network = space.network(&architecture)?;
                        serde_json::json!({
                            "genotype": genotype,
                            "network_hash": network.hash(),
                            "costs": network.costs(),
                        })
                        .to_string()
                    }
                };
                super::print(&format!("{line}\n"));
            }
        }
        Command::Explain { file } => {
            for choice in Space::load(&file)?.choices() {
                super::print(&format!(
                    "{} = {}\n",
                    choice.path,
                    choice.labels.join(" | ")
                ));
            }
        }
        Command::Draw {
            file,
            genotype,
            seed,
            out,
        } => {
            let space = Space::load(&file)?;
            let architecture = pick(&space, genotype.as_deref(), seed)?;
            let svg = crate::network::draw::svg(&space.network(&architecture)?);
            match out {
                Some(path) => std::fs::write(&path, svg)
                    .into_diagnostic()
                    .wrap_err_with(|| format!("cannot write {}", path.display()))?,
                None => super::print(&svg),
            }
        }
    }
    Ok(())
}

fn pick(space: &Space, genotype: Option<&str>, seed: u64) -> miette::Result<Architecture> {
    Ok(match genotype {
        Some(text) => space.parse_genotype(text)?,
        None => space.sample(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed)),
    })
}

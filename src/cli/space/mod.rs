//! `bespoke space`: the search-space language's tools.

mod compare;
mod explain;
mod help;
mod layout;
mod show;
mod vary;

use std::path::{Path, PathBuf};

use miette::{IntoDiagnostic, WrapErr, miette};

use crate::space::codec::Codec;
use crate::space::{Architecture, Space};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

/// The notation of architectures in arguments and output.
#[derive(Debug, clap::Args)]
pub(super) struct Notation {
    /// Read and write architectures in a benchmark's own notation.
    #[arg(long, value_name = "NAME", value_parser = notation)]
    format: Option<Codec>,
}

fn notation(name: &str) -> Result<Codec, String> {
    Codec::by_name(name).ok_or_else(|| {
        let names: Vec<&str> = Codec::ALL.iter().map(|(n, _)| *n).collect();
        format!(
            "there is no notation `{name}`; choose from {}",
            names.join(", ")
        )
    })
}

impl Notation {
    /// An argument: a genotype, the same in the notation, or `@FILE` with one.
    pub(super) fn read(&self, space: &Space, text: &str) -> miette::Result<Architecture> {
        let text = match text.strip_prefix('@') {
            Some(path) => std::fs::read_to_string(path)
                .into_diagnostic()
                .wrap_err_with(|| format!("cannot read the architecture in {path}"))?,
            None => text.to_string(),
        };
        Ok(match self.format {
            Some(codec) => codec.decode(space, &text)?,
            None => space.parse_genotype(&text)?,
        })
    }

    pub(super) fn write(
        &self,
        space: &Space,
        architecture: &Architecture,
    ) -> miette::Result<String> {
        Ok(match self.format {
            Some(codec) => codec.encode(space, architecture)?,
            None => space.genotype(architecture),
        })
    }
}

/// How many architectures to make at random.
#[derive(Debug, clap::Args)]
struct Draws {
    /// How many.
    #[arg(short = 'n', default_value_t = 1)]
    count: usize,
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Debug, clap::Args)]
struct Output {
    #[command(flatten)]
    notation: Notation,
    /// Print one JSON object a line, with costs.
    #[arg(long)]
    json: bool,
}

impl Output {
    fn print(&self, space: &Space, architecture: &Architecture) -> miette::Result<()> {
        let text = self.notation.write(space, architecture)?;
        if !self.json {
            super::print(&format!("{text}\n"));
            return Ok(());
        }
        let network = space.network(architecture)?;
        let line = serde_json::json!({
            "genotype": text,
            "network_hash": network.hash(),
            "costs": network.costs(),
        });
        super::print(&format!("{line}\n"));
        Ok(())
    }
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Prove that every architecture's shapes fit, or show one that does not.
    #[command(after_help = help::CHECK)]
    Check {
        #[arg(value_name = "FILE.space", required = true)]
        files: Vec<PathBuf>,
        /// Print one JSON object a file.
        #[arg(long)]
        json: bool,
    },
    /// Count the architectures, exactly.
    #[command(after_help = help::COUNT)]
    Count {
        #[arg(value_name = "FILE.space")]
        file: PathBuf,
        /// Also count the networks that differ by isomorphism, of up to a
        /// million architectures; for NAS-Bench-201 also by its authors' notion.
        #[arg(long)]
        distinct: bool,
        /// Also list what each stage decides.
        #[arg(long)]
        stages: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Draw architectures uniformly, one a line.
    #[command(after_help = help::SAMPLE)]
    Sample {
        #[arg(value_name = "FILE.space")]
        file: PathBuf,
        #[command(flatten)]
        draws: Draws,
        #[command(flatten)]
        output: Output,
    },
    /// List architectures in order, one a line.
    #[command(after_help = help::ENUMERATE)]
    Enumerate {
        #[arg(value_name = "FILE.space")]
        file: PathBuf,
        /// Leave out so many at the start.
        #[arg(long, default_value_t = 0)]
        offset: u64,
        /// Stop after so many; all where it is left out.
        #[arg(long)]
        limit: Option<usize>,
        #[command(flatten)]
        output: Output,
    },
    /// Change one decision of an architecture at random.
    #[command(after_help = help::MUTATE)]
    Mutate {
        #[arg(value_name = "FILE.space")]
        file: PathBuf,
        /// A genotype, or @FILE with one.
        architecture: String,
        #[command(flatten)]
        draws: Draws,
        #[command(flatten)]
        output: Output,
    },
    /// Take each decision from one of two architectures at random.
    #[command(after_help = help::CROSSOVER)]
    Crossover {
        #[arg(value_name = "FILE.space")]
        file: PathBuf,
        /// A genotype, or @FILE with one.
        mother: String,
        /// A genotype, or @FILE with one.
        father: String,
        #[command(flatten)]
        draws: Draws,
        #[command(flatten)]
        output: Output,
    },
    /// List a space's choices, or tell what an architecture decides, layer by
    /// layer.
    #[command(after_help = help::EXPLAIN)]
    Explain {
        #[arg(value_name = "FILE.space")]
        file: PathBuf,
        /// A genotype, or @FILE with one.
        architecture: Option<String>,
        #[command(flatten)]
        notation: Notation,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Compare two architectures: decisions and costs.
    #[command(after_help = help::DIFF)]
    Diff {
        #[arg(value_name = "FILE.space")]
        file: PathBuf,
        /// A genotype, or @FILE with one.
        a: String,
        /// A genotype, or @FILE with one.
        b: String,
        #[command(flatten)]
        notation: Notation,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Draw the space, or an architecture of it, as SVG.
    #[command(after_help = help::DRAW)]
    Draw {
        #[arg(value_name = "FILE.space")]
        file: PathBuf,
        /// A genotype, or @FILE with one; the space itself where none is given.
        architecture: Option<String>,
        /// Draw an architecture at random, with this seed.
        #[arg(long, value_name = "N", conflicts_with = "architecture")]
        seed: Option<u64>,
        /// Write to this file instead of stdout.
        #[arg(long, value_name = "FILE.svg")]
        out: Option<PathBuf>,
        #[command(flatten)]
        notation: Notation,
    },
    /// Lay out files in the standard way.
    #[command(after_help = help::FMT)]
    Fmt {
        #[arg(value_name = "FILE.space", required = true)]
        files: Vec<PathBuf>,
        /// Change nothing; fail where a file is not laid out so.
        #[arg(long)]
        check: bool,
        /// Print the result instead of writing it back.
        #[arg(long, conflicts_with = "check")]
        stdout: bool,
    },
}

pub fn run(args: Args) -> miette::Result<()> {
    match args.command {
        Command::Check { files, json } => files.iter().try_for_each(|f| show::check(f, json)),
        Command::Count {
            file,
            distinct,
            stages,
            json,
        } => show::count(&Space::load(&file)?, distinct, stages, json),
        Command::Sample {
            file,
            draws,
            output,
        } => vary::sample(&Space::load(&file)?, &draws, &output),
        Command::Enumerate {
            file,
            offset,
            limit,
            output,
        } => vary::enumerate(&Space::load(&file)?, offset, limit, &output),
        Command::Mutate {
            file,
            architecture,
            draws,
            output,
        } => vary::mutate(&Space::load(&file)?, &architecture, &draws, &output),
        Command::Crossover {
            file,
            mother,
            father,
            draws,
            output,
        } => {
            let space = Space::load(&file)?;
            vary::crossover(&space, [&mother, &father], &draws, &output)
        }
        Command::Explain {
            file,
            architecture,
            notation,
            json,
        } => {
            let space = Space::load(&file)?;
            match architecture {
                None => explain::space(&space, json),
                Some(text) => explain::architecture(&space, &notation.read(&space, &text)?, json)?,
            }
            Ok(())
        }
        Command::Diff {
            file,
            a,
            b,
            notation,
            json,
        } => {
            let space = Space::load(&file)?;
            let (a, b) = (notation.read(&space, &a)?, notation.read(&space, &b)?);
            compare::difference(&space, &a, &b, json)
        }
        Command::Draw {
            file,
            architecture,
            seed,
            out,
            notation,
        } => {
            let space = Space::load(&file)?;
            let architecture = match (architecture, seed) {
                (Some(text), _) => Some(notation.read(&space, &text)?),
                (None, Some(seed)) => Some(space.sample(&mut vary::rng(seed))),
                (None, None) => None,
            };
            let svg = match architecture {
                Some(architecture) => crate::network::draw::svg(&space.network(&architecture)?),
                None => space.drawing(),
            };
            match out {
                Some(path) => write(&path, &svg),
                None => {
                    super::print(&svg);
                    Ok(())
                }
            }
        }
        Command::Fmt {
            files,
            check,
            stdout,
        } => layout::fmt(&files, check, stdout),
    }
}

fn write(path: &Path, text: &str) -> miette::Result<()> {
    std::fs::write(path, text).map_err(|error| miette!("cannot write {}: {error}", path.display()))
}

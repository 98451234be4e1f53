//! How much the search strategies themselves cost, without any evaluation:
//!
//! - `nsga2 TABLE.csv`: NSGA-II with a population of 200 and 10^5 evaluations on
//!   a table of all NAS-Bench-201 cells, which it writes first, for pymoo to
//!   read (`benches/compare_with_pymoo.sh` runs both);
//! - `growth`: non-dominated sorting and hypervolume of 10^3 to 10^6 points;
//! - `overhead`: an ask and a tell of every strategy.
//!
//! `cargo bench --manifest-path benches/Cargo.toml --bench strategies -- growth`.
//! One core. Plain timings rather than criterion's: the largest sizes take
//! seconds each.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bespoke::pareto::{hypervolume, ranks};
use bespoke::predict::tables::{LatencyTable, TableSpace};
use bespoke::space::codec::Codec;
use bespoke::space::{Architecture, Space};
use bespoke::strategy::{
    Goals, Kind, Metric, Nsga2, Nsga2Config, Problem, Settings, Strategy, Worth, build,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The device of the table; an accelerator, on which fewer parameters need not
/// be faster.
const DEVICE: &str = "eyeriss";
const POPULATION: usize = 200;
const EVALUATIONS: usize = 100_000;
/// Beyond the worst of the table in both objectives.
const REFERENCE: [f64; 2] = [0.0, 20.0];

fn main() {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["nsga2", table] => nsga2(Path::new(table)),
        ["growth"] => growth(),
        ["overhead"] => overhead(),
        [] => {
            growth();
            overhead();
        }
        _ => panic!("give `nsga2 TABLE.csv`, `growth` or `overhead`"),
    }
}

/// Losses of all cells by their decisions, as digits to the base of five.
struct Table {
    losses: Vec<[f64; 2]>,
}

fn index(architecture: &Architecture) -> usize {
    let digits = architecture.decisions().iter();
    digits.fold(0, |index, (_, option)| 5 * index + option)
}

impl Table {
    /// Parameters, of which more are better, against latency in ms.
    fn read() -> Table {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../predictors/data");
        let read = LatencyTable::read(&folder, TableSpace::NasBench201);
        let table = read.unwrap_or_else(|e| panic!("{e}"));
        let device = table.device(DEVICE).expect("a device of the table");
        let (space, codec) = (nasbench201(), codec());
        let mut losses = vec![[f64::NAN; 2]; table.architectures.len()];
        for (text, ms) in table.architectures.iter().zip(&table.latency_ms[device]) {
            let architecture = codec.decode(&space, text).expect("a cell");
            let network = space.network(&architecture).expect("of this space");
            losses[index(&architecture)] = [-(network.costs().params as f64) / 1e6, *ms];
        }
        Table { losses }
    }

    fn write(&self, path: &Path) {
        let lines: Vec<String> = self
            .losses
            .iter()
            .map(|[a, b]| format!("{a},{b}\n"))
            .collect();
        std::fs::write(path, lines.concat()).expect("the table can be written");
    }
}

fn nasbench201() -> Arc<Space> {
    let text = include_str!("../search-spaces/nasbench201.space");
    Arc::new(Space::parse("nasbench201.space", text).expect("a shipped space"))
}

fn codec() -> Codec {
    Codec::by_name("nasbench201").expect("the codec of the table")
}

fn nsga2(path: &Path) {
    let table = Table::read();
    table.write(path);
    let space = nasbench201();
    for seed in 0..3 {
        let started = Instant::now();
        let config = Nsga2Config {
            population: POPULATION,
            seed,
            // As pymoo: nothing twice among parents and siblings.
            repeats: true,
            ..Nsga2Config::default()
        };
        let mut search = Nsga2::new(space.clone(), config);
        let mut latest = Vec::new();
        let mut told = 0;
        while told < EVALUATIONS {
            for candidate in search.ask(EVALUATIONS - told) {
                let objectives = table.losses[index(&candidate.architecture)];
                latest.push(objectives);
                told += 1;
                let worth = Worth {
                    objectives: objectives.to_vec(),
                    violation: 0.0,
                };
                search.tell(candidate.id, Some(worth));
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        let volume = hypervolume(&latest, &REFERENCE);
        let best = hypervolume(&table.losses, &REFERENCE);
        println!(
            "{{\"seconds\": {seconds}, \"evaluations\": {told}, \"hypervolume\": {}}}",
            volume / best
        );
    }
}

/// Points spread over a simplex, roughened: large fronts, as searches have.
fn points(n: usize, objectives: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let mut point = || {
        let mut shares: Vec<f64> = (0..objectives).map(|_| -rng.random::<f64>().ln()).collect();
        let sum: f64 = shares.iter().sum();
        let far: f64 = 1.0 + rng.random::<f64>();
        shares.iter_mut().for_each(|s| *s *= far / sum);
        shares
    };
    (0..n).map(|_| point()).collect()
}

/// The least of three runs, in seconds.
fn seconds<T>(mut run: impl FnMut() -> T) -> f64 {
    let time = |_| {
        let started = Instant::now();
        black_box(run());
        started.elapsed().as_secs_f64()
    };
    (0..3).map(time).fold(f64::INFINITY, f64::min)
}

/// The slope of `ln y` over `ln x`.
fn exponent(sizes: &[usize], times: &[f64]) -> f64 {
    let x: Vec<f64> = sizes.iter().map(|n| (*n as f64).ln()).collect();
    let y: Vec<f64> = times.iter().map(|t| t.ln()).collect();
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let (mx, my) = (mean(&x), mean(&y));
    let above: f64 = x.iter().zip(&y).map(|(x, y)| (x - mx) * (y - my)).sum();
    let below: f64 = x.iter().map(|x| (x - mx) * (x - mx)).sum();
    above / below
}

fn growth() {
    let sizes = [1_000, 10_000, 100_000, 1_000_000];
    println!("| ms for so many points | 10^3 | 10^4 | 10^5 | 10^6 | exponent |");
    println!("|---|---|---|---|---|---|");
    for objectives in [2, 3] {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let sets: Vec<_> = sizes
            .iter()
            .map(|n| points(*n, objectives, &mut rng))
            .collect();
        let row = |name: &str, times: Vec<f64>| {
            let cells: Vec<String> = times.iter().map(|t| format!("{:.3}", 1e3 * t)).collect();
            let exponent = exponent(&sizes, &times);
            println!(
                "| {name}, {objectives} objectives | {} | {exponent:.2} |",
                cells.join(" | ")
            );
        };
        let reference = vec![2.0; objectives];
        let sorting = sets.iter().map(|set| seconds(|| ranks(set)));
        row("non-dominated sorting", sorting.collect());
        let volume = sets
            .iter()
            .map(|set| seconds(|| hypervolume(set, &reference)));
        row("hypervolume", volume.collect());
    }
}

fn overhead() {
    const EVALUATIONS: usize = 2_000;
    println!("\n| strategy | µs an ask and a tell, of {EVALUATIONS} |\n|---|---|");
    let table = Table::read();
    let goals = Goals::new(vec![Metric::Params, Metric::LATENCY], Vec::new());
    let problem = Problem::new(nasbench201(), goals.expect("they make sense"));
    for kind in Kind::ALL {
        let run = || {
            let settings = Settings::default();
            let mut strategy = build(*kind, problem.clone(), &settings).expect("it can be made");
            for _ in 0..EVALUATIONS {
                for candidate in strategy.ask(1) {
                    let worth = Worth {
                        objectives: table.losses[index(&candidate.architecture)].to_vec(),
                        violation: 0.0,
                    };
                    strategy.tell(candidate.id, Some(worth));
                }
            }
        };
        println!(
            "| `{kind}` | {:.2} |",
            1e6 * seconds(run) / EVALUATIONS as f64
        );
    }
}

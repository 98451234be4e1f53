//! On the latencies that come with the predictor and accuracies of our own
//! making; the published ones are not ours to ship.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::*;
use crate::predict::Predictor;
use crate::predict::tables::{LatencyTable, TableSpace};
use crate::strategy::Kind;

fn tables() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("predictors/data")
}

fn column(path: &Path) -> AccuracyColumn {
    AccuracyColumn {
        path: path.into(),
        column: AccuracyColumn::CIFAR100.into(),
    }
}

/// More convolutions and more of them 3x3 is better, along more ways; what is
/// cut off from the input guesses.
fn accuracy(text: &str) -> f64 {
    let cell = |edge: usize| text.split('~').nth(edge).unwrap_or_default();
    let worth: f64 = (0..6)
        .map(|edge| match cell(edge) {
            e if e.ends_with("conv_3x3") => 1.0 + 0.05 * edge as f64,
            e if e.ends_with("conv_1x1") => 0.6 - 0.02 * edge as f64,
            e if e.ends_with("skip_connect") => 0.45 + 0.03 * edge as f64,
            e if e.ends_with("avg_pool_3x3") => 0.1,
            _ => 0.0,
        })
        .sum();
    100.0 * (1.0 - (-worth / 2.0f64).exp())
}

/// The table with our accuracies, as CSV.
fn csv() -> &'static str {
    static CSV: OnceLock<String> = OnceLock::new();
    CSV.get_or_init(|| {
        let table = LatencyTable::read(&tables(), TableSpace::NasBench201).unwrap();
        let mut text = format!("architecture,{}\n", AccuracyColumn::CIFAR100);
        for architecture in &table.architectures {
            writeln!(text, "{architecture},{}", accuracy(architecture)).unwrap();
        }
        text
    })
}

fn benchmark() -> &'static Benchmark {
    static BENCHMARK: OnceLock<Benchmark> = OnceLock::new();
    BENCHMARK.get_or_init(|| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), csv()).unwrap();
        Benchmark::read(&tables(), &column(file.path())).unwrap()
    })
}

fn setup(seeds: u64, evaluations: usize) -> Setup {
    Setup {
        seeds,
        evaluations,
        measurements: 10,
        window: 1,
        population: None,
    }
}

#[test]
fn the_truth_is_the_whole_table() {
    let truth = Truth::of(benchmark(), "fpga");
    assert!((truth.share(0..15_625) - 1.0).abs() < 1e-12);
    assert!((truth.share(truth.front.iter().copied()) - 1.0).abs() < 1e-12);
    assert_eq!(truth.share([]), 0.0);
    let best = benchmark().accuracy.iter().copied().fold(0.0, f64::max);
    assert_eq!(truth.best_within(f64::INFINITY), Some(best));
    assert_eq!(truth.best_within(0.0), None);
}

#[test]
fn runs_repeat_themselves_and_guided_beats_random() {
    let run = || {
        let kinds = [Kind::Guided, Kind::Random];
        let (peers, setup) = (Peers::default(), setup(2, 40));
        fronts(
            benchmark(),
            Predictor::shipped(),
            "eyeriss",
            &kinds,
            &peers,
            &setup,
        )
        .unwrap()
    };
    let Fronts {
        courses,
        foreseeable,
    } = run();
    assert_eq!(courses, run().courses);
    assert_eq!(foreseeable.len(), 2);
    assert!(foreseeable.iter().all(|share| (0.5..=1.0).contains(share)));
    let last = |name: &str| {
        let of = courses.iter().filter(|c| c.strategy == name);
        Quartiles::of(of.map(|c| after(&c.evaluated, 40))).median
    };
    assert!(
        last("guided") > last("random"),
        "{} {}",
        last("guided"),
        last("random")
    );
    for course in &courses {
        assert_eq!(course.rows.len(), 40);
        // All that was evaluated dominates no less than a part of it.
        let pairs = course.handed_over.iter().zip(&course.evaluated);
        assert!(
            pairs
                .clone()
                .all(|(part, all)| *part <= all + 1e-12 && *all <= 1.0 + 1e-12)
        );
        assert!(course.evaluated.is_sorted() && course.accuracy.is_sorted());
    }
}

#[test]
fn under_a_limit_finalists_are_measured_and_the_answer_keeps_it() {
    let limit_ms = 5.0;
    let best = Truth::of(benchmark(), "eyeriss")
        .best_within(limit_ms)
        .unwrap();
    let predictor = Predictor::shipped();
    let runs = limited(
        benchmark(),
        predictor,
        "eyeriss",
        limit_ms,
        Kind::Guided,
        &setup(1, 40),
    )
    .unwrap();
    let run = &runs[0];
    assert!((1..=FINALISTS).contains(&run.finalists.len()));
    assert_eq!(run.evaluations, 40);
    let (row, latency_ms) = run
        .finalists
        .iter()
        .find(|f| Some(f.0) == run.best)
        .unwrap();
    assert!(*latency_ms <= limit_ms);
    assert!(benchmark().accuracy[*row] <= best);
    // No limit at all that a network keeps: no answer, and no panic.
    let runs = limited(
        benchmark(),
        predictor,
        "eyeriss",
        1e-3,
        Kind::Guided,
        &setup(1, 12),
    )
    .unwrap();
    assert_eq!(runs[0].best, None);
}

#[test]
fn peers_are_scored_like_ours() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let texts = &benchmark().measured.table.architectures;
    let mut text = "strategy,device,seed,architecture\n".to_string();
    for row in [5, 5, 777, 9930] {
        writeln!(text, "theirs,fpga,0,{}", texts[row]).unwrap();
    }
    std::fs::write(file.path(), &text).unwrap();
    let peers = Peers::read(benchmark(), file.path()).unwrap();
    let courses = fronts(
        benchmark(),
        Predictor::shipped(),
        "fpga",
        &[],
        &peers,
        &setup(1, 9),
    )
    .unwrap()
    .courses;
    assert_eq!(courses[0].rows, [5, 777, 9930]);
    assert_eq!(courses[0].strategy, "theirs");
    std::fs::write(file.path(), text + "theirs,fpga,0,nonsense\n").unwrap();
    let error = Peers::read(benchmark(), file.path())
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 6"), "{error}");
}

#[test]
fn scores_are_read_and_known_to_strategies() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), csv()).unwrap();
    let mut with = Benchmark::read(&tables(), &column(file.path())).unwrap();
    // The best proxy that there is, and one that is not always defined.
    let mut text = String::new();
    for (row, architecture) in with.measured.table.architectures.iter().enumerate() {
        let undefined = row % 3 == 0;
        let other = if undefined { "" } else { ",\"b\":1e9" };
        let score = with.accuracy[row];
        writeln!(
            text,
            "{{\"errors\":{{}},\"genotype\":\"{architecture}\",\"scores\":{{\"a\":{score}{other}}}}}"
        )
        .unwrap();
    }
    std::fs::write(file.path(), &text).unwrap();
    with.read_scores(file.path()).unwrap();
    let needed = |benchmark: &Benchmark| {
        let best = benchmark.accuracy.iter().copied().fold(0.0, f64::max);
        let courses = best_accuracies(benchmark, &[Kind::Guided], &setup(3, 40)).unwrap();
        let each = courses.iter().map(|c| until(&c.accuracy, best).min(40.0));
        each.sum::<f64>()
    };
    let (told, blind) = (needed(&with), needed(benchmark()));
    assert!(told < blind, "{told} with scores, {blind} without");

    let mut error = |text: &str| {
        std::fs::write(file.path(), text).unwrap();
        with.read_scores(file.path()).unwrap_err().to_string()
    };
    let (first, rest) = text.split_once('\n').unwrap();
    assert!(error(rest).contains("1 architectures have no line"));
    let message = error(&format!("{first}\n{{\"genotype\": 3}}\n"));
    assert!(
        message.contains("line 2") && message.contains("bespoke proxies"),
        "{message}"
    );
}

#[test]
fn wrong_tables_are_explained() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = |text: &str| {
        std::fs::write(file.path(), text).unwrap();
        match Benchmark::read(&tables(), &column(file.path())) {
            Ok(_) => panic!("{text} is accepted"),
            Err(error) => error.to_string(),
        }
    };
    assert!(error("architecture,top1\n").contains("it has architecture, top1"));
    let header = format!("architecture,{}\n", AccuracyColumn::CIFAR100);
    assert!(error(&format!("{header}x,170\n")).contains("line 2: `170`"));
    assert!(error(&header).contains("no accuracy of 15625 architectures"));
    let message = match Scenario::new(benchmark(), Predictor::shipped(), "abacus", 10, 0) {
        Ok(_) => panic!("there is no such device"),
        Err(error) => error.to_string(),
    };
    assert!(message.contains("titan_rtx_256"), "{message}");
    assert!(Scenario::new(benchmark(), Predictor::shipped(), "fpga", 0, 0).is_err());
}

/// With the published accuracies: what is best possible under HELP's limits.
#[test]
fn the_best_under_helps_limits_is_what_the_documents_say() {
    let Ok(path) = std::env::var("BESPOKE_NB201_ACCURACIES") else {
        eprintln!("*** SKIPPED: BESPOKE_NB201_ACCURACIES names no CSV file of accuracies ***");
        return;
    };
    let benchmark = Benchmark::read(&tables(), &column(Path::new(&path))).unwrap();
    let best = [
        70.87, 71.63, 72.28, 69.33, 71.50, 72.86, 71.52, 71.83, 73.04, 71.63, 73.26, 73.26, 71.63,
        72.28, 73.26,
    ];
    for (row, percent) in HELP_ROWS.iter().zip(best) {
        let truth = Truth::of(&benchmark, row.device).best_within(row.limit_ms);
        let found = 100.0 * truth.unwrap();
        assert!((found - percent).abs() < 0.006, "{row:?}: {found}");
    }
}

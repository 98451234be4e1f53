//! How quick the database of runs is, and how large. Run with
//!   cargo bench --no-default-features --features runs --bench store
//! `BESPOKE_BENCH_EVALUATIONS` sets the length of the long run (1,000,000) and
//! `BESPOKE_BENCH_DB` its database: a file, or a server's URL. It is kept, and
//! where it already holds a run of that length, that one is read again. As with
//! other benches, `-- opening` runs what is called so, of the timed readings.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bespoke::space::Space;
use bespoke::store::{Asked, Detail, Evaluated, Event, RunFilter, RunHeader, RunId, Store};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

const READERS: usize = 8;

fn header(space: &Space) -> RunHeader {
    RunHeader {
        name: "bench".into(),
        experiment: json!({"objectives": ["accuracy", "latency_ms"], "other_engines": ["flex"]}),
        space_text: space.text().into(),
        space_hash: space.hash().into(),
        seed: 0,
        bespoke_version: env!("CARGO_PKG_VERSION").into(),
        git_commit: None,
        dataset_name: "none".into(),
        dataset_hash: "none".into(),
        device: "this machine".into(),
        engine: "tract".into(),
    }
}

/// Candidates as a search with two epochs and a second engine records them.
struct Candidates {
    space: Space,
    rng: ChaCha8Rng,
    next: u64,
}

impl Candidates {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("search-spaces/quickstart.space");
        Candidates {
            space: Space::load(&path).expect("the shipped space"),
            rng: ChaCha8Rng::seed_from_u64(0),
            next: 0,
        }
    }

    fn pair(&mut self) -> [Event; 2] {
        let candidate = self.next;
        self.next += 1;
        // The space is small; a number keeps the genotypes of a long run apart.
        let genotype = self.space.genotype(&self.space.sample(&mut self.rng));
        let genotype = format!("{genotype} n={candidate}");
        let network_hash = format!("{:032x}", self.rng.random::<u128>());
        let latency_ms: f64 = 0.05 + self.rng.random::<f64>();
        let accuracy = 0.5 + 0.4 * latency_ms.min(1.0) * self.rng.random::<f64>();
        let interval = |ms: f64| [ms, 0.87 * ms, 1.19 * ms];
        let other = interval(latency_ms * (1.0 + self.rng.random::<f64>()));
        let mut epoch = |epoch: u32| {
            json!({"epoch": epoch, "train_loss": self.rng.random::<f64>(),
                   "train_accuracy": self.rng.random::<f64>(),
                   "validation_accuracy": null, "seconds": self.rng.random::<f64>()})
        };
        let curve = json!([epoch(1), epoch(2)]);
        let [value, low, high] = interval(latency_ms);
        [
            Event::Asked(Asked {
                candidate,
                generation: candidate / 12,
                genotype: genotype.clone(),
                network_hash: network_hash.clone(),
                fidelity: 1.0,
            }),
            Event::Evaluated(Evaluated {
                candidate,
                generation: candidate / 12,
                genotype,
                network_hash,
                accuracy,
                fidelity: 1.0,
                curve,
                latency_ms: value,
                latency_low_ms: low,
                latency_high_ms: high,
                predictions: [("latency_ms@flex".to_owned(), other)].into(),
                macs: 1_083_392 + candidate,
                params: 36_490,
                peak_activation_bytes: 25_088,
                seconds: self.rng.random(),
            }),
        ]
    }
}

fn percentile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
}

fn timed<T>(what: &str, work: impl Fn() -> T) {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if filter.is_some_and(|filter| !what.contains(&filter)) {
        return;
    }
    let (mut times, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let (start, before) = (Instant::now(), processor_seconds());
        let made = std::hint::black_box(work());
        times.push(start.elapsed());
        busy.extend(
            processor_seconds()
                .zip(before)
                .map(|(now, then)| now - then),
        );
        drop(made);
    }
    let best = percentile(&mut times, 0.0);
    let median = percentile(&mut times, 0.5);
    let busy = busy.into_iter().reduce(f64::min);
    let busy = busy.map_or(String::new(), |s| format!("; {s:.2} s of processor time"));
    println!("{what:<58} {median:>10.1} ms (median of 5, best {best:.1}{busy})");
}

/// What all threads of this process have used so far, where Linux tells it.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    // User and system time, in hundredths of a second on every Linux.
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

/// Records while readers, each as another process would, list, look at the
/// front and follow the run.
fn recording(db: &Path) {
    let mut candidates = Candidates::new();
    let store = Store::open(db).expect("a new database");
    let run = store.create_run(&header(&candidates.space)).expect("a run");
    let (stop, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let store = Store::open_read_only(db).expect("it exists");
                let mut seen = 0;
                while !stop.load(Ordering::Relaxed) {
                    store.runs(&RunFilter::default()).expect("a list");
                    store.front_state(&run).expect("a front");
                    seen = store.for_each_event(&run, seen, |_| {}).expect("events");
                    reads.fetch_add(1, Ordering::Relaxed);
                    // As a page that looks ten times a second.
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
        }
        for _ in 0..2000 {
            let [asked, evaluated] = candidates.pair();
            store.append(&run, &asked).expect("recorded");
            let start = Instant::now();
            store.answer(&run, &evaluated).expect("recorded");
            times.push(start.elapsed());
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!(
        "recording an evaluation, {READERS} readers browsing {:>20.3} ms median, {:.3} ms 99th percentile \
         ({} looks)",
        percentile(&mut times, 0.5),
        percentile(&mut times, 0.99),
        reads.into_inner()
    );
}

fn fill(db: &Path, evaluations: usize) -> RunId {
    let mut candidates = Candidates::new();
    let store = Store::open(db).expect("a database");
    let run = store.create_run(&header(&candidates.space)).expect("a run");
    let start = Instant::now();
    let mut left = evaluations;
    while left > 0 {
        let number = left.min(2000);
        let events: Vec<Event> = (0..number).flat_map(|_| candidates.pair()).collect();
        store.append_all(&run, &events).expect("recorded");
        left -= number;
    }
    println!(
        "{:<58} {:>10.1} s",
        format!("writing {evaluations} evaluations, 2000 at a time"),
        start.elapsed().as_secs_f64()
    );
    run
}

fn main() {
    let number = std::env::var("BESPOKE_BENCH_EVALUATIONS");
    let evaluations: usize = number.map_or(1_000_000, |text| text.parse().expect("a number"));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let given = std::env::var_os("BESPOKE_BENCH_DB").map(PathBuf::from);
    let db = given.clone().unwrap_or_else(|| dir.path().join("long.db"));
    let kept = given.as_deref().and_then(|db| {
        let store = Store::open_read_only(db).ok()?;
        let runs = store.runs(&RunFilter::default()).ok()?;
        runs.into_iter()
            .find(|run| run.evaluated == evaluations as u64)
    });
    let run = match kept {
        Some(run) => run.id,
        None => {
            recording(given.as_deref().unwrap_or(&dir.path().join("recording.db")));
            fill(&db, evaluations)
        }
    };
    if let Ok(file) = std::fs::metadata(&db) {
        let bytes = file.len();
        println!(
            "{:<58} {:>10.0} bytes",
            "database, an evaluation with all it was asked with",
            bytes as f64 / evaluations as f64
        );
    }
    let store = Store::open_read_only(&db).expect("it exists");
    timed("list of runs", || {
        store.runs(&RunFilter::default()).expect("a list").len()
    });
    timed("front", || {
        store.front_state(&run).expect("a front").front().len()
    });
    timed("opening it and reading what a search goes on from", || {
        let store = Store::open(&db).expect("it exists");
        let state = store.state_in(&run, Detail::Figures).expect("a state");
        assert_eq!(state.candidates.len(), evaluations);
        (store, state)
    });
    timed("everything, training curves included", || {
        store.state(&run).expect("a state")
    });
}

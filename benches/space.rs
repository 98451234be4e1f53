//! How fast the language is: checking a file, drawing architectures, building
//! and costing their networks, enumerating a space. One core, nothing cached by
//! genotype: every iteration draws another architecture.
//!
//! `cargo bench --manifest-path benches/Cargo.toml`, with a filter such as
//! `-- build/nasbench201` for one of them.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bespoke::space::Space;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Every file in `search-spaces/`, by name.
fn files() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../search-spaces");
    let entries = std::fs::read_dir(&folder).expect("search-spaces/ can be read");
    let paths = entries.map(|entry| entry.expect("an entry of search-spaces/").path());
    let spaces = paths.filter(|path| path.extension().is_some_and(|e| e == "space"));
    let mut files: Vec<(String, PathBuf)> = spaces
        .map(|path| (path.file_stem().expect("a name").display().to_string(), path))
        .collect();
    files.sort();
    files
}

fn load(path: &Path) -> Space {
    Space::load(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Reading and checking a file. Target: 20 ms each.
fn check(c: &mut Criterion) {
    let mut group = c.benchmark_group("check");
    for (name, path) in files() {
        group.bench_function(name, |b| b.iter(|| load(black_box(&path))));
    }
}

/// An architecture drawn, its network built and costed. Targets: 100,000 a
/// second for nasbench201, 20,000 for ofa-mobilenetv3.
fn build(c: &mut Criterion) {
    let mut group = c.benchmark_group("build");
    group.throughput(Throughput::Elements(1));
    for (name, path) in files() {
        let space = load(&path);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        group.bench_function(name, |b| {
            b.iter(|| {
                let architecture = space.sample(&mut rng);
                let network = space.network(&architecture).expect("an architecture of it");
                network.costs()
            })
        });
    }
}

/// Drawing alone, and the operators of evolution.
fn vary(c: &mut Criterion) {
    let mut group = c.benchmark_group("vary");
    group.throughput(Throughput::Elements(1));
    for (name, path) in files() {
        let space = load(&path);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        group.bench_function(format!("{name}/sample"), |b| {
            b.iter(|| space.sample(&mut rng))
        });
        let (mother, father) = (space.sample(&mut rng), space.sample(&mut rng));
        group.bench_function(format!("{name}/mutate"), |b| {
            b.iter(|| space.mutate(&mother, &mut rng))
        });
        group.bench_function(format!("{name}/crossover"), |b| {
            b.iter(|| space.crossover(&mother, &father, &mut rng))
        });
    }
}

/// All 15,625 genotypes of NAS-Bench-201. Target: 0.5 s.
fn enumerate(c: &mut Criterion) {
    let (_, path) = files()
        .into_iter()
        .find(|(name, _)| name == "nasbench201")
        .expect("search-spaces/nasbench201.space");
    let space = load(&path);
    let mut group = c.benchmark_group("enumerate");
    group.sample_size(10);
    group.bench_function("nasbench201", |b| {
        b.iter(|| {
            let genotypes = space.enumerate().map(|a| space.genotype(&a).len());
            assert!(genotypes.count() == 15_625);
        })
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = check, build, vary, enumerate
}
criterion_main!(benches);

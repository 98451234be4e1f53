//! How fast the latency predictor is: meta-training on a table, adaptation from
//! ten measurements, predictions one by one on one core (from features, and
//! with the network's features computed on the way).
//!
//! `cargo bench --manifest-path benches/Cargo.toml --bench predict`. A table is
//! read from `predictors/data`.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use bespoke::predict::protocol::split;
use bespoke::predict::tables::TableSpace;
use bespoke::predict::train::{Measured, TrainOptions, train};
use bespoke::predict::{Features, Options, Predictor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn read(space: TableSpace) -> Measured {
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("../predictors/data");
    Measured::read(&tables, space).unwrap_or_else(|e| panic!("{e}"))
}

/// Meta-training on one table. Target: three minutes on two cores for
/// nasbench201.
fn meta_train(c: &mut Criterion) {
    let mut group = c.benchmark_group("meta_train");
    group.sample_size(10);
    for space in TableSpace::ALL {
        let measured = [read(space)];
        let options = TrainOptions {
            spaces: vec![space],
            ..TrainOptions::default()
        };
        group.bench_function(space.name(), |b| {
            b.iter(|| train(black_box(&measured), &options))
        });
    }
}

/// Ten measurements of a validation device.
fn pairs(measured: &Measured) -> Vec<(&Features, f64)> {
    let latency = measured.latencies(split(measured.table.space).validate[0]);
    let step = measured.features.len() / 10;
    let rows = (0..10).map(|i| i * step);
    rows.map(|i| (&measured.features[i], latency[i])).collect()
}

/// Target: 50 ms.
fn adapt(c: &mut Criterion) {
    let mut group = c.benchmark_group("adapt");
    group.sample_size(20);
    for space in TableSpace::ALL {
        let measured = read(space);
        let pairs = pairs(&measured);
        group.bench_function(space.name(), |b| {
            b.iter(|| {
                let predictor = Predictor::shipped();
                predictor.calibrate(black_box(&pairs), &Options::default())
            })
        });
    }
}

/// Targets a second: 200,000 for nasbench201, 20,000 for ofa.
fn predict(c: &mut Criterion) {
    let mut group = c.benchmark_group("predict");
    for space in TableSpace::ALL {
        let measured = read(space);
        let calibrated = Predictor::shipped()
            .calibrate(&pairs(&measured), &Options::default())
            .unwrap_or_else(|e| panic!("{e}"));
        let batch = &measured.features[..1000];
        let networks: Vec<_> = measured.table.architectures[..1000]
            .iter()
            .map(|text| space.network(text).unwrap_or_else(|e| panic!("{e}")))
            .collect();
        group.throughput(Throughput::Elements(1000));
        group.bench_function(format!("{}/latency", space.name()), |b| {
            b.iter(|| batch.iter().map(|f| calibrated.latency_ms(f)).sum::<f64>())
        });
        let rows: Vec<&Features> = batch.iter().collect();
        group.bench_function(format!("{}/batch", space.name()), |b| {
            b.iter(|| calibrated.latencies_ms(black_box(&rows)))
        });
        group.bench_function(format!("{}/interval", space.name()), |b| {
            b.iter(|| batch.iter().map(|f| calibrated.predict(f).high_ms).sum::<f64>())
        });
        group.bench_function(format!("{}/from_network", space.name()), |b| {
            b.iter(|| networks.iter().map(|n| calibrated.latency_ms(n)).sum::<f64>())
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = meta_train, adapt, predict
}
criterion_main!(benches);

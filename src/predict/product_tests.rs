//! What the product around the predictor promises: bad input is refused or
//! warned of, calibrations are files that can be trusted, and energy and
//! memory are predicted like latency.

use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::device_model::{DeviceModel, Origin, Sample};
use super::judge::{by_name, ceiling, judge};
use super::quantity::Quantity;
use super::tests::{CPU, pairs, small_networks};
use super::*;
use crate::network::Network;

fn calibrate(nets: &[Network], latency_ms: &[f64]) -> Calibrated {
    Predictor::shipped()
        .calibrate(&pairs(nets, latency_ms), &Options::default())
        .unwrap()
}

/// Mean deviation of the logarithm over other networks.
fn width(calibrated: &Calibrated) -> f64 {
    let others = small_networks(20, 900);
    others
        .iter()
        .map(|n| calibrated.predict(n).sd_log)
        .sum::<f64>()
        / 20.0
}

fn model(quantity: Quantity, nets: &[Network], values: &[f64]) -> Result<DeviceModel, ModelError> {
    let samples: Vec<Sample> = nets
        .iter()
        .zip(values)
        .enumerate()
        .map(|(i, (network, value))| Sample {
            genotype: format!("n={i}"),
            network,
            value: *value,
        })
        .collect();
    let origin = Origin {
        device: "pi".into(),
        ..Origin::default()
    };
    DeviceModel::calibrate(Predictor::shipped(), quantity, origin, &samples)
}

#[test]
fn impossible_values_and_equal_networks_are_refused() {
    let nets = small_networks(5, 1);
    for bad in [
        f64::NAN,
        -1.0,
        0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e-300,
        1e300,
    ] {
        let refused = Predictor::shipped().calibrate(
            &pairs(&nets, &[1.0, 2.0, bad, 3.0, 4.0]),
            &Options::default(),
        );
        assert!(
            matches!(refused, Err(CalibrationError::BadLatency { index: 2, .. })),
            "{bad}: {refused:?}"
        );
        for quantity in Quantity::ALL {
            let refused = model(quantity, &nets, &[1.0, 2.0, bad, 3.0, 4.0]);
            assert!(
                matches!(refused, Err(ModelError::Value { index: 2, .. })),
                "{bad} {quantity:?}: {refused:?}"
            );
        }
    }
    let same = vec![
        nets[0].clone(),
        nets[1].clone(),
        nets[0].clone(),
        nets[1].clone(),
    ];
    let refused = Predictor::shipped()
        .calibrate(&pairs(&same, &[1.0, 2.0, 1.0, 2.0]), &Options::default())
        .unwrap_err();
    insta::assert_snapshot!(refused, @"4 measurements of only 2 different networks say too little: measure at least 3 different ones");
    let mut features: Vec<(Features, f64)> = nets.iter().map(|n| (Features::of(n), 1.0)).collect();
    features[3].0.costs[0] = f64::NAN;
    let refused = Predictor::shipped()
        .calibrate(&features, &Options::default())
        .unwrap_err();
    insta::assert_snapshot!(refused, @"measurement 3 (counted from 0) has a cost `dense.count` that is no non-negative number: compute its features again with Features::of");
    insta::assert_snapshot!(
        model(Quantity::Energy, &nets, &[1.0, -2.0, 3.0, 4.0, 5.0]).unwrap_err(),
        @"measurement 1 (counted from 0): energy is -2 mJ: expected a number from 1e-6 to 1e9; measure it again, leave it out or check the unit");
}

#[test]
fn a_device_that_does_not_see_the_network_is_warned_of_and_widens() {
    let nets = small_networks(10, 2);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let usual = calibrate(&nets, &CPU.measure(&nets, 0.02, 2));
    assert_eq!(usual.warnings(), []);
    for spread in [0.02f64, 0.1, 1.0] {
        let mut told = 0;
        for _ in 0..10 {
            let latency: Vec<f64> = (0..10)
                .map(|_| {
                    let log: f64 = rng.random_range(-spread..spread);
                    5.0 * log.exp()
                })
                .collect();
            let calibrated = calibrate(&nets, &latency);
            told += usize::from(!calibrated.warnings().is_empty());
            // No sharper than the values themselves spread.
            assert!(width(&calibrated) > 0.3 * spread, "{spread}");
            let p = calibrated.predict(&small_networks(1, 77)[0]);
            assert!(p.low_ms > 0.0 && p.high_ms.is_finite() && p.low_ms < p.high_ms);
        }
        // By chance ten random values may follow ten networks.
        println!("random values within ±{spread}: {told} of 10 warned of");
        assert!(told >= 7, "{spread}: {told} of 10");
    }
}

#[test]
fn sound_devices_are_hardly_ever_warned_of() {
    let (mut warned, mut all) = (0, 0);
    for space in [tables::TableSpace::FbNet, tables::TableSpace::Ofa] {
        let measured = table(space);
        for device in protocol::split(space).validate {
            let latency = measured.latencies(device);
            for seed in 0..5 {
                let rows = 10 * seed..10 * seed + 10;
                let pairs: Vec<(&Features, f64)> =
                    rows.map(|i| (&measured.features[i], latency[i])).collect();
                let calibrated = Predictor::shipped()
                    .calibrate(&pairs, &Options::default())
                    .unwrap();
                if !calibrated.warnings().is_empty() {
                    println!("{device} {seed}: {:?}", calibrated.warnings());
                }
                warned += usize::from(!calibrated.warnings().is_empty());
                all += 1;
            }
        }
    }
    println!("{warned} of {all} sound calibrations warned of");
    assert!(warned * 10 <= all, "{warned} of {all}");
}

#[test]
fn few_repeated_and_contradicting_measurements_are_warned_of() {
    let mut nets = small_networks(10, 3);
    let latency = CPU.measure(&nets, 0.02, 3);
    let few = calibrate(&nets[..3], &latency[..3]);
    assert!(few.warnings().contains(&Warning::Few { measurements: 3 }));
    assert!(width(&few) > width(&calibrate(&nets, &latency)));

    let mut repeated = latency.clone();
    nets[9] = nets[0].clone();
    repeated[9] = 2.0 * repeated[0];
    let calibrated = calibrate(&nets, &repeated);
    let named = |w: &Warning| matches!(w, Warning::DisagreeingRepeats { indices, .. } if indices[..] == [0, 9]);
    assert!(
        calibrated.warnings().iter().any(named),
        "{:?}",
        calibrated.warnings()
    );
    repeated[9] = 1.01 * repeated[0];
    let sound = calibrate(&nets, &repeated);
    assert!(!sound.warnings().iter().any(named));
    let (doubtful, sound) = (width(&calibrated), width(&sound));
    assert!(doubtful > 1.2 * sound, "{doubtful} {sound}");

    // Half of the values are of another clock: too many to leave out.
    let nets = small_networks(10, 4);
    let mut mixed = CPU.measure(&nets, 0.02, 4);
    mixed.iter_mut().step_by(2).for_each(|v| *v *= 30.0);
    let calibrated = calibrate(&nets, &mixed);
    assert!(!calibrated.warnings().is_empty());
    assert!(width(&calibrated) > 0.3, "{}", width(&calibrated));
}

#[test]
fn a_slip_of_the_unit_is_warned_of() {
    let nets = small_networks(10, 5);
    let mut latency = CPU.measure(&nets, 0.02, 5);
    latency.iter_mut().for_each(|v| *v *= 1e-5);
    let warnings = calibrate(&nets, &latency).warnings().to_vec();
    let slip = |w: &Warning| matches!(w, Warning::ImplausibleSpeed { .. });
    assert!(warnings.iter().any(slip), "{warnings:?}");
}

fn parse(text: &str) -> Result<Vec<measurements::Row>, String> {
    measurements::parse(text.as_bytes(), Path::new("m.csv"), Quantity::Latency, None)
        .map_err(|e| e.to_string())
}

#[test]
fn files_of_measurements_are_read_and_faults_placed() {
    let rows =
        parse("\u{feff}note, Genotype ,latency_us\nx,\"a=1, b=2\",1500\n\ny,a=2,2e3\n").unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (rows[0].line, rows[0].genotype.as_str(), rows[0].value),
        (2, "a=1, b=2", 1.5)
    );
    assert_eq!((rows[1].line, rows[1].value), (4, 2.0));
    let fault = |text: &str| parse(text).unwrap_err();
    insta::assert_snapshot!(fault("genotype,time\na=1,2\n"), @"m.csv has no column `latency_ms` or `latency_us` or `latency_s`; its columns are `genotype`, `time`");
    insta::assert_snapshot!(fault("network,latency_ms\na=1,2\n"), @"m.csv has no column `genotype` (or `architecture`); its columns are `network`, `latency_ms`");
    insta::assert_snapshot!(fault("genotype;latency_ms\na=1;2\n"), @"m.csv has no column `genotype` (or `architecture`); its columns are `genotype;latency_ms`");
    insta::assert_snapshot!(fault(""), @"m.csv has no column `genotype` (or `architecture`); its columns are none");
    insta::assert_snapshot!(fault("genotype,latency_ms\n"), @"m.csv has no measurements below its header");
    insta::assert_snapshot!(fault("genotype,latency_ms\na=1,2\na=2,fast\n"), @"m.csv, line 3, column `latency_ms`: `fast` is no number");
    insta::assert_snapshot!(fault("genotype,latency_ms\na=1,2\na=2,NaN\n"), @"m.csv, line 3, column `latency_ms`: latency is NaN ms: expected a number from 1e-6 to 1e9; measure it again, leave it out or check the unit");
    insta::assert_snapshot!(fault("genotype,latency_ms\na=1,-2\n"), @"m.csv, line 2, column `latency_ms`: latency is -2 ms: expected a number from 1e-6 to 1e9; measure it again, leave it out or check the unit");
    insta::assert_snapshot!(fault("genotype,latency_ms\na=1,2,3\n"), @"m.csv, line 2: 3 fields where the header has 2");
    let bytes = b"genotype,latency_ms\n\xff\xfe,2\n";
    let error = measurements::parse(bytes, Path::new("m.csv"), Quantity::Latency, None);
    insta::assert_snapshot!(error.unwrap_err(), @"m.csv, line 2: it is not UTF-8 text");
}

#[test]
fn a_model_survives_its_file_and_a_changed_file_is_refused() {
    let nets = small_networks(12, 6);
    let values = CPU.measure(&nets, 0.02, 6);
    for quantity in Quantity::ALL {
        let scale = if quantity == Quantity::Memory {
            1e6
        } else {
            1.0
        };
        let values: Vec<f64> = values.iter().map(|v| scale * v).collect();
        let model = model(quantity, &nets[..10], &values[..10]).unwrap();
        let text = model.to_json();
        let back = DeviceModel::from_json(text.as_bytes(), Path::new("m.json")).unwrap();
        assert_eq!(model.predict(&nets[11]), back.predict(&nets[11]));
        assert_eq!(back.measured.len(), 10);
        let refused = |text: &str| {
            DeviceModel::from_json(text.as_bytes(), Path::new("m.json"))
                .unwrap_err()
                .to_string()
        };
        let edited = text.replacen("n=3", "n=4", 1);
        assert_eq!(
            refused(&edited),
            "m.json is damaged: its checksum does not match its content"
        );
        let newer = text.replacen("\"version\": 3", "\"version\": 7", 1);
        assert_eq!(
            refused(&newer),
            "m.json is a calibration of version 7, this program reads version 3"
        );
        assert!(refused(&text[..text.len() / 2]).starts_with("m.json is no calibration"));
        assert!(refused("{}").contains("its `format` is not"));
        assert!(refused("[1]").contains("its `format` is not"));
    }
}

#[test]
fn notes_tell_what_lies_outside_the_measured_range() {
    let nets = small_networks(10, 7);
    let model = model(Quantity::Latency, &nets, &CPU.measure(&nets, 0.02, 7)).unwrap();
    for net in &nets {
        assert_eq!(model.predict(net).notes, []);
    }
    let told_of = |network: &Network| -> Vec<String> {
        let notes = model.predict(network).notes;
        notes.iter().map(|n| n.to_string()).collect()
    };
    let large = tables::TableSpace::FbNet
        .network(&["7"; 22].join(" "))
        .unwrap();
    let told = told_of(&large);
    assert!(
        told.iter()
            .any(|t| t.contains("times the multiply-accumulates")),
        "{told:?}"
    );
    let grouped = tables::TableSpace::FbNet
        .network(&["1"; 22].join(" "))
        .unwrap();
    let told = told_of(&grouped);
    assert!(
        told.contains(&"no measured network had a grouped kernel".to_string()),
        "{told:?}"
    );
}

#[test]
fn memory_is_predicted_from_ten_measurements() {
    // An engine that keeps 3 MB of its own, the activations one and a half
    // times and the weights twice; measured with 2 % of noise.
    let nets = small_networks(110, 8);
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let bytes: Vec<f64> = nets
        .iter()
        .map(|n| {
            let c = n.costs();
            let exact = 3e5 + 1.5 * c.peak_activation_bytes as f64 + 2.0 * c.weight_bytes as f64;
            exact * (1.0 + rng.random_range(-0.03..0.03))
        })
        .collect();
    let model = model(Quantity::Memory, &nets[..10], &bytes[..10]).unwrap();
    assert_eq!(model.warnings(), []);
    let estimates: Vec<Estimate> = nets[10..].iter().map(|n| model.predict(n)).collect();
    let j = judge(&estimates, &bytes[10..]).unwrap();
    assert!(
        j.agreement.spearman > 0.98 && j.agreement.mape < 0.04,
        "{j:?}"
    );
    assert!(j.coverage > 0.85, "{j:?}");
    let constant = model_of_constant_memory(&nets);
    assert!(matches!(
        constant.warnings(),
        [Warning::ConstantLatency { .. }, ..]
    ));
}

#[test]
fn memory_tells_what_more_measurements_would_bring() {
    let nets = small_networks(60, 8);
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let bytes: Vec<f64> = nets
        .iter()
        .map(|n| {
            let c = n.costs();
            let exact = 3e5 + 1.5 * c.peak_activation_bytes as f64 + 2.0 * c.weight_bytes as f64;
            exact * (1.0 + rng.random_range(-0.03..0.03))
        })
        .collect();
    let gain = |n: usize| {
        let model = model(Quantity::Memory, &nets[..n], &bytes[..n]).unwrap();
        let samples: Vec<Sample> = nets[..n]
            .iter()
            .zip(&bytes)
            .map(|(network, value)| Sample {
                genotype: String::new(),
                network,
                value: *value,
            })
            .collect();
        let options = gain::GainOptions::default();
        model
            .expected_gain(Predictor::shipped(), &samples, &nets[n..], &options)
            .unwrap()
            .unwrap()
    };
    let (few, many) = (gain(2), gain(20));
    for gain in [&few, &many] {
        assert_eq!((gain.more, gain.next.len()), (5, 5));
        assert!(
            gain.error_then <= gain.error_now && gain.ranking <= 1.0,
            "{gain:?}"
        );
    }
    // Three factors are soon known.
    let lost = |g: &gain::Gain| g.error_now / g.error_then;
    assert!(
        lost(&few) > lost(&many) && lost(&many) < 1.05,
        "{few:?} {many:?}"
    );
    assert_eq!(few, gain(2));
}

#[test]
fn without_measurements_known_devices_speak_and_say_so() {
    let nets = small_networks(40, 14);
    let unmeasured = model(Quantity::Latency, &[], &[]).unwrap();
    assert!(!unmeasured.is_calibrated());
    assert!(matches!(unmeasured.warnings(), [Warning::Unmeasured { devices }] if *devices > 20));
    let truth = CPU.measure(&nets, 0.0, 0);
    let estimates: Vec<Estimate> = nets.iter().map(|n| unmeasured.predict(n)).collect();
    for e in &estimates {
        assert_eq!(e.notes, [range::Note::Unmeasured]);
        // No one can know a device's speed to a factor of four.
        assert!(
            e.low > 0.0 && e.low < e.value && e.high > 4.0 * e.low,
            "{e:?}"
        );
    }
    let j = judge(&estimates, &truth).unwrap();
    assert!(j.agreement.spearman > 0.8, "{j:?}");
    let text = unmeasured.to_json();
    let back = DeviceModel::from_json(text.as_bytes(), Path::new("m.json")).unwrap();
    assert_eq!(back.predict(&nets[3]), estimates[3]);
    insta::assert_snapshot!(model(Quantity::Memory, &[], &[]).unwrap_err(), @"nothing is known of a device's memory before one is measured: give at least one measurement, better ten");
}

#[test]
fn predictions_of_a_batch_are_those_one_by_one() {
    let measured = table(tables::TableSpace::NasBench201);
    let latency = measured.latencies("titanx_1");
    let pairs: Vec<(&Features, f64)> = (0..10)
        .map(|i| (&measured.features[1500 * i], latency[1500 * i]))
        .collect();
    let calibrated = Predictor::shipped()
        .calibrate(&pairs, &Options::default())
        .unwrap();
    let all: Vec<&Features> = measured.features.iter().step_by(50).collect();
    let batch = calibrated.latencies_ms(&all);
    assert_eq!(batch.len(), all.len());
    for (features, batched) in all.iter().zip(batch) {
        let single = calibrated.latency_ms(*features);
        assert!((batched / single - 1.0).abs() < 1e-5, "{batched} {single}");
        assert!((calibrated.predict(*features).latency_ms / single - 1.0).abs() < 1e-9);
    }
    assert!(calibrated.latencies_ms(&[]).is_empty());
}

#[test]
fn references_tell_whether_the_engine_optimises_graphs() {
    // On pixel3 (without its family known) it does, on titanx_1 it does not.
    let measured = table(tables::TableSpace::NasBench201);
    for (device, optimises) in [("pixel3", true), ("titanx_1", false)] {
        let predictor = Predictor::shipped().without_family(device);
        let latency = measured.latencies(device);
        let rows = predictor.choose_references(&measured.features, 10, 0);
        assert!(rows.iter().all(|i| !measured.features[*i].is_constant()));
        let pairs: Vec<(&Features, f64)> = rows
            .iter()
            .map(|i| (&measured.features[*i], latency[*i]))
            .collect();
        let calibrated = predictor.calibrate(&pairs, &Options::default()).unwrap();
        let probability = calibrated.posterior.optimised();
        assert_eq!(probability > 0.5, optimises, "{device}: {probability}");
    }
}

fn model_of_constant_memory(nets: &[Network]) -> DeviceModel {
    model(Quantity::Memory, &nets[..10], &[4e6; 10]).unwrap()
}

#[test]
fn networks_that_compute_a_constant_are_told_apart() {
    let nb201 = |ops: [&str; 6]| {
        let [a, b, c, d, e, f] = ops;
        let text = format!("|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|");
        tables::TableSpace::NasBench201.network(&text).unwrap()
    };
    let (conv, skip, none) = ("nor_conv_3x3", "skip_connect", "none");
    // 0→1 is zero and 1→3 a convolution of it: nothing of the input arrives.
    let constant = nb201([none, none, none, none, conv, none]);
    let nets = [
        nb201([conv; 6]),
        constant.clone(),
        nb201([skip; 6]),
        nb201([conv, skip, conv, skip, conv, skip]),
        nb201([conv, skip, skip, skip, skip, conv]),
    ];
    let model = model(Quantity::Energy, &nets, &[20.0, 0.001, 2.0, 12.0, 8.0]).unwrap();
    let indices = vec![1];
    assert!(
        model
            .warnings()
            .contains(&Warning::ConstantOutput { indices })
    );
    let e = model.predict(&constant);
    assert_eq!(
        (e.value, &e.notes[..]),
        (0.001, &[range::Note::ConstantOutput][..])
    );
    let usual = model.predict(&nets[4]);
    assert!(
        (usual.value / 8.0 - 1.0).abs() < 0.3 && usual.notes.is_empty(),
        "{usual:?}"
    );
    // None measured: the interval says that it may be nothing.
    let sound = super::product_tests::model(
        Quantity::Energy,
        &[
            nets[0].clone(),
            nets[2].clone(),
            nets[3].clone(),
            nets[4].clone(),
        ],
        &[20.0, 2.0, 12.0, 8.0],
    )
    .unwrap();
    let e = sound.predict(&constant);
    assert!(e.low == 0.0 && e.value > 0.0 && !e.notes.is_empty());
}

#[test]
fn repeats_give_the_ceiling() {
    let rows = [
        ("a", 1.0),
        ("b", 2.0),
        ("a", 1.1),
        ("c", 3.0),
        ("b", 2.2),
        ("c", 2.1),
        ("d", 9.0),
    ];
    let c = ceiling(&by_name(rows.into_iter())).unwrap();
    assert_eq!(c.networks, 3);
    // First 1, 2, 3 beside second 1.1, 2.2, 2.1.
    assert!((c.spearman - 0.5).abs() < 1e-12, "{c:?}");
    assert_eq!(ceiling(&by_name(rows[..3].iter().copied())), None);
}

/// Validation devices of a table: never trained on, never tested on.
fn table(space: tables::TableSpace) -> train::Measured {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("predictors/data");
    train::Measured::read(&dir, space).unwrap()
}

#[test]
fn the_expected_gain_of_measuring_more_is_what_comes_of_it() {
    const SETS: usize = 4;
    let mut expected = Vec::new();
    let mut realised = Vec::new();
    for space in [tables::TableSpace::FbNet, tables::TableSpace::Ofa] {
        let measured = table(space);
        let pool: Vec<&Features> = measured.features[..150].iter().collect();
        for device in protocol::split(space).validate {
            let latency = measured.latencies(device);
            for n in [3, 6, 12, 24] {
                let (mut before, mut after, mut promised) = (0.0, 0.0, 0.0);
                for set in 0..SETS {
                    // These rows stand for what a user happened to measure.
                    let rows = 1000 + 50 * set..1000 + 50 * set + n;
                    let mut seen: Vec<(&Features, f64)> =
                        rows.map(|i| (&measured.features[i], latency[i])).collect();
                    let options = gain::GainOptions {
                        more: 4,
                        draws: 4,
                        seed: set as u64,
                    };
                    let gain = Predictor::shipped()
                        .expected_gain(&seen, &pool, &options)
                        .unwrap();
                    assert_eq!((gain.measurements, gain.next.len()), (n, 4));
                    assert!(gain.error_then <= gain.error_now && gain.ranking <= 1.0);
                    let error = |seen: &[(&Features, f64)]| {
                        let c = Predictor::shipped()
                            .calibrate(seen, &Options::default())
                            .unwrap();
                        let errors = (0..1000).step_by(4).map(|i| {
                            (latency[i].ln() - c.latency_ms(&measured.features[i]).ln()).abs()
                        });
                        errors.sum::<f64>() / 250.0
                    };
                    before += error(&seen) / SETS as f64;
                    seen.extend(gain.next.iter().map(|i| (pool[*i], latency[*i])));
                    after += error(&seen) / SETS as f64;
                    promised += (gain.error_now - gain.error_then) / SETS as f64;
                }
                println!(
                    "{} {device}: after {n} measurements error {before:.4}, 4 more bring {:.4}, expected {promised:.4}",
                    space.name(),
                    before - after
                );
                realised.push(before - after);
                expected.push(promised);
            }
        }
    }
    let rho = metrics::spearman(&expected, &realised);
    println!("expected and realised gains correlate with Spearman {rho:.3}");
    assert!(rho > 0.6, "{rho}");
}

#[test]
fn derivatives_are_those_of_finite_differences() {
    let measured = table(tables::TableSpace::FbNet);
    let latency = measured.latencies("titanx_1");
    let pairs: Vec<(&Features, f64)> = (0..10)
        .map(|i| (&measured.features[i], latency[i]))
        .collect();
    let calibrated = Predictor::shipped()
        .calibrate(&pairs, &Options::default())
        .unwrap();
    let costs = &measured.features[99].costs;
    let (value, gradient) = calibrated.latency_and_gradient(&measured.features[99]);
    let gradient = gradient.costs;
    assert!((value / calibrated.latency_ms(&measured.features[99]) - 1.0).abs() < 1e-9);
    for k in 0..costs.len() {
        let step = 1e-5 * (1.0 + costs[k]);
        let at = |sign: f64| {
            let mut costs = costs.clone();
            costs[k] += sign * step;
            calibrated.latency_ms(&Features {
                costs,
                optimised: None,
            })
        };
        let numeric = (at(1.0) - at(-1.0)) / (2.0 * step);
        assert!(
            (numeric - gradient[k]).abs() < 1e-4 * (gradient[k].abs() + 1e-2 * value),
            "{k}: {numeric} {}",
            gradient[k]
        );
    }
}

#[test]
fn a_relaxed_architecture_agrees_with_whole_ones_and_has_its_slopes() {
    let measured = table(tables::TableSpace::FbNet);
    let latency = measured.latencies("titanx_1");
    let pairs: Vec<(&Features, f64)> = (0..10)
        .map(|i| (&measured.features[i], latency[i]))
        .collect();
    let calibrated = Predictor::shipped()
        .calibrate(&pairs, &Options::default())
        .unwrap();
    let text = include_str!("../../search-spaces/fbnet.space");
    let space = crate::space::Space::parse("fbnet", text).unwrap();
    let codec = crate::space::codec::Codec::FbNet;
    let base = codec.decode(&space, &["3"; 22].join(" ")).unwrap();
    let relaxed = gradient::Relaxed::of_space(&space, &base).unwrap();
    assert_eq!(relaxed.shape().len(), 22);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut mixed, mut own) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let architecture = space.sample(&mut rng);
        let decisions = architecture.decisions();
        let one_hot: Vec<Vec<f64>> = relaxed
            .names
            .iter()
            .map(|(path, labels)| {
                let choice = space.choice_by_path(path).unwrap();
                let (_, option) = decisions.iter().find(|(c, _)| *c == choice).unwrap();
                let label = &space.choices()[choice].labels[*option];
                labels.iter().map(|l| f64::from(l == label)).collect()
            })
            .collect();
        mixed.push(calibrated.relaxed(&relaxed, &one_hot).unwrap().latency_ms);
        own.push(calibrated.latency_ms(&space.network(&architecture).unwrap()));
    }
    let a = agreement(&mixed, &own);
    assert!(a.spearman > 0.99 && a.mape < 0.02, "{a:?}");

    let even: Vec<Vec<f64>> = relaxed
        .shape()
        .iter()
        .map(|n| vec![1.0 / *n as f64; *n])
        .collect();
    let whole = calibrated.relaxed(&relaxed, &even).unwrap();
    let step = 1e-5;
    for (choice, slopes) in whole.by_option.iter().enumerate() {
        for (option, slope) in slopes.iter().enumerate() {
            let at = |sign: f64| {
                let mut p = even.clone();
                p[choice][option] += sign * step;
                calibrated.relaxed(&relaxed, &p).unwrap().latency_ms
            };
            let numeric = (at(1.0) - at(-1.0)) / (2.0 * step);
            assert!(
                (numeric - slope).abs() < 1e-4 * (slope.abs() + 1e-2),
                "{numeric} {slope}"
            );
        }
    }
    let mut wrong = even.clone();
    wrong[3][1] = f64::NAN;
    insta::assert_snapshot!(calibrated.relaxed(&relaxed, &wrong).unwrap_err(), @"option 1 of choice 3 has probability NaN; it must lie in 0 to 1");
    wrong[3].pop();
    insta::assert_snapshot!(calibrated.relaxed(&relaxed, &wrong).unwrap_err(), @"choice 3 has 9 options, 8 probabilities were given");
    insta::assert_snapshot!(calibrated.relaxed(&relaxed, &[]).unwrap_err(), @"0 distributions for 22 choices");
}

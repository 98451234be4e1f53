use serde_json::json;

use super::*;
use crate::store::test_data::{evaluated, every_event, header, measured};
use crate::store::{Evaluated, Purpose};

struct World {
    _dir: tempfile::TempDir,
    data: Data,
    run: RunId,
}

fn world(events: &[Event]) -> World {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("x.db")).unwrap();
    let run = store.create_run(&header("quickstart")).unwrap();
    store.append_all(&run, events).unwrap();
    World {
        _dir: dir,
        data: Data::new(store),
        run,
    }
}

#[test]
fn columns_are_as_long_as_there_are_evaluations() {
    let sparse = Evaluated {
        predictions: [("energy_mj".to_owned(), [1.0, 0.5, 2.0])].into(),
        genotype: "g1".into(),
        ..evaluated(7, 0.8, 3.0)
    };
    let World { data, run, .. } = &world(&[
        Event::Evaluated(evaluated(1, 0.9, 2.0)),
        Event::Evaluated(sparse),
        Event::Evaluated(evaluated(9, 0.7, 1.0)),
    ]);
    let (seq, columns) = data.columns(run).unwrap();
    assert_eq!((seq, columns.len()), (4, 3));
    assert_eq!(columns.candidate, [1, 7, 9]);
    assert_eq!(columns.superseded, [1, 0, 0], "7 has the genotype of 1");
    assert_eq!(columns.key[0], columns.key[1]);
    let names: Vec<&str> = columns.costs.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "energy_mj",
            "latency_ms",
            "latency_ms@pi5",
            "macs",
            "memory",
            "params"
        ]
    );
    for cost in columns.costs.values() {
        assert_eq!(cost.value.len(), 3);
        assert!([0, 3].contains(&cost.low.len()));
    }
    let energy = serde_json::to_value(&columns.costs["energy_mj"]).unwrap();
    assert_eq!(energy["value"], json!([null, 1.0, null]));
    let pi5 = serde_json::to_value(&columns.costs["latency_ms@pi5"]).unwrap();
    assert_eq!(pi5["high"], json!([5.5, null, 5.5]));
}

#[test]
fn a_sample_keeps_every_front() {
    let mut columns = Columns::default();
    for candidate in 0..1000 {
        // Accuracy and latency rise together up to number 17, which is slow.
        let latency_ms = if candidate == 17 {
            1e3
        } else {
            1.0 + candidate as f64
        };
        let accuracy = if candidate == 17 { 0.99 } else { 0.5 };
        columns.push(&evaluated(candidate, accuracy, latency_ms), &[], false);
    }
    let fronts: Vec<u64> = columns
        .fronts()
        .into_iter()
        .map(|i| columns.candidate[i])
        .collect();
    assert!(fronts.contains(&17) && fronts.contains(&0));
    let thin = columns.clone().thinned(100);
    assert!((100..110).contains(&thin.len()), "{}", thin.len());
    assert!(fronts.iter().all(|member| thin.candidate.contains(member)));
    for cost in thin.costs.values() {
        assert_eq!(cost.value.len(), thin.len());
        assert!([0, thin.len()].contains(&cost.high.len()));
    }
    let few = columns.clone().thinned(1000);
    assert_eq!(few, columns);
}

#[test]
fn news_are_what_came_and_nothing_twice() {
    let World { data, run, .. } = &world(&[Event::Evaluated(evaluated(1, 0.9, 2.0))]);
    let status = data.overview(run).unwrap().status;
    assert_eq!(data.news(run, 2, status).unwrap(), None);
    let first = data.news(run, 0, "").unwrap().unwrap();
    assert_eq!((first.seq, first.columns.len()), (2, 1));
    data.note(run, "hello").unwrap();
    data.store()
        .append(run, &Event::Evaluated(evaluated(2, 0.95, 3.0)))
        .unwrap();
    let news = data.news(run, first.seq, status).unwrap().unwrap();
    assert_eq!((news.seq, news.columns.candidate.as_slice()), (4, &[2][..]));
    assert_eq!(news.lines.len(), 2);
    assert!(news.overview_changed);
    assert_eq!(news.counts.best_accuracy, Some(0.95));
    assert_eq!(data.news(run, 4, status).unwrap(), None);
    // A status that is not the one last told is news by itself.
    assert!(data.news(run, 4, "another").unwrap().is_some());
}

#[test]
fn every_event_is_shown_somewhere() {
    let World { data, run, .. } = &world(&every_event());
    let overview = data.overview(run).unwrap();
    assert_eq!(overview.status, "finished");
    assert_eq!(overview.failures[0].candidate, 2);
    assert_eq!(overview.warnings.len(), 1);
    assert_eq!(overview.unknown["distilled"], 1);
    assert_eq!(overview.counts.measured, 4);
    let courses = data.courses(run).unwrap();
    assert!(courses[0].trained.is_some());
    let view = data.candidate(run, 1).unwrap().unwrap();
    assert_eq!(view.measured[0].samples, Some(2));
    let failed = data.candidate(run, 2).unwrap().unwrap();
    assert_eq!(failed.status, "failed");
    assert!(data.candidate(run, 99).unwrap().is_none());
    assert!(!data.lines(run).unwrap().is_empty());
    // The space of the test data is none, the genotype no genotype.
    let drawn = data.drawing(run, 1).unwrap().unwrap();
    assert!(drawn.unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn measurements_stand_beside_their_predictions() {
    let left_out = json!([{"measured_ms": 2.0, "predicted":
        {"latency_ms": 2.1, "low_ms": 1.8, "high_ms": 2.4, "sd_log": 0.1}}]);
    let heldout = |genotype: &str| {
        json!({"genotype": genotype, "measured_ms": 3.0, "predicted":
            {"latency_ms": 3.3, "low_ms": 2.8, "high_ms": 3.9, "sd_log": 0.1}})
    };
    // The second was evaluated later, and is shown as that candidate.
    let payload = json!({"engine": "tract", "calibration": {"left_out": left_out},
        "heldout_predictions": [heldout("held out"), heldout("g1")]});
    let mut apart = measured("held out", Purpose::Heldout, 3.0);
    apart.engine = "tract".into();
    let mut elsewhere = measured("g1", Purpose::Front, 4.0);
    elsewhere.engine = "pi5".into();
    let World { data, run, .. } = &world(&[
        Event::Measured(apart),
        Event::Calibrated { payload },
        Event::Evaluated(evaluated(1, 0.9, 2.0)),
        Event::Measured(measured("g1", Purpose::Front, 2.5)),
        Event::Measured(elsewhere),
        Event::Measured(measured("never evaluated", Purpose::Reference, 1.0)),
    ]);
    let pairs = data.pairs(run).unwrap();
    let short: Vec<_> = pairs
        .iter()
        .map(|p| {
            (
                p.candidate,
                p.engine.as_str(),
                p.measured_ms,
                p.predicted_ms,
            )
        })
        .collect();
    assert_eq!(
        short,
        [
            (None, "tract", 2.0, 2.1),
            (None, "tract", 3.0, 3.3),
            (Some(1), "burn-flex", 2.5, 2.0),
            (Some(1), "pi5", 4.0, 5.0),
        ]
    );
    assert_eq!(pairs[1].purpose, "heldout");
    assert_eq!(pairs[1].measured_low_ms, Some(0.98 * 3.0));
}

#[test]
fn more_runs_than_are_kept_can_be_read() {
    let World { data, .. } = &world(&[]);
    let runs: Vec<RunId> = (0..2 * KEPT_RUNS)
        .map(|n| data.store().create_run(&header(&n.to_string())).unwrap())
        .collect();
    for run in runs.iter().chain(&runs) {
        assert_eq!(data.overview(run).unwrap().id, run.as_str());
    }
    assert!(data.kept.lock().unwrap().runs.len() <= KEPT_RUNS);
    assert_eq!(data.runs().unwrap().len(), runs.len() + 1);
    assert_eq!(data.devices_of_runs().unwrap()[0].runs, runs.len() + 1);
}

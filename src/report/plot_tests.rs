use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::store::test_data::{evaluated, header, measured};
use crate::store::{Event, Purpose, Recorded, RunState, Store};

/// A search of `count` candidates over two decades of latency.
fn sample(count: u64, name: &str) -> RunState {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("x.db")).unwrap();
    let run = store.create_run(&header(name)).unwrap();
    let mut state = store.state(&run).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let apply = |state: &mut RunState, event| {
        let seq = state.events + 1;
        state.apply(Recorded {
            seq,
            at_ms: 0,
            event,
        });
    };
    for id in 0..count {
        let latency_ms = 0.2 * 60f64.powf(rng.random_range(0.0..1.0));
        let best = 0.99 - 0.035 / latency_ms.sqrt();
        let accuracy = best - 0.05 * rng.random_range(0f64..1.0).powi(2);
        apply(
            &mut state,
            Event::Evaluated(evaluated(id, accuracy, latency_ms)),
        );
    }
    let front: Vec<(String, f64)> = state
        .front()
        .iter()
        .map(|m| (m.evaluated.genotype.clone(), m.evaluated.latency_ms))
        .collect();
    for (genotype, latency_ms) in front {
        let ms = latency_ms * rng.random_range(0.93..1.15);
        apply(
            &mut state,
            Event::Measured(measured(&genotype, Purpose::Front, ms)),
        );
    }
    state
}

fn count(svg: &str, what: &str) -> usize {
    svg.matches(what).count()
}

#[test]
fn every_candidate_and_every_measurement_is_drawn() {
    let state = sample(60, "quickstart");
    let front = state.front().len();
    let svg = front_svg(&state, &PlotOptions::default()).unwrap();
    // Candidates, two rings of each front member, and the legend's two dots.
    let circles = count(&svg, "<circle");
    assert!(
        (55 + 2 * front + 2..=60 + 2 * front + 2).contains(&circles),
        "{circles}"
    );
    // One diamond each, and the legend's.
    assert_eq!(count(&svg, "#D65A18"), front + 1);
    assert_eq!(count(&svg, "limit"), 0);
    assert!(svg.contains("logarithmic"));
    assert!(svg.contains("width=\"960\" height=\"600\""));
    assert!(svg.ends_with("</svg>\n"));

    let limited = PlotOptions {
        max_latency_ms: Some(3.0),
        latency_axis: AxisScale::Linear,
        ..PlotOptions::default()
    };
    let svg = front_svg(&state, &limited).unwrap();
    assert_eq!(count(&svg, "limit 3.00 ms"), 1);
    assert!(!svg.contains("logarithmic"));
}

#[test]
fn crowded_plots_stay_small() {
    let svg = front_svg(&sample(20_000, "crowd"), &PlotOptions::default()).unwrap();
    assert!(svg.len() < 3_000_000, "{} bytes", svg.len());
}

#[test]
fn single_points_and_hostile_names_are_drawn() {
    let state = sample(1, "<script>alert(1)</script> & \u{1b}[2J");
    let svg = front_svg(&state, &PlotOptions::default()).unwrap();
    assert!(!svg.contains("<script>"));
    assert!(!svg.contains('\u{1b}'));
    assert!(svg.contains("<title>&lt;script&gt;alert(1)&lt;/script&gt; &amp; "));
}

#[test]
fn nothing_to_plot_is_said() {
    let error = front_svg(&sample(0, "empty"), &PlotOptions::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no candidate has been evaluated")
    );
    let tiny = PlotOptions {
        width: 10,
        ..PlotOptions::default()
    };
    front_svg(&sample(3, "tiny"), &tiny).unwrap_err();
}

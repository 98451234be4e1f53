//! Whether a plugin keeps to the protocol, and what its author should change
//! where it does not: `bespoke device test`. Each check says what it asked and
//! what came back; later checks are skipped where an earlier failure leaves
//! them nothing to stand on.

mod networks;
mod output;
mod report;

use std::time::Instant;

use networks::{large_network, operator_networks};
pub use output::OUTPUT_TOLERANCE;
use output::compare;
pub use report::{Check, Outcome, Report};

use super::engine::PluginSession;
use super::message::Request;
use super::{CommandLine, PluginEngine};
use crate::device::{
    Deployable, Limits, LocalProbe, Probe, ProbeError, Protocol, RunOptions, Session, median,
    reference_network,
};

/// Least part of the wait for an answer that its runs must account for.
const LEAST_SHARE: f64 = 0.2;

/// Time over which that is looked at, in ms, and a wait that is long enough
/// whatever the runs are said to have taken.
const LOOK_MS: f64 = 60.0;
const LONGEST_LOOK_MS: f64 = 600.0;

/// How often it is looked at in vain.
const LOOKS: usize = 3;

/// Checks the plugin that this command line starts.
pub fn check(line: &CommandLine, limits: Limits) -> Report {
    let mut report = Report::default();
    let start = Instant::now();
    let engine = match PluginEngine::start(line.clone(), limits) {
        Ok(engine) => engine,
        Err(error) => {
            report.add("greeting", Err(error.to_string()));
            return report;
        }
    };
    let hello = engine.hello().clone();
    report.add(
        "greeting",
        Ok(format!(
            "{} {} after {:.1} s; offers {}",
            hello.name,
            hello.version,
            start.elapsed().as_secs_f64(),
            match hello.offers.is_empty() {
                true => "nothing beyond load and run".into(),
                false => hello.offers.join(", "),
            }
        )),
    );
    let options = RunOptions::default();
    let Ok(small) = Deployable::untrained("small", reference_network(), 0) else {
        return report;
    };
    let opened = engine.open(&small, &options);
    let loaded = opened
        .as_ref()
        .map(|s| format!("a small network in {:.1} ms", s.load_ms().unwrap_or(0.0)));
    if !report.add("loading", loaded.map_err(ToString::to_string)) {
        return report;
    }
    let Ok(mut session) = opened else {
        return report;
    };
    let counted = session.samples_ms(7);
    let counted = counted.map(|s| format!("seven runs, median {:.4} ms", median(&s)));
    if !report.add("running", counted.map_err(|e| e.to_string())) {
        return report;
    }
    if !hello.simulated {
        report.add("milliseconds", accounted_for(&mut session));
    }
    output(&mut report, &mut session, &small);
    report.add("two networks", two_networks(&engine, &mut session));
    drop(session);
    report.add("unknown commands", refusals(&engine));
    report.add("a broken model", broken_model(&engine, &small));
    let (lacking, wrong) = operators(&engine);
    match lacking.is_empty() {
        true => report.note(
            "operators",
            "all that convolutional networks are made of".into(),
        ),
        false => report.note("operators", format!("lacks {}", lacking.join("; "))),
    }
    if !wrong.is_empty() {
        report.add("operators' output", Err(wrong.join("; ")));
    }
    let mut probe = LocalProbe::new(Box::new(engine.clone()), options);
    let measured = probe.measure(&small, &Protocol::quick());
    let sentence = measured.as_ref().map(|m| {
        let (low, high) = m.summary.ci95_ms;
        format!(
            "median {:.4} ms, 95 % interval {low:.4} to {high:.4}, {} samples",
            m.median_ms(),
            m.summary.samples
        )
    });
    report.add("measuring", sentence.map_err(ToString::to_string));
    report.measurement = measured.ok();
    drop(probe);
    let ended = engine.plugin().finish();
    report.add(
        "ending",
        match ended {
            true => Ok("it ended when its standard input was closed".into()),
            false => Err(
                "it went on after its standard input was closed and had to be killed; \
                 end at the end of the input"
                    .into(),
            ),
        },
    );
    report
}

/// Runs must fill most of the time that their answer took: otherwise they are
/// in another unit, or something other than the runs is timed. The best of some
/// looks counts, for another process can only make an answer late.
fn accounted_for(session: &mut PluginSession) -> Result<String, String> {
    let mut runs = 1;
    let mut looks = 0;
    loop {
        let start = Instant::now();
        let samples = session.samples_ms(runs).map_err(|e| e.to_string())?;
        let waited = start.elapsed().as_secs_f64() * 1e3;
        let said: f64 = samples.iter().sum();
        let seen = format!(
            "{runs} runs are said to have taken {said:.3} ms in all, and their answer took {waited:.1} ms"
        );
        if said >= LEAST_SHARE * waited && (said >= LOOK_MS || runs == 1_000) {
            return Ok(seen);
        }
        // Times that are far too small would ask for ever more runs.
        if waited >= LONGEST_LOOK_MS || runs == 1_000 {
            looks += 1;
            if looks == LOOKS {
                return Err(format!(
                    "{seen}; give milliseconds, take the time around each run, and wait until its \
                     output is computed"
                ));
            }
        } else {
            runs = (runs * 4).min(1_000);
        }
    }
}

fn output(report: &mut Report, session: &mut PluginSession, model: &Deployable) {
    const NAME: &str = "output";
    match compare(session, model) {
        Ok(Some(difference)) => {
            let detail = format!("agrees with tract's to {difference:.1e}");
            report.add(NAME, Ok(detail));
        }
        Ok(None) => report.note(
            NAME,
            "not offered, so nothing shows that the right network is run; \
             offer `output` if the engine can return it"
                .into(),
        ),
        Err(error) => {
            report.add(NAME, Err(error));
        }
    }
}

/// A second network beside the first: both must run, the greater one longer.
fn two_networks(engine: &PluginEngine, small: &mut PluginSession) -> Result<String, String> {
    let text = |e: ProbeError| e.to_string();
    let large = Deployable::untrained("large", large_network(), 0).map_err(text)?;
    let mut session = match engine.open(&large, &RunOptions::default()) {
        // It is then no plugin's fault that the two cannot be compared.
        Err(ProbeError::Limit { reason, .. }) => {
            return Ok(format!(
                "the larger is beyond the device's limits: {reason}"
            ));
        }
        opened => opened.map_err(text)?,
    };
    let pace = |session: &mut PluginSession| -> Result<f64, String> {
        session.samples_ms(3).map_err(text)?;
        Ok(median(&session.samples_ms(9).map_err(text)?))
    };
    let large_ms = pace(&mut session)?;
    let small_ms = pace(small)?;
    let seen = format!(
        "beside each other, one of {:.0} times the work: {large_ms:.4} and {small_ms:.4} ms",
        large.network().costs().macs as f64 / reference_network().costs().macs as f64
    );
    match large_ms > small_ms {
        true => Ok(seen),
        false => Err(format!(
            "{seen}; the larger must take longer: run the network of the `session` that is asked for"
        )),
    }
}

/// What a plugin must refuse without ending.
fn refusals(engine: &PluginEngine) -> Result<String, String> {
    let mut plugin = engine.plugin();
    for (request, what) in [
        (Request::NoSuchCommand, "an unknown command"),
        (
            Request::Run {
                session: u64::MAX,
                runs: 1,
            },
            "an unknown session",
        ),
    ] {
        match plugin.ask::<serde_json::Value>(&request) {
            Err(ProbeError::Plugin { failure, .. }) => {
                return Err(format!(
                    "{what} must be answered with an `error`, and the next request be served: {failure}"
                ));
            }
            Err(_) => {}
            Ok(value) => {
                return Err(format!(
                    "{what} was answered with {value}; answer it with an `error`"
                ));
            }
        }
    }
    Ok("refused with an error, as an unknown session is".into())
}

fn broken_model(engine: &PluginEngine, model: &Deployable) -> Result<String, String> {
    let opened = engine.open_bytes(
        b"no model",
        &model.network().input_spec(),
        &RunOptions::default(),
    );
    match opened {
        Ok(session) => {
            // Simulators may not look into the file's weights, but no model is none.
            drop(session);
            Err("a file that is no model was loaded; answer with an `error` of kind `load`".into())
        }
        Err(ProbeError::Load { .. }) => Ok("refused with an error of kind `load`".into()),
        Err(error @ ProbeError::Plugin { .. }) => Err(format!(
            "a file that is no model must be answered with an `error`: {error}"
        )),
        Err(error) => Err(format!(
            "a file that is no model must be refused with the kind `load`, not as: {error}"
        )),
    }
}

/// Networks of few operators each: which the engine lacks, and which it gets wrong.
fn operators(engine: &PluginEngine) -> (Vec<String>, Vec<String>) {
    let mut lacking = Vec::new();
    let mut wrong = Vec::new();
    for (name, network) in operator_networks() {
        let Ok(model) = Deployable::untrained(name, network, 1) else {
            continue;
        };
        let opened = engine.open(&model, &RunOptions::default());
        let ran = opened.and_then(|mut s| s.run().map(|()| s));
        match ran {
            Ok(mut session) => {
                if let Err(error) = compare(&mut session, &model) {
                    wrong.push(format!("{name}: {error}"));
                }
            }
            Err(ProbeError::Plugin { failure, .. }) => {
                wrong.push(format!(
                    "{name}: the plugin failed instead of answering: {failure}"
                ));
            }
            Err(_) => lacking.push(name.to_string()),
        }
    }
    (lacking, wrong)
}

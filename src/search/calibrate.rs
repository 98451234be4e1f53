//! The first phase of a search: references and held-out architectures are
//! measured, and the predictor is fitted to each engine.

use std::collections::BTreeMap;

use super::knowledge::Calibrations;
use super::measure::Figures;
use super::survey::{choose, held_out};
use super::{Search, SearchError};
use crate::network::Network;
use crate::predict::{Calibrated, Options};
use crate::space::Architecture;
use crate::store::{Event, Purpose};
use crate::strategy::Metric;

/// Networks to measure and what each is measured for.
type Survey<'a> = [(&'a Architecture, &'a Network, Purpose)];

impl Search<'_> {
    /// Measures what is missing and fits the predictor to each engine.
    pub(super) fn calibrate(
        &self,
        pool: &[(Architecture, Network)],
    ) -> Result<Calibrations, SearchError> {
        let networks: Vec<&Network> = pool.iter().map(|p| &p.1).collect();
        let (references, heldout) = choose(
            &self.predictor,
            &networks,
            (self.experiment.references, self.experiment.heldout),
            self.experiment.seed,
        );
        let references = references.into_iter().map(|i| (i, Purpose::Reference));
        let heldout = heldout.into_iter().map(|i| (i, Purpose::Heldout));
        let survey: Vec<_> = references
            .chain(heldout)
            .map(|(i, purpose)| (&pool[i].0, &pool[i].1, purpose))
            .collect();
        let wanted = self.experiment.goals()?.metrics();
        let mut latencies = Vec::new();
        let mut energies = Vec::new();
        for engine in self.experiment.engines() {
            let measured = self.measure(engine, &survey)?;
            let calibrated = self.calibrate_latency(engine, &survey, &measured)?;
            latencies.push((engine.to_string(), calibrated));
            let device = (engine != self.experiment.engine).then(|| engine.to_string());
            let energy = Metric::Energy { device };
            if wanted.contains(&energy) {
                let metered = self.figures(&survey, &measured, |_, m| m.energy_mj);
                energies.push((energy, self.calibrate_energy(engine, &metered)?));
            }
        }
        let mut others = latencies.into_iter();
        let (_, own) = others.next().expect("there is always an engine");
        Ok(Calibrations {
            own,
            others: others.collect(),
            energies,
        })
    }

    /// Fits the predictor to an engine's measured latencies, judges it by the
    /// held-out ones, and says and records what came of it.
    fn calibrate_latency(
        &self,
        engine: &str,
        survey: &Survey<'_>,
        measured: &BTreeMap<String, Figures>,
    ) -> Result<Calibrated, SearchError> {
        let of = |wanted: Purpose| {
            self.figures(survey, measured, move |purpose, m| {
                (purpose == wanted).then_some(m.median_ms)
            })
        };
        let seen = of(Purpose::Reference);
        let calibrated = self.predictor.calibrate(&seen, &Options::default())?;
        let unseen = of(Purpose::Heldout);
        let agreement = held_out(&calibrated, &unseen);
        let judged = match unseen.is_empty() {
            true => "no other architecture was measured to judge it by".to_string(),
            false => format!(
                "on {} unseen architectures Spearman {:.3}, mean absolute error {:.1} %, \
                 {:.0} % within ±10 %",
                unseen.len(),
                agreement.spearman,
                100.0 * agreement.mape,
                100.0 * agreement.within_10_percent,
            ),
        };
        self.say(format!(
            "{engine}: calibrated by {} measurements; {judged}",
            seen.len(),
        ));
        self.pass_on_warnings(engine, &calibrated)?;
        // The run keeps the calibration of its own engine.
        let own = engine == self.experiment.engine;
        if own && self.state.calibration.is_none() && !self.only_helps {
            let of_heldout = survey.iter().filter(|(_, _, p)| *p == Purpose::Heldout);
            let predictions: Vec<serde_json::Value> = of_heldout
                .filter_map(|(architecture, network, _)| {
                    let genotype = self.space.genotype(architecture);
                    let measured_ms = measured.get(&genotype)?.median_ms;
                    let predicted = calibrated.predict(*network);
                    Some(serde_json::json!({
                        "genotype": genotype, "measured_ms": measured_ms, "predicted": predicted,
                    }))
                })
                .collect();
            let payload = serde_json::json!({
                "engine": engine,
                "heldout": agreement,
                "heldout_predictions": predictions,
                "leave_one_out": calibrated.leave_one_out_agreement(),
                "calibration": calibrated,
            });
            self.store
                .append(&self.run, &Event::Calibrated { payload })?;
        }
        Ok(calibrated)
    }

    /// Says what a calibration warns of, and records what is not yet.
    fn pass_on_warnings(&self, engine: &str, calibrated: &Calibrated) -> Result<(), SearchError> {
        for warning in calibrated.warnings() {
            let text = format!("{engine}: {warning}");
            self.say(format!("warning: {text}"));
            // A resumed run comes here again with the same measurements.
            if !self.state.warnings.contains(&text) && !self.only_helps {
                self.store.append(&self.run, &Event::Warning { text })?;
            }
        }
        Ok(())
    }

    /// The networks of a survey that were measured, each with the figure that
    /// `take` finds in its measurement.
    fn figures<'n>(
        &self,
        survey: &Survey<'n>,
        measured: &BTreeMap<String, Figures>,
        take: impl Fn(Purpose, &Figures) -> Option<f64>,
    ) -> Vec<(&'n Network, f64)> {
        survey
            .iter()
            .filter_map(|(architecture, network, purpose)| {
                let figures = measured.get(&self.space.genotype(architecture))?;
                Some((*network, take(*purpose, figures)?))
            })
            .collect()
    }

    /// Fits the predictor to measured energies in mJ, which are sums over
    /// kernels as latencies are.
    fn calibrate_energy(
        &self,
        engine: &str,
        metered: &[(&Network, f64)],
    ) -> Result<Calibrated, SearchError> {
        if metered.is_empty() {
            return Err(SearchError::NoEnergy {
                engine: engine.to_string(),
            });
        }
        let calibrated = self.predictor.calibrate(metered, &Options::default())?;
        let agreement = calibrated.leave_one_out_agreement();
        self.say(format!(
            "{engine}: energy calibrated by {} measurements; leaving each out, Spearman {:.3}, \
             mean absolute error {:.1} %",
            metered.len(),
            agreement.spearman,
            100.0 * agreement.mape,
        ));
        Ok(calibrated)
    }
}

//! The first phase of a search: references and held-out architectures are
//! measured, and the predictor is fitted to each engine.

use super::knowledge::Calibrations;
use super::survey::{choose, held_out};
use super::{Search, SearchError};
use crate::network::Network;
use crate::predict::{Calibrated, Options};
use crate::space::Architecture;
use crate::store::{Event, Purpose};
use crate::strategy::Metric;

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
        let chosen: Vec<(usize, Purpose)> = references
            .iter()
            .map(|i| (*i, Purpose::Reference))
            .chain(heldout.iter().map(|i| (*i, Purpose::Heldout)))
            .collect();
        let mut calibrations = Vec::new();
        let mut energies = Vec::new();
        let wanted = self.experiment.goals()?.metrics();
        let list: Vec<(&Architecture, &Network, Purpose)> = chosen
            .into_iter()
            .map(|(i, purpose)| (&pool[i].0, &pool[i].1, purpose))
            .collect();
        for engine in self.experiment.engines() {
            let measurements = self.measure(engine, &list)?;
            let measured = |purpose: Purpose| -> Vec<(&Network, f64)> {
                list.iter()
                    .filter(|(_, _, p)| *p == purpose)
                    .filter_map(|(a, n, _)| {
                        let figures = measurements.get(&self.space.genotype(a))?;
                        Some((*n, figures.median_ms))
                    })
                    .collect()
            };
            let seen = measured(Purpose::Reference);
            let calibrated = self.predictor.calibrate(&seen, &Options::default())?;
            let unseen = measured(Purpose::Heldout);
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
            for warning in calibrated.warnings() {
                let text = format!("{engine}: {warning}");
                self.say(format!("warning: {text}"));
                // A resumed run comes here again with the same measurements.
                if !self.state.warnings.contains(&text) && !self.only_helps {
                    self.store.append(&self.run, &Event::Warning { text })?;
                }
            }
            // The run keeps the calibration of its own engine, the first.
            if calibrations.is_empty() && self.state.calibration.is_none() && !self.only_helps {
                let of_heldout = list.iter().filter(|(_, _, p)| *p == Purpose::Heldout);
                let predictions: Vec<serde_json::Value> = of_heldout
                    .filter_map(|(a, n, _)| {
                        let genotype = self.space.genotype(a);
                        let measured_ms = measurements.get(&genotype)?.median_ms;
                        let predicted = calibrated.predict(*n);
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
            calibrations.push((engine.to_string(), calibrated));
            let device = (engine != self.experiment.engine).then(|| engine.to_string());
            let energy = Metric::Energy { device };
            if wanted.contains(&energy) {
                let metered: Vec<(&Network, f64)> = list
                    .iter()
                    .filter_map(|(a, n, _)| {
                        let figures = measurements.get(&self.space.genotype(a))?;
                        Some((*n, figures.energy_mj?))
                    })
                    .collect();
                energies.push((energy, self.calibrate_energy(engine, &metered)?));
            }
        }
        let mut others = calibrations.into_iter();
        let (_, own) = others.next().expect("there is always an engine");
        Ok(Calibrations {
            own,
            others: others.collect(),
            energies,
        })
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

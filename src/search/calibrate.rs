//! The measuring phases of a search: references and held-out architectures for
//! the calibration, and the front at the end.

use std::collections::BTreeMap;

use super::knowledge::Calibrations;
use super::survey::{choose, held_out, survey_on};
use super::{Search, SearchError, Setup, probe};
use crate::device::{Deployable, Measurement, ProbeError, Protocol};
use crate::network::Network;
use crate::predict::{Calibrated, Options};
use crate::space::Architecture;
use crate::store::{Event, Measured, Purpose};
use crate::strategy::Metric;

/// What was measured of an architecture.
struct Figures {
    median_ms: f64,
    /// Where the engine has a meter.
    energy_mj: Option<f64>,
}

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
                if !self.state.warnings.contains(&text) {
                    self.store.append(&self.run, &Event::Warning { text })?;
                }
            }
            // The run keeps the calibration of its own engine, the first.
            if calibrations.is_empty() && self.state.calibration.is_none() {
                let payload = serde_json::json!({
                    "engine": engine,
                    "heldout": agreement,
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

    /// Figures by genotype, measuring only what the run has not recorded.
    fn measure(
        &self,
        engine: &str,
        list: &[(&Architecture, &Network, Purpose)],
    ) -> Result<BTreeMap<String, Figures>, SearchError> {
        let mut figures = BTreeMap::new();
        let mut missing = Vec::new();
        for (architecture, network, purpose) in list {
            let genotype = self.space.genotype(architecture);
            let known =
                self.state.measurements.iter().find(|m| {
                    m.genotype == genotype && m.engine == engine && m.purpose == *purpose
                });
            match known {
                Some(m) => {
                    let energy_mj = m.measurement["energy_mj"].as_f64();
                    let median_ms = m.median_ms;
                    figures.insert(
                        genotype,
                        Figures {
                            median_ms,
                            energy_mj,
                        },
                    );
                }
                None => missing.push((genotype, *network, *purpose)),
            }
        }
        if missing.is_empty() {
            return Ok(figures);
        }
        let models: Vec<Deployable> = missing
            .iter()
            .map(|(genotype, network, _)| {
                Deployable::untrained(genotype.clone(), (*network).clone(), 0)
            })
            .collect::<Result<_, _>>()
            .map_err(SearchError::Probe)?;
        let mut probe = probe(self.experiment.reach(engine), &Setup::default())?;
        let results = match survey_on(
            probe.as_mut(),
            engine,
            &models,
            &Protocol::quick(),
            self.experiment.seed,
            &mut |report| self.send(report),
            &|| self.stopped(),
        ) {
            Err(SearchError::Probe(ProbeError::Stopped)) => return Err(self.interrupted()),
            other => other?,
        };
        for ((genotype, network, purpose), result) in missing.into_iter().zip(results) {
            match result {
                Ok(measurement) => {
                    let event = measured_event(&genotype, network, purpose, engine, &measurement);
                    figures.insert(
                        genotype,
                        Figures {
                            median_ms: event.median_ms,
                            energy_mj: measurement.energy_mj,
                        },
                    );
                    self.store.append(&self.run, &Event::Measured(event))?;
                }
                Err(error) => {
                    let text = format!("{genotype}: {error}");
                    self.store.append(&self.run, &Event::Warning { text })?;
                }
            }
        }
        Ok(figures)
    }

    /// Puts measured latencies beside the predicted ones.
    pub(super) fn remeasure(&self, finalists: &[Architecture]) -> Result<(), SearchError> {
        let networks: Vec<Network> = finalists.iter().map(|a| self.network(a)).collect();
        let list: Vec<(&Architecture, &Network, Purpose)> = finalists
            .iter()
            .zip(&networks)
            .map(|(a, n)| (a, n, Purpose::Front))
            .collect();
        for engine in self.experiment.engines() {
            self.measure(engine, &list)?;
        }
        Ok(())
    }
}

fn measured_event(
    genotype: &str,
    network: &Network,
    purpose: Purpose,
    engine: &str,
    measurement: &Measurement,
) -> Measured {
    let (low, high) = measurement.summary.ci95_ms;
    Measured {
        genotype: genotype.to_string(),
        network_hash: network.hash().to_string(),
        purpose,
        engine: engine.to_string(),
        median_ms: measurement.median_ms(),
        ci95_ms: [low, high],
        measurement: serde_json::to_value(measurement).expect("plain data"),
    }
}

//! Measuring architectures with an engine, and recording what comes of it: only
//! what the run has not recorded before.

use std::collections::BTreeMap;

use super::survey::survey_on;
use super::{Search, SearchError, Setup, probe};
use crate::device::{Deployable, Measurement, ProbeError, Protocol};
use crate::network::Network;
use crate::space::Architecture;
use crate::store::{Event, Measured, Purpose};

/// What was measured of an architecture.
pub(super) struct Figures {
    pub median_ms: f64,
    /// Where the engine has a meter.
    pub energy_mj: Option<f64>,
}

impl Figures {
    fn of(measured: &Measured) -> Self {
        Figures {
            median_ms: measured.median_ms,
            energy_mj: measured.measurement["energy_mj"].as_f64(),
        }
    }
}

impl Search<'_> {
    /// Figures by genotype, measuring only what the run has not recorded.
    pub(super) fn measure(
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
                Some(measured) => {
                    figures.insert(genotype, Figures::of(measured));
                }
                // Whoever only helps goes by what was measured.
                None if self.only_helps => {}
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
                    figures.insert(genotype, Figures::of(&event));
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

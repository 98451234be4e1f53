//! The last phase of a search: front members are trained longer, tested once on
//! the test images, and kept as ONNX and safetensors.

use super::explore::evenly;
use super::{Report, Search, SearchError};
use crate::device::ProbeError;
use crate::evaluate::{TrainError, accuracy};
use crate::network::onnx::{OnnxOptions, export};
use crate::space::Architecture;
use crate::store::{Event, Trained};
use crate::strategy::Metric;
use crate::workers::in_parallel;

/// Front members that are re-measured and trained at the end.
const FINALISTS: usize = 8;

impl Search<'_> {
    /// Members of each engine's front that keep the limits, thinned to
    /// [`FINALISTS`] along each front with both ends kept.
    pub(super) fn finalists(&self) -> Vec<Architecture> {
        let mut fronts = vec![self.state.front()];
        if self.experiment.objectives.len() > 1 {
            fronts.extend(
                self.targets()
                    .into_iter()
                    .map(|name| self.state.front_on(name)),
            );
        }
        let mut chosen: Vec<String> = Vec::new();
        for front in fronts {
            let members: Vec<String> = front
                .iter()
                .filter(|m| self.within_limit(m.evaluated.latency_ms))
                .map(|m| m.evaluated.genotype.clone())
                .collect();
            for genotype in evenly(members, FINALISTS) {
                if !chosen.contains(&genotype) {
                    chosen.push(genotype);
                }
            }
        }
        chosen
            .iter()
            .filter_map(|genotype| self.space.parse_genotype(genotype).ok())
            .collect()
    }

    /// Engines beside the run's own whose latency is an objective.
    fn targets(&self) -> Vec<&str> {
        let named = |name: &&str| {
            self.experiment
                .objectives
                .iter()
                .any(|m| matches!(m, Metric::Latency { device: Some(device) } if device == name))
        };
        let others = self.experiment.other_engines.iter().map(String::as_str);
        others.filter(named).collect()
    }

    /// Trains the finalists longer, tests them and keeps their files.
    pub(super) fn train_finalists(&self, finalists: &[Architecture]) -> Result<(), SearchError> {
        let device = crate::model::backend::device(self.experiment.backend)?.autodiff();
        self.send(Report::Phase {
            name: "training the front",
            steps: finalists.len(),
        });
        let results = in_parallel(finalists.len(), self.experiment.threads, |index| {
            self.train_finalist(&finalists[index], index, &device)
        });
        self.send(Report::PhaseDone);
        results.into_iter().collect()
    }

    fn train_finalist(
        &self,
        architecture: &Architecture,
        index: usize,
        device: &burn::tensor::Device,
    ) -> Result<(), SearchError> {
        let genotype = self.space.genotype(architecture);
        if self.state.trained.contains_key(&genotype) {
            return Ok(());
        }
        if self.stopped() {
            return Err(self.interrupted());
        }
        let network = self.network(architecture);
        let failed = |error: TrainError| match error {
            TrainError::Cancelled => Err(self.interrupted()),
            error => {
                let text = format!("final training of {genotype}: {error}");
                self.store.append(&self.run, &Event::Warning { text })?;
                Ok(())
            }
        };
        let outcome = match self.train(&network, self.experiment.final_epochs, 1.0, device) {
            Ok(outcome) => outcome,
            Err(error) => return failed(error),
        };
        let test = match accuracy(
            &network,
            &outcome.weights,
            &self.dataset,
            &self.dataset.test,
            device,
        ) {
            Ok(test) => test,
            Err(error) => return failed(error),
        };
        let options = OnnxOptions {
            name: format!("{}-{index}", self.space.name()),
            metadata: vec![("genotype".into(), genotype.clone())],
            ..OnnxOptions::default()
        };
        let onnx = export(&network, &outcome.weights, &options)
            .map_err(|e| SearchError::Probe(ProbeError::Export(e)))?;
        let safetensors = outcome
            .weights
            .to_safetensors()
            .expect("tensors of a network have their shapes");
        let stem = format!("front-{index}");
        self.store
            .put_artefact(&self.run, &format!("{stem}.onnx"), "onnx", &onnx)?;
        self.store.put_artefact(
            &self.run,
            &format!("{stem}.safetensors"),
            "safetensors",
            &safetensors,
        )?;
        // Last, so that a trained member always has its files.
        self.store.append(
            &self.run,
            &Event::Trained(Trained {
                genotype,
                network_hash: network.hash().to_string(),
                validation_accuracy: outcome.validation_accuracy,
                test_accuracy: test,
                curve: serde_json::to_value(&outcome.curve).expect("plain data"),
            }),
        )?;
        self.send(Report::Step(format!("test {:.1} %", 100.0 * test)));
        Ok(())
    }
}

//! What is thought of a search's objectives: a Gaussian process for each that
//! is modelled, kept up to the answers, on normal scores of the losses.

use super::{Kernel, Process, Study, Warp};

/// The pool of a large space follows the front after so many answers.
const RENEWAL: usize = 8;
/// Kernels are fitted anew when answers have grown by this factor.
const REFIT: f64 = 1.5;

/// Processes by objective.
pub(in crate::strategy) struct Model {
    /// By objective: whether it is modelled.
    modelled: Vec<bool>,
    state: Option<State>,
}

struct State {
    /// By objective; `None` for those that are not modelled.
    processes: Vec<Option<Process>>,
    /// Indices of the answers behind them, in their order.
    observed: Vec<usize>,
    /// Answers seen; those there were when kernels were fitted; and when the
    /// pool was renewed.
    answers: usize,
    fitted: usize,
    renewed: usize,
}

/// What is thought of one objective, by row of the table, in normal scores.
pub(in crate::strategy) struct Belief {
    pub warp: Warp,
    means: Vec<f32>,
    sds: Vec<f32>,
}

impl Belief {
    /// Mean and standard deviation of a row's score.
    pub fn of(&self, row: usize) -> (f64, f64) {
        (f64::from(self.means[row]), f64::from(self.sds[row]))
    }
}

impl Model {
    pub fn new(modelled: Vec<bool>) -> Self {
        Model {
            modelled,
            state: None,
        }
    }

    /// What is thought of every objective now; `None` for those not modelled.
    /// Looks for new candidates first where it is time to.
    pub fn beliefs(&mut self, study: &mut Study) -> Vec<Option<Belief>> {
        let answers = study.told.len();
        let renewal = |state: &State| answers >= state.renewed + RENEWAL;
        let renewed = !study.is_whole() && self.state.as_ref().is_none_or(renewal);
        if renewed {
            study.renew();
        }
        self.learn(study, renewed);
        let Some(state) = &mut self.state else {
            return Vec::new();
        };
        let points = &study.table.points;
        let settled = state.observed.len();
        let mut beliefs = Vec::new();
        for (objective, process) in state.processes.iter_mut().enumerate() {
            beliefs.push(process.as_mut().map(|process| {
                let (warp, targets) = targets(study, objective, &state.observed);
                let means = process.means(&targets);
                // What is under way is as good as known to the deviations.
                study.pending().for_each(|row| process.push(points, row));
                let sds = (0..means.len()).map(|row| process.sd(row)).collect();
                process.truncate(settled);
                Belief { warp, means, sds }
            }));
        }
        beliefs
    }

    /// Brings the processes up to the answers.
    fn learn(&mut self, study: &Study, renewed: bool) {
        let answers = study.told.len();
        let points = &study.table.points;
        let mut kernels = vec![Kernel::default(); self.modelled.len()];
        let mut fitted = None;
        if let Some(state) = &mut self.state {
            let refit = answers as f64 >= state.fitted as f64 * REFIT;
            if !refit && !renewed {
                for index in state.answers..answers {
                    for process in state.processes.iter_mut().flatten() {
                        process.push(points, study.told[index].0);
                    }
                    state.observed.push(index);
                }
                state.answers = answers;
                return;
            }
            for (kernel, process) in kernels.iter_mut().zip(&state.processes) {
                *kernel = process.as_ref().map_or(*kernel, |p| p.kernel);
            }
            fitted = (!refit).then_some(state.fitted);
        }
        let observed = study.observed();
        let rows: Vec<usize> = observed.iter().map(|i| study.told[*i].0).collect();
        let processes = kernels.into_iter().enumerate().map(|(objective, kernel)| {
            self.modelled[objective].then(|| {
                let kernel = match fitted {
                    Some(_) => kernel,
                    None => kernel.fitted(points, &rows, &targets(study, objective, &observed).1),
                };
                let mut process = Process::new(kernel, points);
                rows.iter().for_each(|row| process.push(points, *row));
                process
            })
        });
        self.state = Some(State {
            processes: processes.collect(),
            observed,
            answers,
            fitted: fitted.unwrap_or(answers),
            renewed: answers,
        });
    }
}

/// Normal scores of the observed answers; failures are as bad as the worst.
fn targets(study: &Study, objective: usize, observed: &[usize]) -> (Warp, Vec<f64>) {
    let loss = |index: &usize| {
        let answer = study.told[*index].1.as_ref();
        answer.map(|worth| worth.objectives[objective])
    };
    let losses: Vec<Option<f64>> = observed.iter().map(loss).collect();
    let worst = losses.iter().flatten().copied().fold(f64::MIN, f64::max);
    let losses: Vec<f64> = losses.into_iter().map(|l| l.unwrap_or(worst)).collect();
    let warp = Warp::of(&losses);
    let targets = losses.iter().map(|l| warp.score(*l)).collect();
    (warp, targets)
}

//! Shows what a search reports: a bar a phase, sentences above it.

use indicatif::{ProgressBar, ProgressStyle};

use crate::search::Report;

/// The terminal's side of a search.
#[derive(Default)]
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    pub fn show(&mut self, report: Report<'_>) {
        match report {
            Report::Say(text) => match &self.bar {
                Some(bar) => bar.suspend(|| super::say(&text)),
                None => super::say(&text),
            },
            Report::Phase { name, steps } => {
                let style = ProgressStyle::with_template(
                    "{prefix:>28} {bar:30} {pos}/{len} {elapsed} {wide_msg}",
                )
                .expect("a valid template");
                let bar = ProgressBar::new(steps as u64).with_style(style);
                bar.set_prefix(name.to_string());
                self.bar = Some(bar);
            }
            Report::Step(text) => {
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                    bar.set_message(text);
                }
            }
            Report::PhaseDone => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_with_message("done");
                }
            }
        }
    }
}

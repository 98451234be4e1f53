//! An event as one line for people, the same on the terminal and on the page.

use super::units::{ms_text, percent_text};
use crate::store::Event;

/// Longer texts are cut: the whole event is in the run's export.
const LONGEST: usize = 400;

/// What happened, in a line without control characters.
pub fn event_text(event: &Event) -> String {
    let text = match event {
        Event::Started { writer } => {
            format!("started by process {} on {}", writer.pid, writer.host)
        }
        Event::Resumed { writer } => {
            format!("resumed by process {} on {}", writer.pid, writer.host)
        }
        Event::SpaceCounted { architectures } => {
            format!("the space holds {architectures} architectures")
        }
        Event::Measured(m) => format!(
            "measured {} ms [{}, {}] on {} ({})",
            ms_text(m.median_ms),
            ms_text(m.ci95_ms[0]),
            ms_text(m.ci95_ms[1]),
            m.engine,
            m.purpose.name()
        ),
        Event::Calibrated { payload } => match payload["engine"].as_str() {
            Some(engine) => format!("predictor calibrated to {engine}"),
            None => "predictor calibrated".into(),
        },
        Event::Asked(a) => format!("candidate {} asked for", a.candidate),
        Event::Evaluated(e) => format!(
            "candidate {}: {} % at {} ms predicted",
            e.candidate,
            percent_text(e.accuracy),
            ms_text(e.latency_ms)
        ),
        Event::Failed {
            candidate, cause, ..
        } => format!("candidate {candidate} failed: {cause}"),
        Event::Trained(t) => format!(
            "front member trained: validation {} %, test {} %",
            percent_text(t.validation_accuracy),
            percent_text(t.test_accuracy)
        ),
        Event::Artefact(a) => format!("wrote {} ({})", a.name, super::bytes_text(a.bytes)),
        Event::Note { text } => text.clone(),
        Event::Warning { text } => text.clone(),
        Event::Interrupted { cause } => format!("interrupted: {cause}"),
        Event::Finished { reason } => format!("finished: {reason}"),
        Event::Aborted { cause } => format!("ended in an error: {cause}"),
        Event::Unknown(_) => format!("an event of kind {} from a newer version", event.kind()),
    };
    one_line(&text, LONGEST)
}

/// At most `longest` characters of a text, control characters as spaces.
pub fn one_line(text: &str, longest: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(longest)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(longest).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_data::every_event;

    #[test]
    fn every_event_is_one_plain_line() {
        for event in every_event() {
            let text = event_text(&event);
            assert!(
                !text.is_empty() && !text.contains(char::is_control),
                "{text:?}"
            );
        }
        let evaluated = &every_event()[7];
        assert_eq!(
            event_text(evaluated),
            "candidate 1: 95.00 % at 1.50 ms predicted"
        );
        let note = Event::Note {
            text: format!("\x1b[31m{}", "é".repeat(1000)),
        };
        assert_eq!(event_text(&note).chars().count(), LONGEST + 1);
    }
}

//! How far the value of a choice reaches: up to the last step that reads it, or
//! reads a value computed from it.

use crate::space::step::{Step, StepKind};

/// Steps after the one at `decides`, up to and with the last that depends on the
/// value it puts into `slot`.
pub fn readers(steps: &[Step], decides: usize, slot: usize) -> usize {
    let mut tainted = vec![slot];
    let mut next = slot + 1;
    let mut last = decides;
    for (index, step) in steps.iter().enumerate().skip(decides + 1) {
        let reads = step.reads(&|s| tainted.contains(&s));
        if reads {
            last = index;
        }
        next = follow(step, next, &mut tainted);
    }
    last - decides
}

/// Slots in use after a step, of which those computed from tainted ones are
/// tainted, too.
fn follow(step: &Step, next: usize, tainted: &mut Vec<usize>) -> usize {
    match &*step.kind {
        StepKind::Set(_) | StepKind::Decide(..) => {
            if step.reads(&|s| tainted.contains(&s)) {
                tainted.push(next);
            }
            next + 1
        }
        StepKind::Save => next + 1,
        StepKind::Seq(steps) => steps
            .iter()
            .fold(next, |next, step| follow(step, next, tainted)),
        StepKind::KeepPrecision(body) => follow(body, next, tainted),
        StepKind::Carry(base, from) => {
            tainted.retain(|slot| slot < base);
            base + from.len()
        }
        _ => next,
    }
}

/// Whether the value in a slot, or one computed from it, sets bit widths.
pub fn sets_precision(steps: &[Step], slot: usize) -> bool {
    fn within(step: &Step, tainted: &mut Vec<usize>, next: &mut usize) -> bool {
        if let StepKind::Precision(..) = &*step.kind
            && step.reads(&|s| tainted.contains(&s))
        {
            return true;
        }
        match &*step.kind {
            StepKind::Seq(steps) => steps.iter().any(|step| within(step, tainted, next)),
            StepKind::KeepPrecision(body) | StepKind::Scope(_, body) => within(body, tainted, next),
            StepKind::Unit { body, .. } => within(body, tainted, next),
            _ => {
                *next = follow(step, *next, tainted);
                false
            }
        }
    }
    let (mut tainted, mut next) = (vec![slot], slot + 1);
    steps
        .iter()
        .any(|step| within(step, &mut tainted, &mut next))
}

//! The engines an agent has. A new one is one line here.

use crate::device::{Engine, TractEngine};

/// Names of all engines, the default one first.
pub fn engine_names() -> Vec<String> {
    vec!["tract".into()]
}

/// The engine of this name.
pub fn engine(name: &str) -> Option<Box<dyn Engine>> {
    match name {
        "tract" => Some(Box::new(TractEngine)),
        _ => None,
    }
}

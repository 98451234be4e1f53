//! What an architecture is worth: short trainings and their curves.

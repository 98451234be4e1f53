//! burn models built from a network.

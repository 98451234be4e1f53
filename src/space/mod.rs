//! The search-space language.

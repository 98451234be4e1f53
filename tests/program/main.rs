//! The program `bespoke` as a user runs it. One test program for all of it: what
//! tests link is large, so each further one costs seconds and disk.

mod agents;
mod chain;
mod device;
#[path = "../documents/mod.rs"]
mod documents;
mod pages;
mod predictor;
mod proxies;
mod runs;
mod search;
mod shell;
mod space;
mod supernet;
mod survival;
mod tutorial;

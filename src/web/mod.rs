//! `bespoke web`: runs in a browser, served from this program with nothing
//! fetched from elsewhere. [`data`] reads the database into plain rows, `routes`
//! gives them as JSON, `follow` tells what comes as server-sent events, `guard`
//! decides who is answered, and the page itself is under `assets/`: plain
//! modules without a build step, with uPlot for axes and lines. [`report_html`]
//! puts the same page with one run's data into a single file.

mod assets;
pub mod data;
mod devices;
mod failure;
mod follow;
mod guard;
mod report;
mod routes;
mod server;

pub use devices::{DeviceHealth, DeviceSource};
pub use guard::{Token, TokenError};
pub use report::report_html;
pub use server::{Options, Server, WebError};

/// Where the page is served if nothing else is said.
pub const DEFAULT_BIND: &str = "127.0.0.1:7312";

#[cfg(test)]
mod tests;

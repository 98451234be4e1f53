//! The coordinator: devices dial in and work is handed out to them, one job a
//! device at a time, each done once. [`Core`] decides, [`Journal`] remembers,
//! the server talks; clients ask through [`Client`] or, as a probe, through
//! [`RemoteProbe`].

mod agents;
mod client;
mod clients;
mod core;
mod devices;
mod door;
mod events;
mod home;
mod journal;
mod leases;
pub mod load;
mod record;
mod remote;
mod reports;
mod server;
mod shared;

pub use client::{Client, ClientError};
pub use core::{Core, Settings, Standing};
pub use devices::TokenStep;
pub use home::{Admin, Home, HomeError};
pub use journal::{Journal, JournalError, Location};
pub use leases::{Connected, Next};
pub use record::Record;
pub use remote::{RemoteProbe, split_name};
pub use reports::Step;
pub use server::{Server, ServerError, ServerOptions};

#[cfg(test)]
mod tests;

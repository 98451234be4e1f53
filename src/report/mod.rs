//! What people see of a run: tables for the terminal, CSV and JSON for other
//! programs, and a plot of accuracy against latency. Everything here turns a
//! [`RunState`](crate::store::RunState) into text and writes no file itself;
//! [`Followed`] keeps one up to date while its run goes on.

mod courses;
mod events;
mod follow;
mod front;
mod plot;
mod scale;
mod table;
pub mod units;

pub use courses::{CourseLine, courses_svg};
pub use events::{event_text, one_line};
pub use follow::{EventLine, Followed};
pub use front::{
    FrontRow, candidates_csv, front_csv, front_rows, front_rows_on, measurements_csv, runs_csv,
};
pub use plot::{AxisScale, PlotError, PlotOptions, front_svg};
pub use table::{front_table, run_summary, runs_table};
pub use units::{bytes_text, count_text, duration_text, time_text};

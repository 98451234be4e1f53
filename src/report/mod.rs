//! What people see of a run: tables for the terminal, CSV and JSON for other
//! programs, and a plot of accuracy against latency. Everything here turns a
//! [`RunState`](crate::store::RunState) into text and writes no file itself;
//! [`Followed`] keeps one up to date while its run goes on.

mod best;
mod columns;
mod compare;
mod courses;
mod events;
mod follow;
mod front;
mod mlflow;
mod optuna;
mod parquet;
mod plot;
mod scale;
mod table;
pub mod units;

pub use best::{Query, best_rows};
pub use columns::{Column, Columns, candidate_columns, measurement_columns};
pub use compare::{Comparison, RunCompared, compare, comparison_table};
pub use courses::{CourseLine, courses_svg};
pub use events::{event_text, one_line};
pub use follow::{EventLine, Followed};
pub use front::{FrontRow, front_csv, front_rows, front_rows_on, runs_csv};
pub use mlflow::Mlflow;
pub use optuna::optuna_journal;
pub use parquet::parquet;
pub use plot::{AxisScale, PlotError, PlotOptions, front_svg};
pub use table::{front_table, run_summary, runs_table};
pub use units::{bytes_text, count_text, duration_text, iso_text, time_text};

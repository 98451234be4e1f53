//! Files of measurements made elsewhere: CSV (or its gzip) with a `genotype`
//! (or `architecture`) column and one of values. Every fault is placed by line
//! and column.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::quantity::{BadValue, Quantity};

/// Why a file of measurements cannot be used.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum MeasurementsError {
    #[error("cannot read the measurements {}: {source}", .path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} has no column {wanted}; its columns are {found}", .path.display())]
    #[diagnostic(help("{help}"))]
    Column {
        path: PathBuf,
        wanted: String,
        found: String,
        help: String,
    },
    #[error("{}, line {line}: {reason}", .path.display())]
    #[diagnostic(help("a genotype with commas stands in \"double quotes\""))]
    Row {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    #[error("{}, line {line}, column `{column}`: `{field}` is no number", .path.display())]
    #[diagnostic(help("write it like 12.5; leave out the row where nothing was measured"))]
    Number {
        path: PathBuf,
        line: usize,
        column: String,
        field: String,
    },
    #[error("{}, line {line}, column `{column}`: {source}", .path.display())]
    Value {
        path: PathBuf,
        line: usize,
        column: String,
        source: BadValue,
    },
    #[error("{} has no measurements below its header", .path.display())]
    Empty { path: PathBuf },
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Counted from 1, as editors do.
    pub line: usize,
    pub genotype: String,
    /// In the quantity's unit.
    pub value: f64,
}

/// Reads a file; `column` names the values' column where it is not one of
/// [`Quantity::columns`] (its values are then in the quantity's unit).
///
/// # Errors
/// When it cannot be read, lacks a column, or a row is malformed.
pub fn read(
    path: &Path,
    quantity: Quantity,
    column: Option<&str>,
) -> Result<Vec<Row>, MeasurementsError> {
    let fail = |source| MeasurementsError::Read {
        path: path.into(),
        source,
    };
    let mut text = std::fs::read(path).map_err(fail)?;
    if text.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&text[..])
            .read_to_end(&mut plain)
            .map_err(fail)?;
        text = plain;
    }
    parse(&text, path, quantity, column)
}

/// Parses the text of such a file; `path` only serves messages.
///
/// # Errors
/// As [`read`].
pub fn parse(
    text: &[u8],
    path: &Path,
    quantity: Quantity,
    column: Option<&str>,
) -> Result<Vec<Row>, MeasurementsError> {
    let row_error = |line: usize, reason: String| MeasurementsError::Row {
        path: path.into(),
        line,
        reason,
    };
    // Spreadsheets begin their files with a byte order mark.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text);
    let header = reader
        .headers()
        .map_err(|e| row_error(1, e.to_string()))?
        .clone();
    let missing = |wanted: String| MeasurementsError::Column {
        path: path.into(),
        wanted,
        found: match header.iter().all(str::is_empty) {
            true => "none".into(),
            false => quoted(header.iter()),
        },
        help: match header.len() == 1 && header.iter().any(|h| h.contains([';', '\t'])) {
            true => "fields are separated by commas, not by semicolons or tabs".into(),
            false => format!(
                "the first line must name the columns, such as `genotype,{}`; --column names another",
                quantity.columns()[0].0
            ),
        },
    };
    let find = |name: &str| header.iter().position(|h| h.eq_ignore_ascii_case(name));
    let genotype_at = find("genotype")
        .or_else(|| find("architecture"))
        .ok_or_else(|| missing("`genotype` (or `architecture`)".into()))?;
    let (value_at, factor) = match column {
        Some(name) => (find(name).ok_or_else(|| missing(format!("`{name}`")))?, 1.0),
        None => quantity
            .columns()
            .iter()
            .find_map(|(name, factor)| Some((find(name)?, *factor)))
            .ok_or_else(|| {
                let names = quantity.columns().iter().map(|(name, _)| *name);
                missing(quoted(names).replace(", ", " or "))
            })?,
    };
    let column = header[value_at].to_string();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| {
            let line = e.position().map_or(0, |p| p.line() as usize);
            match e.kind() {
                csv::ErrorKind::UnequalLengths {
                    expected_len, len, ..
                } => row_error(
                    line,
                    format!("{len} fields where the header has {expected_len}"),
                ),
                csv::ErrorKind::Utf8 { .. } => row_error(line, "it is not UTF-8 text".into()),
                _ => row_error(line, e.to_string()),
            }
        })?;
        // The reader counts empty lines to the record after them.
        let line = record.position().map_or(0, |p| {
            let rest = text.get(p.byte() as usize..).unwrap_or_default();
            let empty = rest.iter().take_while(|b| matches!(b, b'\n' | b'\r'));
            p.line() as usize + empty.filter(|b| **b == b'\n').count()
        });
        let genotype = record[genotype_at].to_string();
        let field = &record[value_at];
        let number: f64 = field.parse().map_err(|_| MeasurementsError::Number {
            path: path.into(),
            line,
            column: column.clone(),
            field: field.into(),
        })?;
        let value = quantity
            .check(number * factor)
            .map_err(|source| MeasurementsError::Value {
                path: path.into(),
                line,
                column: column.clone(),
                source,
            })?;
        rows.push(Row {
            line,
            genotype,
            value,
        });
    }
    match rows.is_empty() {
        true => Err(MeasurementsError::Empty { path: path.into() }),
        false => Ok(rows),
    }
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|n| format!("`{n}`")).collect();
    names.join(", ")
}

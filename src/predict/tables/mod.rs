//! Latency tables that others measured, as networks and milliseconds: the
//! material of meta-training and of its evaluation. A table is a CSV file (or
//! its gzip) with an `architecture` column and one column a device; the text
//! of an architecture is read by the codec of its space.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::network::Network;
use crate::space::Space;
use crate::space::codec::{Codec, CodecError};

/// The space a table's architectures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TableSpace {
    /// NAS-Bench-201 (Dong and Yang 2020): cells of six edges, official strings.
    NasBench201,
    /// FBNet (Wu et al. 2019): 22 numbers from 0 to 8.
    FbNet,
    /// Once-for-all MobileNetV3 at width 1.2 (Cai et al. 2020): JSON of
    /// kernels, expansions, depths and resolution.
    Ofa,
}

impl TableSpace {
    pub const ALL: [TableSpace; 3] = [TableSpace::NasBench201, TableSpace::FbNet, TableSpace::Ofa];

    /// Stem of the table's file name.
    pub fn name(self) -> &'static str {
        self.codec().name()
    }

    /// The notation of the table's architectures.
    fn codec(self) -> Codec {
        match self {
            TableSpace::NasBench201 => Codec::NasBench201,
            TableSpace::FbNet => Codec::FbNet,
            TableSpace::Ofa => Codec::Ofa,
        }
    }

    fn space(self) -> &'static Space {
        static SPACES: [OnceLock<Space>; 3] = [const { OnceLock::new() }; 3];
        let (index, text) = match self {
            TableSpace::NasBench201 => {
                (0, include_str!("../../../search-spaces/nasbench201.space"))
            }
            TableSpace::FbNet => (1, include_str!("../../../search-spaces/fbnet.space")),
            TableSpace::Ofa => (
                2,
                include_str!("../../../search-spaces/ofa-mobilenetv3.space"),
            ),
        };
        SPACES[index].get_or_init(|| {
            Space::parse(self.name(), text).expect("the shipped spaces are valid, as tests show")
        })
    }

    /// The network an architecture's text stands for, with what computes
    /// nothing left in, as the benchmark's authors measured it.
    ///
    /// # Errors
    /// When the text is not of this space.
    pub fn network(self, architecture: &str) -> Result<Network, CodecError> {
        let architecture = self.codec().decode(self.space(), architecture)?;
        Ok(self.space().unsimplified(&architecture)?)
    }
}

/// Why a table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{dir} holds neither {name}.csv nor {name}.csv.gz")]
    Missing { dir: PathBuf, name: &'static str },
    #[error("{path}, line {line}: {reason}")]
    Row {
        path: PathBuf,
        line: usize,
        reason: String,
    },
}

/// Latencies of one space's architectures on several devices.
#[derive(Debug, Clone)]
pub struct LatencyTable {
    pub space: TableSpace,
    pub devices: Vec<String>,
    /// Architecture texts, in the file's order.
    pub architectures: Vec<String>,
    /// Latencies in milliseconds, `latency_ms[device][architecture]`.
    pub latency_ms: Vec<Vec<f64>>,
}

impl LatencyTable {
    /// Reads `NAME.csv` or `NAME.csv.gz` of the space from a directory.
    ///
    /// # Errors
    /// When neither file is there, or a row is malformed or not positive.
    pub fn read(dir: &Path, space: TableSpace) -> Result<Self, TableError> {
        let name = space.name();
        let plain = dir.join(format!("{name}.csv"));
        let zipped = dir.join(format!("{name}.csv.gz"));
        let path = if plain.exists() { plain } else { zipped };
        if !path.exists() {
            return Err(TableError::Missing {
                dir: dir.into(),
                name,
            });
        }
        let raw = fs::read(&path).map_err(|source| TableError::Read {
            path: path.clone(),
            source,
        })?;
        let text = if path.extension().is_some_and(|e| e == "gz") {
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(&raw[..])
                .read_to_end(&mut text)
                .map_err(|source| TableError::Read {
                    path: path.clone(),
                    source,
                })?;
            text
        } else {
            raw
        };
        Self::parse(&text, space, &path)
    }

    /// Parses the CSV text; `path` only serves messages.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &[u8], space: TableSpace, path: &Path) -> Result<Self, TableError> {
        let fail = |line: usize, reason: String| TableError::Row {
            path: path.into(),
            line,
            reason,
        };
        let mut reader = csv::Reader::from_reader(text);
        let header = reader
            .headers()
            .map_err(|e| fail(1, e.to_string()))?
            .clone();
        if header.get(0) != Some("architecture") || header.len() < 2 {
            return Err(fail(
                1,
                "the header must be `architecture` and then device names".into(),
            ));
        }
        let devices: Vec<String> = header.iter().skip(1).map(str::to_string).collect();
        let mut table = LatencyTable {
            space,
            latency_ms: vec![Vec::new(); devices.len()],
            devices,
            architectures: Vec::new(),
        };
        for (index, record) in reader.records().enumerate() {
            let line = index + 2;
            let record = record.map_err(|e| fail(line, e.to_string()))?;
            table.architectures.push(record[0].to_string());
            for (device, field) in record.iter().skip(1).enumerate() {
                let latency: f64 = field
                    .parse()
                    .ok()
                    .filter(|v: &f64| v.is_finite() && *v > 0.0)
                    .ok_or_else(|| {
                        let name = &table.devices[device];
                        fail(
                            line,
                            format!("latency `{field}` on {name} is not a positive number"),
                        )
                    })?;
                table.latency_ms[device].push(latency);
            }
        }
        Ok(table)
    }

    /// Index of a device's column.
    pub fn device(&self, name: &str) -> Option<usize> {
        self.devices.iter().position(|d| d == name)
    }
}

#[cfg(test)]
mod tests;

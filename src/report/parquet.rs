//! Columns as a Parquet file, which pandas, Polars, DuckDB and Spark read with
//! their types and without guessing.

use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use super::columns::{Column, Columns};

/// The bytes of a Parquet file with these columns, all of them nullable.
///
/// # Errors
/// When the columns are of different lengths.
pub fn parquet(columns: &Columns) -> Result<Vec<u8>, ParquetError> {
    let fields = columns.0.iter().map(|(name, column)| {
        let (physical, logical) = match column {
            Column::Integers(_) => (Physical::INT64, None),
            Column::Numbers(_) => (Physical::DOUBLE, None),
            Column::Texts(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build()
            .map(Arc::new)
    });
    let schema = Type::group_type_builder("run")
        .with_fields(fields.collect::<Result<_, _>>()?)
        .build()?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(concat!("bespoke ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = file.next_row_group()?;
    for (_, column) in &columns.0 {
        let Some(mut writer) = group.next_column()? else {
            break;
        };
        match column {
            Column::Integers(values) => {
                let (values, levels) = present(values, |v| *v);
                writer
                    .typed::<Int64Type>()
                    .write_batch(&values, Some(&levels), None)?;
            }
            Column::Numbers(values) => {
                let (values, levels) = present(values, |v| *v);
                writer
                    .typed::<DoubleType>()
                    .write_batch(&values, Some(&levels), None)?;
            }
            Column::Texts(values) => {
                let (values, levels) = present(values, |v| ByteArray::from(v.as_str()));
                writer
                    .typed::<ByteArrayType>()
                    .write_batch(&values, Some(&levels), None)?;
            }
        }
        writer.close()?;
    }
    group.close()?;
    file.finish()?;
    file.into_inner()
}

/// The values that are there, and for each row whether it is.
fn present<A, B>(values: &[Option<A>], convert: impl Fn(&A) -> B) -> (Vec<B>, Vec<i16>) {
    let there = values.iter().flatten().map(convert).collect();
    (
        there,
        values.iter().map(|v| i16::from(v.is_some())).collect(),
    )
}

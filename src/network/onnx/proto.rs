//! Small constructors for ONNX's protobuf messages, whose many optional fields
//! would otherwise drown the lowering.

use tract_onnx::pb::{
    AttributeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_proto::DataType,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};

use super::Batch;
use crate::network::Shape;

/// A dimension or a hyper-parameter as ONNX stores it.
pub fn int(value: usize) -> i64 {
    i64::try_from(value).expect("sizes of tensors fit in 63 bits")
}

pub fn attr_int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..Default::default()
    }
}

pub fn attr_float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Float as i32,
        f: value,
        ..Default::default()
    }
}

pub fn attr_ints(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints as i32,
        ints: values.iter().copied().map(int).collect(),
        ..Default::default()
    }
}

/// Axes counted from the end.
pub fn attr_signed_ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..Default::default()
    }
}

/// A tensor of 32-bit floats; no dimensions make a scalar.
pub fn tensor(name: &str, dims: &[usize], data: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.iter().copied().map(int).collect(),
        data_type: DataType::Float as i32,
        // ONNX fixes raw data as little-endian.
        raw_data: data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..Default::default()
    }
}

/// A tensor of 64-bit whole numbers; no dimensions make a scalar.
pub fn whole_tensor(name: &str, dims: &[usize], data: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.iter().copied().map(int).collect(),
        data_type: DataType::Int64 as i32,
        raw_data: data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..Default::default()
    }
}

/// The declaration of a model's input or output.
pub fn value_info(name: &str, batch: Batch, shape: Shape) -> ValueInfoProto {
    let batch = match batch {
        Batch::Dynamic => dimension::Value::DimParam("N".into()),
        Batch::Fixed(n) => dimension::Value::DimValue(int(n)),
    };
    let dims = shape
        .dims()
        .into_iter()
        .map(|d| dimension::Value::DimValue(int(d)));
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: match shape {
                    Shape::Ids { .. } => DataType::Int64 as i32,
                    _ => DataType::Float as i32,
                },
                shape: Some(TensorShapeProto {
                    dim: std::iter::once(batch)
                        .chain(dims)
                        .map(|value| Dimension {
                            value: Some(value),
                            ..Default::default()
                        })
                        .collect(),
                }),
            })),
            ..Default::default()
        }),
        ..Default::default()
    }
}

//! Whether an ONNX file is all there is to a network. The format lets weights lie
//! in other files, named by the model: from a stranger, that would be an order to
//! read whatever the engine may read.

use prost::Message;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

/// Deepest nesting of graphs in graphs that is looked at.
const DEEPEST: usize = 16;

/// Checks a file that somebody else sent.
///
/// # Errors
/// When it is no model, or refers to other files.
pub fn self_contained(onnx: &[u8]) -> Result<(), String> {
    let model = ModelProto::decode(onnx).map_err(|e| format!("no ONNX model: {e}"))?;
    if let Some(graph) = &model.graph {
        self::graph(graph, DEEPEST)?;
    }
    for function in &model.functions {
        nodes(&function.node, DEEPEST)?;
    }
    // Graphs for training, which nothing here runs.
    match model.training_info.is_empty() {
        true => Ok(()),
        false => Err("it has graphs for training beside the network".into()),
    }
}

fn graph(graph: &GraphProto, depth: usize) -> Result<(), String> {
    for weights in &graph.initializer {
        tensor(weights)?;
    }
    for sparse in &graph.sparse_initializer {
        for part in sparse.values.iter().chain(&sparse.indices) {
            tensor(part)?;
        }
    }
    nodes(&graph.node, depth)
}

fn nodes(nodes: &[NodeProto], depth: usize) -> Result<(), String> {
    let mut attributes = nodes.iter().flat_map(|n| &n.attribute);
    attributes.try_for_each(|a| attribute(a, depth))
}

fn attribute(attribute: &AttributeProto, depth: usize) -> Result<(), String> {
    for value in attribute.t.iter().chain(&attribute.tensors) {
        tensor(value)?;
    }
    for sparse in attribute
        .sparse_tensor
        .iter()
        .chain(&attribute.sparse_tensors)
    {
        for part in sparse.values.iter().chain(&sparse.indices) {
            tensor(part)?;
        }
    }
    for inner in attribute.g.iter().chain(&attribute.graphs) {
        let depth = depth
            .checked_sub(1)
            .ok_or("its graphs are nested too deeply")?;
        graph(inner, depth)?;
    }
    Ok(())
}

fn tensor(tensor: &TensorProto) -> Result<(), String> {
    let outside = tensor.data_location.is_some_and(|place| place != 0);
    match outside || !tensor.external_data.is_empty() {
        true => Err(format!(
            "the tensor `{}` lies in an external file, which is not read",
            tensor.name.escape_debug().take(80).collect::<String>()
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::pb::{FunctionProto, SparseTensorProto, StringStringEntryProto};

    /// Weights in the system's list of users.
    fn outside() -> TensorProto {
        TensorProto {
            name: "w\u{7}".into(),
            external_data: vec![StringStringEntryProto {
                key: "location".into(),
                value: "../../etc/passwd".into(),
            }],
            ..TensorProto::default()
        }
    }

    fn with_attribute(attribute: AttributeProto) -> GraphProto {
        GraphProto {
            node: vec![NodeProto {
                attribute: vec![attribute],
                ..NodeProto::default()
            }],
            ..GraphProto::default()
        }
    }

    fn checked(graph: GraphProto) -> Result<(), String> {
        let model = ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        };
        self_contained(&model.encode_to_vec())
    }

    #[test]
    fn a_model_without_other_files_passes() {
        let inside = TensorProto {
            raw_data: vec![0; 4],
            ..TensorProto::default()
        };
        let graph = with_attribute(AttributeProto {
            t: Some(inside.clone()),
            ..AttributeProto::default()
        });
        let graph = GraphProto {
            initializer: vec![inside],
            ..graph
        };
        checked(graph).unwrap();
        assert!(self_contained(b"no model at all").is_err());
    }

    #[test]
    fn other_files_are_found_wherever_a_model_can_name_them() {
        let sparse = SparseTensorProto {
            values: Some(TensorProto::default()),
            indices: Some(outside()),
            dims: vec![1],
        };
        let attribute = AttributeProto::default;
        let initializer = GraphProto {
            initializer: vec![TensorProto {
                data_location: Some(1),
                ..TensorProto::default()
            }],
            ..GraphProto::default()
        };
        let hidden = [
            initializer.clone(),
            GraphProto {
                sparse_initializer: vec![sparse.clone()],
                ..GraphProto::default()
            },
            with_attribute(AttributeProto {
                t: Some(outside()),
                ..attribute()
            }),
            with_attribute(AttributeProto {
                tensors: vec![TensorProto::default(), outside()],
                ..attribute()
            }),
            with_attribute(AttributeProto {
                sparse_tensors: vec![sparse],
                ..attribute()
            }),
            with_attribute(AttributeProto {
                graphs: vec![GraphProto::default(), initializer],
                ..attribute()
            }),
        ];
        for graph in &hidden {
            let why = checked(graph.clone()).unwrap_err();
            assert!(why.contains("external file"), "{why}");
        }
        let function = ModelProto {
            functions: vec![FunctionProto {
                node: hidden[2].node.clone(),
                ..FunctionProto::default()
            }],
            ..ModelProto::default()
        };
        let why = self_contained(&function.encode_to_vec()).unwrap_err();
        assert_eq!(
            why,
            r"the tensor `w\u{7}` lies in an external file, which is not read"
        );
    }

    #[test]
    fn endless_nesting_ends() {
        let mut graph = GraphProto::default();
        for _ in 0..DEEPEST + 1 {
            graph = with_attribute(AttributeProto {
                g: Some(graph),
                ..AttributeProto::default()
            });
        }
        assert!(checked(graph).unwrap_err().contains("nested"));
    }
}

//! Softmax attention as an operator: its hyper-parameters, what they mean for a
//! shape, and which queries, keys and values go together.

use serde::{Deserialize, Serialize};

use super::shape::Shape;

/// Hyper-parameters of softmax attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attention {
    pub heads: usize,
    /// Fewer heads of keys and values, each shared by a group of queries'
    /// heads (Ainslie et al. 2023, grouped-query attention).
    pub kv_heads: usize,
    /// Positions attend within windows of this many tokens, of this many pixels
    /// squared on a map (Liu et al. 2021); 0 is the whole.
    pub window: usize,
    /// Positions attend to themselves and earlier ones only.
    pub causal: bool,
}

impl Attention {
    /// Height and width of the windows on a tensor of this shape.
    pub fn windows(&self, shape: Shape) -> (usize, usize) {
        match (self.window, shape) {
            (0, _) => shape.spatial(),
            (w, Shape::Image { .. }) => (w, w),
            (w, _) => (1, w),
        }
    }

    /// Positions that attend to each other.
    pub fn reach(&self, shape: Shape) -> usize {
        let (height, width) = self.windows(shape);
        height * width
    }
}

/// The output of attention over queries, keys and values.
pub(super) fn attend(attention: Attention, inputs: &[Shape]) -> Result<Shape, String> {
    let [queries, keys, values] = *inputs else {
        return Err("it needs queries, keys and values".into());
    };
    let Attention {
        heads,
        kv_heads,
        window,
        causal,
    } = attention;
    if !matches!(queries, Shape::Image { .. } | Shape::Tokens { .. }) {
        return Err(format!(
            "it needs a feature map or a sequence, not {}",
            queries.kind()
        ));
    }
    if causal && !matches!(queries, Shape::Tokens { .. }) {
        return Err("the positions of a map have no order to be causal in".into());
    }
    if heads == 0 || kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        return Err(format!(
            "{kv_heads} heads of keys and values do not divide {heads} heads of queries"
        ));
    }
    let width = queries.channels();
    if !width.is_multiple_of(heads) {
        return Err(format!("{heads} heads do not divide {width} channels"));
    }
    if keys != values
        || keys.spatial() != queries.spatial()
        || std::mem::discriminant(&keys) != std::mem::discriminant(&queries)
        || keys.channels() != width / heads * kv_heads
    {
        return Err(format!(
            "queries of {queries} need keys and values alike, of {} channels",
            width / heads * kv_heads
        ));
    }
    let (height, length) = queries.spatial();
    let (rows, columns) = attention.windows(queries);
    if window > 0 && (!height.is_multiple_of(rows) || !length.is_multiple_of(columns)) {
        return Err(format!("windows of {window} do not divide {queries}"));
    }
    Ok(queries)
}

//! Softmax attention as an operator: its hyper-parameters, what they mean for a
//! shape, which queries, keys and values go together, and where positions stand
//! to each other.

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

/// Learned embeddings of the distance between positions, of which both keys and
/// values get one (Shaw et al. 2018, arXiv 1803.02155); on images one of the
/// vertical and one of the horizontal distance (AutoFormer, arXiv 2107.00651).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Relative {
    /// Distances beyond this count as this.
    pub distance: usize,
    /// The tokens are the pixels of a square image, row by row, behind a class
    /// token where there is one more.
    pub grid: bool,
}

impl Relative {
    /// Side lengths of the image that a sequence is, and whether a class token
    /// stands before it; `None` where its length is no such number.
    fn square(length: usize) -> Option<(usize, bool)> {
        let side = |pixels: usize| Some(pixels.isqrt()).filter(|s| *s > 0 && s * s == pixels);
        let with_class = length.checked_sub(1).and_then(side);
        with_class
            .map(|s| (s, true))
            .or_else(|| side(length).map(|s| (s, false)))
    }

    /// Columns of the image, and whether a class token stands before it. A
    /// sequence is one row.
    fn layout(&self, shape: Shape) -> Option<(usize, bool)> {
        match shape {
            Shape::Image { width, .. } => Some((width, false)),
            Shape::Tokens { length, .. } if self.grid => Self::square(length),
            other => Some((other.length(), false)),
        }
    }

    /// Axes along which there are distances: 2 on images.
    pub fn axes(&self, shape: Shape) -> usize {
        match shape {
            Shape::Image { .. } => 2,
            _ if self.grid => 2,
            _ => 1,
        }
    }

    /// Embeddings of one axis: of a class token, of the distances.
    pub fn entries(&self, shape: Shape) -> usize {
        let class = self.layout(shape).is_some_and(|(_, class)| class);
        2 * self.distance + 1 + usize::from(class)
    }

    /// For each axis (the vertical first) the entry for each pair of positions,
    /// `[queries, keys]`. Where a class token takes part, the first.
    pub fn indices(&self, shape: Shape) -> Vec<Vec<usize>> {
        let (height, width) = shape.spatial();
        let (columns, class) = self.layout(shape).unwrap_or((height * width, false));
        let places = height * width;
        let between = |a: usize, b: usize| {
            let reach = self.distance as isize;
            (b as isize - a as isize).clamp(-reach, reach) + reach
        };
        let entry = |axis: usize, query: usize, key: usize| {
            if !class {
                return match axis {
                    0 => between(query / columns, key / columns),
                    _ => between(query % columns, key % columns),
                } as usize;
            }
            match (query.checked_sub(1), key.checked_sub(1)) {
                (Some(q), Some(k)) => match axis {
                    0 => 1 + between(q / columns, k / columns) as usize,
                    _ => 1 + between(q % columns, k % columns) as usize,
                },
                _ => 0,
            }
        };
        // Along a sequence the one distance is that within its row.
        let axes = 2 - self.axes(shape)..2;
        axes.map(|axis| {
            (0..places * places)
                .map(|pair| entry(axis, pair / places, pair % places))
                .collect()
        })
        .collect()
    }
}

/// The output of attention with distances between positions.
pub(super) fn attend_relative(
    attention: Attention,
    relative: Relative,
    inputs: &[Shape],
) -> Result<Shape, String> {
    let shape = attend(attention, inputs)?;
    if attention.window > 0 {
        return Err("relative positions go with attention to the whole, not with windows".into());
    }
    if relative.distance == 0 {
        return Err("relative positions need a distance of at least 1".into());
    }
    match relative.layout(shape) {
        Some(_) => Ok(shape),
        None => Err(format!(
            "{} tokens are no square image, with or without a class token",
            shape.length()
        )),
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

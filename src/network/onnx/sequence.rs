//! The operators of sequences in ONNX, from operators of set 13. A sequence is
//! `[N, L, C]`; a map enters as `[N, C, H, W]` and is brought to rows first.

use super::lower::Lowering;
use super::proto::{attr_float, attr_int, attr_ints, attr_signed_ints, int, tensor, whole_tensor};
use crate::network::{Attention, PoolKind, Relative, Shape, causal_mask, rotary_angles};

/// Added to the variance by every normalisation.
const EPSILON: f32 = 1e-5;
/// The first operator set with `LayerNormalization`.
const LAYER_NORM_SET: i64 = 17;

impl Lowering<'_> {
    /// `x W^T + b` for every token.
    pub(super) fn linear_per_token(
        &mut self,
        name: &str,
        inputs: Vec<String>,
        bias: bool,
        output: String,
    ) {
        let turned = self.transpose(name, "weight", &inputs[1], &[1, 0]);
        let operands = vec![inputs[0].clone(), turned];
        if !bias {
            return self.emit(name, "MatMul", operands, vec![], output);
        }
        let product = self.step(name, "product", "MatMul", operands);
        self.emit(
            name,
            "Add",
            vec![product, inputs[2].clone()],
            vec![],
            output,
        );
    }

    pub(super) fn pool_tokens(
        &mut self,
        name: &str,
        kind: PoolKind,
        inputs: Vec<String>,
        output: String,
    ) {
        let op = match kind {
            PoolKind::Max => "ReduceMax",
            PoolKind::Avg => "ReduceMean",
        };
        let attributes = vec![attr_ints("axes", &[1]), attr_int("keepdims", 0)];
        self.emit(name, op, inputs, attributes, output);
    }

    /// Layer normalisation, or of the root mean square where there is no shift.
    pub(super) fn channel_norm(
        &mut self,
        name: &str,
        shape: Shape,
        mut inputs: Vec<String>,
        output: String,
    ) {
        let map = matches!(shape, Shape::Image { .. });
        if map {
            inputs[0] = self.transpose(name, "channels_last", &inputs[0], &[0, 2, 3, 1]);
        }
        let (x, scale, shift) = (inputs[0].clone(), inputs[1].clone(), inputs.get(2).cloned());
        let normal = match shift {
            Some(shift) if self.options.opset >= LAYER_NORM_SET => {
                let attributes = vec![attr_int("axis", -1), attr_float("epsilon", EPSILON)];
                let inputs = vec![x, scale, shift];
                self.step_with(name, "normal", "LayerNormalization", inputs, attributes)
            }
            Some(shift) => {
                let mean = self.mean(name, "mean", &x);
                let centred = self.step(name, "centred", "Sub", vec![x, mean]);
                let normal = self.over_deviation(name, &centred);
                let scaled = self.step(name, "scaled", "Mul", vec![normal, scale]);
                self.step(name, "shifted", "Add", vec![scaled, shift])
            }
            None => {
                let normal = self.over_deviation(name, &x);
                self.step(name, "scaled", "Mul", vec![normal, scale])
            }
        };
        if map {
            let back = vec![attr_ints("perm", &[0, 3, 1, 2])];
            self.emit(name, "Transpose", vec![normal], back, output);
        } else {
            self.emit(name, "Identity", vec![normal], vec![], output);
        }
    }

    fn mean(&mut self, name: &str, part: &str, x: &str) -> String {
        let attributes = vec![attr_signed_ints("axes", &[-1]), attr_int("keepdims", 1)];
        self.step_with(name, part, "ReduceMean", vec![x.into()], attributes)
    }

    /// `x / sqrt(mean(x^2) + epsilon)` over the last axis.
    fn over_deviation(&mut self, name: &str, x: &str) -> String {
        let square = self.step(name, "square", "Mul", vec![x.into(), x.into()]);
        let variance = self.mean(name, "variance", &square);
        let epsilon = self.constant("const.epsilon", EPSILON);
        let raised = self.step(name, "raised", "Add", vec![variance, epsilon]);
        let deviation = self.step(name, "deviation", "Sqrt", vec![raised]);
        self.step(name, "normalised", "Div", vec![x.into(), deviation])
    }

    pub(super) fn group_norm(
        &mut self,
        name: &str,
        groups: usize,
        shape: Shape,
        inputs: Vec<String>,
        output: String,
    ) {
        let channels = shape.channels();
        let tokens = matches!(shape, Shape::Tokens { .. });
        let mut x = inputs[0].clone();
        let mut dims = vec![0, int(channels)];
        match shape {
            Shape::Image { height, width, .. } => dims.extend([int(height), int(width)]),
            _ => dims.push(int(shape.length())),
        }
        if tokens {
            x = self.transpose(name, "channels_first", &x, &[0, 2, 1]);
        }
        // Instance normalisation of the groups, each as one channel.
        let grouped = self.reshape(name, "grouped", &x, &[0, int(groups), -1]);
        let ones = self.table(name, "ones", &[groups], &vec![1.0; groups]);
        let zeros = self.table(name, "zeros", &[groups], &vec![0.0; groups]);
        let epsilon = vec![attr_float("epsilon", EPSILON)];
        let operands = vec![grouped, ones, zeros];
        let normal = self.step_with(name, "normal", "InstanceNormalization", operands, epsilon);
        let normal = self.reshape(name, "ungrouped", &normal, &dims);
        let column: Vec<i64> = std::iter::once(int(channels))
            .chain(dims[2..].iter().map(|_| 1))
            .collect();
        let scale = self.reshape(name, "scale", &inputs[1], &column);
        let shift = self.reshape(name, "shift", &inputs[2], &column);
        let scaled = self.step(name, "scaled", "Mul", vec![normal, scale]);
        if tokens {
            let shifted = self.step(name, "shifted", "Add", vec![scaled, shift]);
            let back = vec![attr_ints("perm", &[0, 2, 1])];
            self.emit(name, "Transpose", vec![shifted], back, output);
        } else {
            self.emit(name, "Add", vec![scaled, shift], vec![], output);
        }
    }

    /// A map as rows `[N, H W, C]`; a sequence is rows already.
    pub(super) fn rows(&mut self, name: &str, part: &str, shape: Shape, x: &str) -> String {
        match shape {
            Shape::Image { height, width, .. } => {
                // Keys and values may have fewer channels than queries.
                let dims = [0, -1, int(height * width)];
                let flat = self.reshape(name, &format!("{part}.flat"), x, &dims);
                self.transpose(name, &format!("{part}.rows"), &flat, &[0, 2, 1])
            }
            _ => x.into(),
        }
    }

    /// Rows as a tensor of this shape, which is the node's output.
    fn unrows(&mut self, name: &str, shape: Shape, rows: &str, output: String) {
        match shape {
            Shape::Image {
                channels,
                height,
                width,
            } => {
                let turned = self.transpose(name, "turned", rows, &[0, 2, 1]);
                let dims = [0, int(channels), int(height), int(width)];
                let dims = self.whole(name, "map", &[4], &dims);
                self.emit(name, "Reshape", vec![turned, dims], vec![], output);
            }
            _ => self.emit(name, "Identity", vec![rows.into()], vec![], output),
        }
    }

    /// Inputs: queries, keys, values and, where there are relative positions,
    /// their embeddings for keys and for values.
    pub(super) fn attention(
        &mut self,
        name: &str,
        attention: Attention,
        relative: Option<Relative>,
        shape: Shape,
        inputs: Vec<String>,
        output: String,
    ) {
        let map = shape.spatial();
        let window = attention.windows(shape);
        let reach = int(attention.reach(shape));
        let (heads, kv_heads) = (int(attention.heads), int(attention.kv_heads));
        let dim = int(shape.channels() / attention.heads);
        let split = |this: &mut Self, part: &str, x: &str, channels: i64| {
            let rows = this.rows(name, part, shape, x);
            this.windowed(name, part, &rows, channels, map, window)
        };
        let q = split(self, "q", &inputs[0], heads * dim);
        let k = split(self, "k", &inputs[1], kv_heads * dim);
        let v = split(self, "v", &inputs[2], kv_heads * dim);
        let q = self.heads(name, "q", &q, [reach, heads, dim], &[0, 2, 1, 3]);
        let k = self.heads(name, "k", &k, [reach, kv_heads, dim], &[0, 2, 3, 1]);
        let v = self.heads(name, "v", &v, [reach, kv_heads, dim], &[0, 2, 1, 3]);
        let k = self.repeated(name, "k", k, heads, [kv_heads, dim, reach]);
        let v = self.repeated(name, "v", v, heads, [kv_heads, reach, dim]);
        let mut scores = self.step(name, "scores", "MatMul", vec![q.clone(), k]);
        if let Some(relative) = relative {
            let table = self.between_pairs(name, "near_keys", relative, shape, &inputs[3]);
            let table = self.transpose(name, "near_keys.turned", &table, &[0, 2, 1]);
            let near = self.by_position(name, "near", &q, &table, [reach, heads, dim, reach]);
            scores = self.step(name, "scores.near", "Add", vec![scores, near]);
        }
        let scale = self.table(name, "scale", &[], &[1.0 / (dim as f32).sqrt()]);
        let mut scores = self.step(name, "scaled", "Mul", vec![scores, scale]);
        if attention.causal {
            let length = attention.reach(shape);
            let mask = causal_mask(length, false);
            let mask = self.table(name, "mask", &[length, length], &mask);
            scores = self.step(name, "masked", "Add", vec![scores, mask]);
        }
        let axis = vec![attr_int("axis", -1)];
        let weights = self.step_with(name, "weights", "Softmax", vec![scores], axis);
        let mut mixed = self.step(name, "mixed", "MatMul", vec![weights.clone(), v]);
        if let Some(relative) = relative {
            let table = self.between_pairs(name, "near_values", relative, shape, &inputs[4]);
            let sizes = [reach, heads, reach, dim];
            let near = self.by_position(name, "mixed_near", &weights, &table, sizes);
            mixed = self.step(name, "mixed.both", "Add", vec![mixed, near]);
        }
        let rows = self.unheads(name, &mixed, reach, heads * dim);
        let rows = self.unwindowed(name, &rows, heads * dim, map, window);
        self.unrows(name, shape, &rows, output);
    }

    /// The embeddings of all pairs of positions, `[L, L, D]`.
    fn between_pairs(
        &mut self,
        name: &str,
        part: &str,
        relative: Relative,
        shape: Shape,
        tables: &str,
    ) -> String {
        let (height, width) = shape.spatial();
        let places = height * width;
        let mut sum = String::new();
        for (axis, indices) in relative.indices(shape).into_iter().enumerate() {
            let own = |step: &str| format!("{part}{axis}.{step}");
            let along = || vec![attr_int("axis", 0)];
            let which = self.whole(name, &own("axis"), &[], &[int(axis)]);
            let operands = vec![tables.to_string(), which];
            let table = self.step_with(name, &own("table"), "Gather", operands, along());
            let indices: Vec<i64> = indices.into_iter().map(int).collect();
            let indices = self.whole(name, &own("distances"), &[places, places], &indices);
            let operands = vec![table, indices];
            let pairs = self.step_with(name, &own("pairs"), "Gather", operands, along());
            sum = match axis {
                0 => pairs,
                _ => self.step(name, part, "Add", vec![sum, pairs]),
            };
        }
        sum
    }

    /// The product of each position's `[B H, A]` of `[B, H, L, A]` with a matrix of
    /// its own, one of `[L, A, ..]`, as `[B, H, L, ..]`.
    fn by_position(
        &mut self,
        name: &str,
        part: &str,
        x: &str,
        table: &str,
        [length, heads, from, to]: [i64; 4],
    ) -> String {
        let own = |step: &str| format!("{part}.{step}");
        let x = self.transpose(name, &own("positions"), x, &[2, 0, 1, 3]);
        let x = self.reshape(name, &own("rows"), &x, &[length, -1, from]);
        let x = self.step(name, &own("product"), "MatMul", vec![x, table.into()]);
        let x = self.transpose(name, &own("batch"), &x, &[1, 0, 2]);
        self.reshape(name, part, &x, &[-1, heads, length, to])
    }

    /// `[B, L, H D]` to heads in the order given by the permutation of
    /// `[B, L, H, D]`.
    fn heads(
        &mut self,
        name: &str,
        part: &str,
        x: &str,
        [length, heads, dim]: [i64; 3],
        perm: &[usize],
    ) -> String {
        let dims = [-1, length, heads, dim];
        let split = self.reshape(name, &format!("{part}.split"), x, &dims);
        self.transpose(name, &format!("{part}.heads"), &split, perm)
    }

    fn unheads(&mut self, name: &str, x: &str, length: i64, channels: i64) -> String {
        let turned = self.transpose(name, "merged", x, &[0, 2, 1, 3]);
        self.reshape(name, "rows", &turned, &[-1, length, channels])
    }

    /// Each of `[B, heads, ..]` for several heads of queries.
    fn repeated(
        &mut self,
        name: &str,
        part: &str,
        x: String,
        heads: i64,
        [own, a, b]: [i64; 3],
    ) -> String {
        if own == heads {
            return x;
        }
        let apart = self.reshape(name, &format!("{part}.apart"), &x, &[-1, own, 1, a, b]);
        let times = self.whole(
            name,
            &format!("{part}.times"),
            &[5],
            &[1, 1, heads / own, 1, 1],
        );
        let repeated = self.step(
            name,
            &format!("{part}.repeated"),
            "Expand",
            vec![apart, times],
        );
        self.reshape(name, &format!("{part}.all"), &repeated, &[-1, heads, a, b])
    }

    fn windowed(
        &mut self,
        name: &str,
        part: &str,
        rows: &str,
        channels: i64,
        (height, width): (usize, usize),
        (down, across): (usize, usize),
    ) -> String {
        if (down, across) == (height, width) {
            return rows.into();
        }
        let (tall, wide) = (int(height / down), int(width / across));
        let (down, across) = (int(down), int(across));
        let parts = ["cut", "windows", "windows.rows"].map(|step| format!("{part}.{step}"));
        let dims = [-1, tall, down, wide, across, channels];
        let area = [-1, down * across, channels];
        self.regrouped(name, parts, rows, &dims, &area)
    }

    fn unwindowed(
        &mut self,
        name: &str,
        rows: &str,
        channels: i64,
        (height, width): (usize, usize),
        (down, across): (usize, usize),
    ) -> String {
        if (down, across) == (height, width) {
            return rows.into();
        }
        let (tall, wide) = (int(height / down), int(width / across));
        let (down, across) = (int(down), int(across));
        let dims = [-1, tall, wide, down, across, channels];
        let area = [-1, int(height * width), channels];
        let parts = ["uncut", "whole", "whole.rows"].map(String::from);
        self.regrouped(name, parts, rows, &dims, &area)
    }

    /// Positions in another order: the third and fourth of six dimensions change
    /// places. `parts` name the three nodes that do it.
    fn regrouped(
        &mut self,
        name: &str,
        [cut, turned, rows]: [String; 3],
        x: &str,
        dims: &[i64; 6],
        area: &[i64; 3],
    ) -> String {
        let x = self.reshape(name, &cut, x, dims);
        let x = self.transpose(name, &turned, &x, &[0, 1, 3, 2, 4, 5]);
        self.reshape(name, &rows, &x, area)
    }

    pub(super) fn linear_attention(
        &mut self,
        name: &str,
        heads: usize,
        causal: bool,
        shape: Shape,
        inputs: Vec<String>,
        output: String,
    ) {
        let (height, width) = shape.spatial();
        let length = int(height * width);
        let (channels, heads) = (int(shape.channels()), int(heads));
        let dim = channels / heads;
        let mut parts = Vec::new();
        for (part, x) in ["q", "k", "v"].iter().zip(&inputs) {
            let rows = self.rows(name, part, shape, x);
            let split = self.heads(name, part, &rows, [length, heads, dim], &[0, 2, 1, 3]);
            parts.push(match *part {
                "v" => split,
                _ => {
                    let elu = self.step(name, &format!("{part}.elu"), "Elu", vec![split]);
                    let one = self.constant("const.one", 1.0);
                    self.step(name, &format!("{part}.positive"), "Add", vec![elu, one])
                }
            });
        }
        let [q, k, v] = <[String; 3]>::try_from(parts).expect("three parts");
        let mixed = if causal {
            // States after each position: running sums of keys times values.
            let column = [-1, heads, length, dim, 1];
            let row = [-1, heads, length, 1, dim];
            let keys = self.reshape(name, "k.column", &k, &column);
            let values = self.reshape(name, "v.row", &v, &row);
            let products = self.step(name, "products", "Mul", vec![keys, values]);
            let axis = self.whole(name, "axis", &[], &[2]);
            let states = self.step(name, "states", "CumSum", vec![products, axis.clone()]);
            let seen = self.step(name, "seen", "CumSum", vec![k, axis]);
            let queries = self.reshape(name, "q.row", &q, &row);
            let mixed = self.step(name, "mixed", "MatMul", vec![queries, states]);
            let mixed = self.reshape(name, "mixed.rows", &mixed, &[-1, heads, length, dim]);
            let weighed = self.step(name, "weighed", "Mul", vec![q, seen]);
            let last = self.whole(name, "last", &[1], &[-1]);
            let keep = vec![attr_int("keepdims", 1)];
            let norm = self.step_with(name, "norm", "ReduceSum", vec![weighed, last], keep);
            self.step(name, "normal", "Div", vec![mixed, norm])
        } else {
            let turned = self.transpose(name, "k.turned", &k, &[0, 1, 3, 2]);
            let last = self.whole(name, "last", &[1], &[-1]);
            let keep = vec![attr_int("keepdims", 1)];
            let operands = vec![turned.clone(), last];
            let total = self.step_with(name, "total", "ReduceSum", operands, keep);
            let state = self.step(name, "state", "MatMul", vec![turned, v]);
            let mixed = self.step(name, "mixed", "MatMul", vec![q.clone(), state]);
            let norm = self.step(name, "norm", "MatMul", vec![q, total]);
            self.step(name, "normal", "Div", vec![mixed, norm])
        };
        let rows = self.unheads(name, &mixed, length, channels);
        self.unrows(name, shape, &rows, output);
    }

    pub(super) fn rotary(
        &mut self,
        name: &str,
        heads: usize,
        shape: Shape,
        inputs: Vec<String>,
        output: String,
    ) {
        let (length, channels) = (shape.length(), shape.channels());
        let half = channels / heads / 2;
        let (cos, sin) = rotary_angles(length, half);
        let dims = [length, 1, half];
        let cos = self.table(name, "cos", &dims, &cos);
        let sin = self.table(name, "sin", &dims, &sin);
        let dims = [-1, int(length), int(heads), int(2 * half)];
        let x = self.reshape(name, "split", &inputs[0], &dims);
        let axes = self.whole(name, "axis", &[1], &[3]);
        let part = |this: &mut Self, part: &str, from: usize| {
            let start = this.whole(name, &format!("{part}.start"), &[1], &[int(from)]);
            let end = this.whole(name, &format!("{part}.end"), &[1], &[int(from + half)]);
            let inputs = vec![x.clone(), start, end, axes.clone()];
            this.step(name, part, "Slice", inputs)
        };
        let first = part(self, "first", 0);
        let second = part(self, "second", half);
        let a = self.step(name, "first.cos", "Mul", vec![first.clone(), cos.clone()]);
        let b = self.step(name, "second.sin", "Mul", vec![second.clone(), sin.clone()]);
        let left = self.step(name, "left", "Sub", vec![a, b]);
        let a = self.step(name, "second.cos", "Mul", vec![second, cos]);
        let b = self.step(name, "first.sin", "Mul", vec![first, sin]);
        let right = self.step(name, "right", "Add", vec![a, b]);
        let axis = vec![attr_int("axis", 3)];
        let turned = self.step_with(name, "turned", "Concat", vec![left, right], axis);
        let dims = self.whole(name, "dims", &[3], &[-1, int(length), int(channels)]);
        self.emit(name, "Reshape", vec![turned, dims], vec![], output);
    }

    /// A learned token before the others, for every sample of the batch: the
    /// first one times zero has the batch's size.
    pub(super) fn class_token(&mut self, name: &str, inputs: Vec<String>, output: String) {
        let (x, token) = (inputs[0].clone(), inputs[1].clone());
        let start = self.whole(name, "start", &[1], &[0]);
        let end = self.whole(name, "end", &[1], &[1]);
        let axis = self.whole(name, "axis", &[1], &[1]);
        let first = self.step(name, "first", "Slice", vec![x.clone(), start, end, axis]);
        let zero = self.constant("const.zero", 0.0);
        let blank = self.step(name, "blank", "Mul", vec![first, zero]);
        let token = self.step(name, "token", "Add", vec![blank, token]);
        let axis = vec![attr_int("axis", 1)];
        self.emit(name, "Concat", vec![token, x], axis, output);
    }

    pub(super) fn transpose(&mut self, name: &str, part: &str, x: &str, perm: &[usize]) -> String {
        let perm = vec![attr_ints("perm", perm)];
        self.step_with(name, part, "Transpose", vec![x.into()], perm)
    }

    /// `0` keeps a dimension, `-1` is what remains.
    pub(super) fn reshape(&mut self, name: &str, part: &str, x: &str, dims: &[i64]) -> String {
        let shape = self.whole(name, &format!("{part}.dims"), &[dims.len()], dims);
        self.step(name, part, "Reshape", vec![x.into(), shape])
    }

    /// A constant of floats of the node's own.
    pub(super) fn table(&mut self, name: &str, part: &str, dims: &[usize], data: &[f32]) -> String {
        let name = format!("{name}.{part}");
        self.initializers.push(tensor(&name, dims, data));
        name
    }

    /// A constant of whole numbers of the node's own.
    pub(super) fn whole(&mut self, name: &str, part: &str, dims: &[usize], data: &[i64]) -> String {
        let name = format!("{name}.{part}");
        self.initializers.push(whole_tensor(&name, dims, data));
        name
    }
}

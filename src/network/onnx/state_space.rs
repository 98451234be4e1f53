//! The state space of Mamba-2 in ONNX, from operators of set 13: in chunks, as
//! products of matrices (Dao & Gu 2024, section 6), so that no engine has to
//! loop over positions.

use super::lower::Lowering;
use super::proto::{attr_ints, int};
use crate::network::{Shape, StateSpace, causal_mask};

/// Sizes of one lowering. Samples and chunks together are the batch (`M`) of
/// most steps.
#[derive(Clone, Copy)]
struct Sizes {
    length: i64,
    chunk: i64,
    chunks: i64,
    heads: i64,
    /// Channels of a head.
    head: i64,
    state: i64,
    inner: i64,
}

impl Lowering<'_> {
    /// Inputs: `x B C`, the step sizes, the logarithms of the rates, the skip,
    /// the bias of the step sizes.
    pub(super) fn state_space(
        &mut self,
        name: &str,
        space: StateSpace,
        from: Shape,
        inputs: Vec<String>,
        output: String,
    ) {
        let inner = space.inner(from.channels());
        let head = inner / space.heads;
        let chunk = space.chunk(from.length(), head);
        let s = Sizes {
            length: int(from.length()),
            chunk: int(chunk),
            chunks: int(from.length() / chunk),
            heads: int(space.heads),
            head: int(head),
            state: int(space.state),
            inner: int(inner),
        };
        let x = self.slice(name, "x", &inputs[0], 2, [0, s.inner]);
        let b = self.slice(name, "b", &inputs[0], 2, [s.inner, s.inner + s.state]);
        let end = s.inner + 2 * s.state;
        let c = self.slice(name, "c", &inputs[0], 2, [s.inner + s.state, end]);
        let step = vec![inputs[1].clone(), inputs[4].clone()];
        let step = self.step(name, "step.biased", "Add", step);
        let step = self.step(name, "step", "Softplus", vec![step]);
        let rate = self.step(name, "rate", "Exp", vec![inputs[2].clone()]);
        let rate = self.step(name, "rate.negative", "Neg", vec![rate]);
        // Logarithms of the decay since the chunk's beginning, [M, H, Q].
        let decay = self.step(name, "decay", "Mul", vec![step.clone(), rate]);
        let decay = self.reshape(name, "decay.chunks", &decay, &[-1, s.chunk, s.heads]);
        let decay = self.transpose(name, "decay.heads", &decay, &[0, 2, 1]);
        let axis = self.whole(name, "positions", &[], &[2]);
        let decay = self.step(name, "decayed", "CumSum", vec![decay, axis]);
        let x = self.reshape(name, "x.heads", &x, &[-1, s.chunk, s.heads, s.head]);
        let step = self.reshape(name, "step.heads", &step, &[-1, s.chunk, s.heads, 1]);
        let taken = self.step(name, "taken", "Mul", vec![x.clone(), step]);
        let taken = self.transpose(name, "taken.heads", &taken, &[0, 2, 1, 3]);
        let b = self.reshape(name, "b.chunks", &b, &[-1, s.chunk, s.state]);
        let b = self.transpose(name, "b.turned", &b, &[0, 2, 1]);
        let c = self.reshape(name, "c.chunks", &c, &[-1, s.chunk, s.state]);
        let mut y = self.within_chunks(name, s, &decay, &taken, &b, &c);
        if s.chunks > 1 {
            let across = self.across_chunks(name, s, &decay, &taken, &b, &c);
            y = self.step(name, "both", "Add", vec![y, across]);
        }
        let skip = self.reshape(name, "skip.column", &inputs[3], &[s.heads, 1]);
        let skipped = self.step(name, "skipped", "Mul", vec![x, skip]);
        let y = self.step(name, "sum", "Add", vec![y, skipped]);
        let dims = self.whole(name, "dims", &[3], &[-1, s.length, s.inner]);
        self.emit(name, "Reshape", vec![y, dims], vec![], output);
    }

    /// What positions give to later ones of their chunk, `[M, Q, H, P]`.
    fn within_chunks(
        &mut self,
        name: &str,
        s: Sizes,
        decay: &str,
        taken: &str,
        b: &str,
        c: &str,
    ) -> String {
        let kept = self.kept(name, "kept", [decay, decay], [s.heads, s.chunk], false);
        let alike = self.step(name, "alike", "MatMul", vec![c.into(), b.into()]);
        let alike = self.reshape(name, "alike.heads", &alike, &[-1, 1, s.chunk, s.chunk]);
        let weights = self.step(name, "weights", "Mul", vec![kept, alike]);
        let within = self.step(name, "within", "MatMul", vec![weights, taken.into()]);
        self.transpose(name, "within.rows", &within, &[0, 2, 1, 3])
    }

    /// What the states at the end of chunks give to later chunks,
    /// `[M, Q, H, P]`.
    fn across_chunks(
        &mut self,
        name: &str,
        s: Sizes,
        decay: &str,
        taken: &str,
        b: &str,
        c: &str,
    ) -> String {
        let last = self.slice(name, "last", decay, 2, [s.chunk - 1, s.chunk]);
        let left = vec![last.clone(), decay.into()];
        let left = self.step(name, "left.log", "Sub", left);
        let left = self.step(name, "left", "Exp", vec![left]);
        let left = self.reshape(name, "left.column", &left, &[-1, s.heads, s.chunk, 1]);
        let given = self.step(name, "given", "Mul", vec![taken.into(), left]);
        let given = self.transpose(name, "given.positions", &given, &[0, 2, 1, 3]);
        let given = self.reshape(name, "given.rows", &given, &[-1, s.chunk, s.inner]);
        let states = self.step(name, "states", "MatMul", vec![b.into(), given]);
        // From one state a chunk to all states of a head, and back.
        let dims = [-1, s.chunks, s.state, s.heads, s.head];
        let states = self.reshape(name, "states.apart", &states, &dims);
        let states = self.transpose(name, "states.heads", &states, &[0, 3, 1, 2, 4]);
        let dims = [-1, s.heads, s.chunks, s.state * s.head];
        let states = self.reshape(name, "states.rows", &states, &dims);
        let total = self.reshape(name, "total", &last, &[-1, s.chunks, s.heads]);
        let total = self.transpose(name, "total.heads", &total, &[0, 2, 1]);
        let axis = self.whole(name, "chunks", &[], &[2]);
        let past = self.step(name, "past", "CumSum", vec![total.clone(), axis]);
        let before = self.step(name, "before", "Sub", vec![past.clone(), total]);
        let sizes = [s.heads, s.chunks];
        let handed = self.kept(name, "handed", [&before, &past], sizes, true);
        let entering = self.step(name, "entering", "MatMul", vec![handed, states]);
        let dims = [-1, s.heads, s.chunks, s.state, s.head];
        let entering = self.reshape(name, "entering.apart", &entering, &dims);
        let entering = self.transpose(name, "entering.chunks", &entering, &[0, 2, 3, 1, 4]);
        let dims = [-1, s.state, s.inner];
        let entering = self.reshape(name, "entering.rows", &entering, &dims);
        let across = self.step(name, "across", "MatMul", vec![c.into(), entering]);
        let dims = [-1, s.chunk, s.heads, s.head];
        let across = self.reshape(name, "across.heads", &across, &dims);
        let since = self.step(name, "since", "Exp", vec![decay.into()]);
        let since = self.transpose(name, "since.positions", &since, &[0, 2, 1]);
        let since = self.reshape(name, "since.heads", &since, &[-1, s.chunk, s.heads, 1]);
        self.step(name, "across.decayed", "Mul", vec![across, since])
    }

    /// The share of each earlier place that is left at each later one: the
    /// exponential of the difference of logarithms, 0 where later is not later.
    fn kept(
        &mut self,
        name: &str,
        part: &str,
        [later, earlier]: [&str; 2],
        [heads, places]: [i64; 2],
        strictly: bool,
    ) -> String {
        let own = |step: &str| format!("{part}.{step}");
        let column = self.reshape(name, &own("later"), later, &[-1, heads, places, 1]);
        let row = self.reshape(name, &own("earlier"), earlier, &[-1, heads, 1, places]);
        let log = self.step(name, &own("log"), "Sub", vec![column, row]);
        let size = usize::try_from(places).expect("made from a size");
        let mask = causal_mask(size, strictly);
        let mask = self.table(name, &own("mask"), &[size, size], &mask);
        let log = self.step(name, &own("masked"), "Add", vec![log, mask]);
        self.step(name, part, "Exp", vec![log])
    }

    /// Places `from..to` along an axis.
    pub(super) fn slice(
        &mut self,
        name: &str,
        part: &str,
        x: &str,
        axis: i64,
        [from, to]: [i64; 2],
    ) -> String {
        let start = self.whole(name, &format!("{part}.start"), &[1], &[from]);
        let end = self.whole(name, &format!("{part}.end"), &[1], &[to]);
        let axis = self.whole(name, &format!("{part}.axis"), &[1], &[axis]);
        self.step(name, part, "Slice", vec![x.into(), start, end, axis])
    }

    /// An operator of windows, between a turn to channels first and back.
    pub(super) fn over_positions(
        &mut self,
        name: &str,
        op: &str,
        mut inputs: Vec<String>,
        attributes: Vec<tract_onnx::pb::AttributeProto>,
        output: String,
    ) {
        inputs[0] = self.transpose(name, "channels_first", &inputs[0], &[0, 2, 1]);
        let out = self.step_with(name, "windows", op, inputs, attributes);
        let back = vec![attr_ints("perm", &[0, 2, 1])];
        self.emit(name, "Transpose", vec![out], back, output);
    }
}

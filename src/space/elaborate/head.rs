//! What a file says before its network: the input, what is required of every
//! architecture, and the bit widths operators carry.

use super::*;
use crate::network::MAX_NUMBERS;

/// The largest side of an image and the longest sequence.
const MAX_EXTENT: i64 = 1 << 20;
/// Resolutions or lengths one space may choose from.
const MAX_INPUTS: usize = 1_000;

impl<'a> Elaborator<'a> {
    /// The shapes a sample may have and, where there are several, the step that
    /// decides. A problem is noted, and nothing returned then.
    pub(super) fn input(
        &mut self,
        input: &Input,
        span: Span,
    ) -> Option<(Vec<Shape>, Option<Step>)> {
        let result = match input {
            Input::Image(dims) => Ok((vec![Shape::image(dims[0], dims[1], dims[2])], None)),
            Input::Sequence(dims) => Ok((vec![Shape::tokens(dims[0], dims[1])], None)),
            Input::Tabular(features) => Ok((vec![Shape::vector(*features as usize)], None)),
            Input::Square(channels, sides) => self.extents("resolution", sides, span, |side| {
                Shape::image(*channels, side, side)
            }),
            Input::Tokens { length, .. } => self.extents("length", length, span, Shape::ids),
        };
        let result = result.and_then(|(shapes, step)| {
            match shapes.iter().find(|s| s.elements() as u64 > MAX_NUMBERS) {
                None => Ok((shapes, step)),
                Some(shape) => Err(Problem::new(
                    span,
                    format!(
                        "one sample of {shape} is more than 2^{} numbers",
                        MAX_NUMBERS.ilog2()
                    ),
                    "too large",
                )),
            }
        });
        result.map_err(|problem| self.problems.push(problem)).ok()
    }

    fn extents(
        &mut self,
        name: &str,
        sizes: &Expr,
        span: Span,
        shape: impl Fn(usize) -> Shape,
    ) -> Elab<(Vec<Shape>, Option<Step>)> {
        let sizes = match &sizes.kind {
            ExprKind::Choice(values) => values.as_slice(),
            _ => std::slice::from_ref(sizes),
        };
        let mut known: Vec<i64> = Vec::new();
        for size in sizes {
            let value = self.constant(size, name)?.as_int();
            match value {
                Some(v) if known.contains(&v) => {
                    return Err(Problem::new(
                        size.span,
                        format!("the {name} {v} stands twice in the choice"),
                        "a repeated value",
                    )
                    .help("each value counts once; remove one"));
                }
                Some(v) if (1..=MAX_EXTENT).contains(&v) => known.push(v),
                _ => {
                    return Err(Problem::new(
                        size.span,
                        format!("a {name} must be a whole number in 1..{MAX_EXTENT}"),
                        "not such a number",
                    ));
                }
            }
        }
        if known.len() > MAX_INPUTS {
            return Err(Problem::new(
                span,
                format!("more than {MAX_INPUTS} values of the {name}"),
                "too many",
            ));
        }
        let shapes: Vec<Shape> = known.iter().map(|v| shape(*v as usize)).collect();
        if shapes.len() == 1 {
            return Ok((shapes, None));
        }
        let labels = known.iter().map(i64::to_string).collect();
        let path = self.segment(name);
        let choice = self.choice(path, ChoiceKind::Resolution, labels, span)?;
        let step = self.step(StepKind::Input(choice, shapes.clone()), span)?;
        Ok((shapes, Some(step)))
    }

    /// A value that no choice decides.
    fn constant(&mut self, expr: &Expr, what: &str) -> Elab<Value> {
        let mut steps = Vec::new();
        match self.expr(expr, what, &mut steps)? {
            Term::Const(value) if steps.is_empty() => Ok(value),
            _ => Err(Problem::new(
                expr.span,
                format!("the {what} must be a constant"),
                "not a constant",
            )),
        }
    }

    /// Wrong ones are noted and left out.
    pub(super) fn constraints(&mut self, requires: &[Require]) -> Vec<Constraint> {
        let mut constraints = Vec::new();
        for require in requires {
            match self.constraint(require) {
                Ok(constraint) => constraints.push(constraint),
                Err(problem) => self.problems.push(problem),
            }
        }
        constraints
    }

    fn constraint(&mut self, require: &Require) -> Elab<Constraint> {
        let Some(metric) = Metric::by_name(&require.metric.text) else {
            unreachable!("the parser takes known costs only")
        };
        let bound = match self.constant(&require.bound, "bound")?.as_f64() {
            Some(bound) if bound >= 0.0 => bound,
            _ => {
                return Err(Problem::new(
                    require.bound.span,
                    "a bound must be a number of at least 0",
                    "not such a number",
                ));
            }
        };
        Ok(Constraint {
            metric,
            sign: require.sign,
            bound,
            span: require.span,
        })
    }

    /// `precision(weights: {4, 8}, activations: 8)`.
    pub(super) fn precision(&mut self, call: &'a Call, out: &mut Vec<Step>) -> Elab<()> {
        let names = ["weights", "activations"];
        let given = self.match_args(call, &names)?;
        let mut terms = Vec::new();
        for (arg, name) in given.into_iter().zip(names) {
            terms.push(match arg {
                Some(arg) => self.expr(&arg.value, name, out)?,
                None => Term::Const(Value::Int(32)),
            });
        }
        let [weights, activations] = <[Term; 2]>::try_from(terms).expect("two names");
        let step = self.step(StepKind::Precision(weights, activations), call.span)?;
        out.push(step);
        Ok(())
    }
}

//! A plugin's output beside tract's.

use super::PluginSession;
use crate::device::{Deployable, ProbeError, Session, infer};
use crate::network::Array;

/// Greatest difference to tract's output, as a fraction of the greatest output
/// (or of one where that is smaller): 32-bit floats, in another order.
pub const OUTPUT_TOLERANCE: f64 = 1e-3;

/// The greatest difference between the session's output and tract's, as a
/// fraction of the greatest output; `None` where it tells none.
pub(super) fn compare(
    session: &mut PluginSession,
    model: &Deployable,
) -> Result<Option<f64>, String> {
    let text = |e: ProbeError| e.to_string();
    let Some(theirs) = session.output().map_err(text)? else {
        return Ok(None);
    };
    let ours = expected(model).map_err(text)?;
    let equal_elements = theirs.data.len() == ours.data.len();
    if !equal_elements || theirs.dims.first() != ours.dims.first() {
        return Err(format!(
            "its shape is {:?}, but the network's is {:?}",
            theirs.dims, ours.dims
        ));
    }
    let pairs = theirs.data.iter().zip(&ours.data);
    let difference = pairs.fold(0.0, |d: f64, (a, b)| {
        let this = f64::from((a - b).abs());
        // A NaN counts as any difference.
        if this.is_nan() {
            f64::INFINITY
        } else {
            d.max(this)
        }
    });
    let scale = ours
        .data
        .iter()
        .fold(1.0, |m: f64, v| m.max(f64::from(v.abs())));
    let difference = difference / scale;
    match difference <= OUTPUT_TOLERANCE {
        true => Ok(Some(difference)),
        false => Err(format!(
            "it differs from tract's by {difference:.2e} of the greatest value; the input is in \
             `input.path`, raw little-endian numbers, batch first, channels before rows"
        )),
    }
}

fn expected(model: &Deployable) -> Result<Array, ProbeError> {
    let network = model.network();
    let mut dims = vec![1];
    dims.extend(network.input_shape().dims());
    let data = network.example(1, 0);
    infer(model.onnx()?, &Array { dims, data })
}

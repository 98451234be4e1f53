//! The constant tables of position encodings, the same for every consumer.

/// Sines and cosines of Vaswani et al. 2017, `[length, channels]`: even
/// channels hold sines, odd ones cosines.
pub fn sinusoids(length: usize, channels: usize) -> Vec<f32> {
    let mut table = Vec::with_capacity(length * channels);
    for position in 0..length {
        for channel in 0..channels {
            let exponent = (channel / 2 * 2) as f64 / channels as f64;
            let angle = position as f64 / 10_000f64.powf(exponent);
            let value = match channel % 2 {
                0 => angle.sin(),
                _ => angle.cos(),
            };
            table.push(value as f32);
        }
    }
    table
}

/// Cosines and sines of rotary embedding (Su et al. 2021), each
/// `[length, half]` for heads of `2 * half` channels.
pub fn rotary_angles(length: usize, half: usize) -> (Vec<f32>, Vec<f32>) {
    let angles = (0..length).flat_map(|position| {
        (0..half).map(move |i| position as f64 / 10_000f64.powf(i as f64 / half as f64))
    });
    angles.map(|a| (a.cos() as f32, a.sin() as f32)).unzip()
}

/// What is added to scores or logarithms of `[length, length]` so that places
/// (rows) see earlier ones and, unless `strictly`, themselves: far below any
/// score elsewhere, and finite, as engines differ on infinities.
pub fn causal_mask(length: usize, strictly: bool) -> Vec<f32> {
    let hidden = |row: usize, column: usize| match strictly {
        true => column >= row,
        false => column > row,
    };
    (0..length * length)
        .map(|i| {
            if hidden(i / length, i % length) {
                -1e9
            } else {
                0.0
            }
        })
        .collect()
}

//! Bilinear resizing of image planes, for networks that take another resolution
//! than the data have.

/// Resizes planes of one size to another. Pixels are areas, their centres at
/// halves; where an image shrinks, the triangle that weighs its pixels widens
/// with them, so that none is skipped (as Pillow does; Heckbert 1989).
pub(super) struct Resize {
    rows: Vec<Taps>,
    columns: Vec<Taps>,
    from: (usize, usize),
}

/// What one output pixel sees along an axis: neighbours and their weights, which
/// sum to 1.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

impl Resize {
    /// Sizes are height and width.
    pub fn new(from: (usize, usize), to: (usize, usize)) -> Self {
        Resize {
            rows: taps(from.0, to.0),
            columns: taps(from.1, to.1),
            from,
        }
    }

    /// Appends the resized plane to `out`, row by row.
    pub fn plane(&self, plane: &[f32], out: &mut Vec<f32>) {
        let (height, width) = self.from;
        let narrow: Vec<f32> = plane
            .chunks_exact(width)
            .flat_map(|row| self.columns.iter().map(|taps| taps.of(row, 1, 0)))
            .collect();
        debug_assert_eq!(plane.len(), height * width);
        let width = self.columns.len();
        for taps in &self.rows {
            out.extend((0..width).map(|x| taps.of(&narrow, width, x)));
        }
    }
}

impl Taps {
    /// The weighted sum of the values `stride` apart, from `offset`.
    fn of(&self, values: &[f32], stride: usize, offset: usize) -> f32 {
        let seen = values[offset + self.first * stride..]
            .iter()
            .step_by(stride);
        seen.zip(&self.weights).map(|(x, w)| x * w).sum()
    }
}

fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    (0..to)
        .map(|at| {
            let centre = (at as f64 + 0.5) * scale;
            let first = (centre - reach).max(0.0) as usize;
            let last = ((centre + reach).ceil() as usize).min(from);
            let weights: Vec<f64> = (first..last)
                .map(|pixel| {
                    let distance = (pixel as f64 + 0.5 - centre).abs() / reach;
                    (1.0 - distance).max(0.0)
                })
                .collect();
            let total: f64 = weights.iter().sum();
            let weights = weights.iter().map(|w| (w / total) as f32).collect();
            Taps { first, weights }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resized(plane: &[f32], from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
        let mut out = Vec::new();
        Resize::new(from, to).plane(plane, &mut out);
        out
    }

    #[track_caller]
    fn assert_close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{found:?} is not {expected:?}");
        }
    }

    #[test]
    fn enlarging_interpolates_between_centres() {
        // What PyTorch's `interpolate(mode="bilinear")` gives for one row.
        assert_close(&resized(&[0.0, 4.0], (1, 2), (1, 4)), &[0.0, 1.0, 3.0, 4.0]);
        assert_close(
            &resized(&[0.0, 1.0, 2.0, 3.0], (2, 2), (3, 3)),
            &[0.0, 0.5, 1.0, 1.0, 1.5, 2.0, 2.0, 2.5, 3.0],
        );
    }

    #[test]
    fn shrinking_skips_no_pixel() {
        // A triangle of twice the width weighs 1, 3, 3 and 1; the border cuts one
        // of them off.
        let found = resized(&[7.0, 0.0, 14.0, 0.0], (1, 4), (1, 2));
        assert_close(&found, &[5.0, 6.0]);
        let checks: Vec<f32> = (0..64).map(|i| ((i + i / 8) % 2) as f32).collect();
        for x in resized(&checks, (8, 8), (3, 3)) {
            assert!((x - 0.5).abs() < 0.06, "{x}");
        }
    }

    #[test]
    fn the_same_size_changes_nothing_and_constants_stay() {
        let plane: Vec<f32> = (0..12).map(|x| x as f32).collect();
        assert_eq!(resized(&plane, (3, 4), (3, 4)), plane);
        assert_close(&resized(&[0.25; 15], (5, 3), (7, 2)), &[0.25; 14]);
    }
}

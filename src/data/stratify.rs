//! Class-aware choices of images that need no randomness: which to hold out
//! for validation, and which to keep when a split is limited.

/// How many images of the same class come before each image.
fn ranks(labels: &[u8]) -> Vec<usize> {
    let mut seen = [0usize; 256];
    labels
        .iter()
        .map(|&label| {
            let rank = seen[label as usize];
            seen[label as usize] += 1;
            rank
        })
        .collect()
}

/// Splits into (kept, held out): of every class each `period`-th image is held
/// out, so that proportions stay. Both are in ascending order.
pub(super) fn hold_out(labels: &[u8], period: usize) -> (Vec<usize>, Vec<usize>) {
    let ranks = ranks(labels);
    (0..labels.len()).partition(|&index| ranks[index] % period != period - 1)
}

/// At most `limit` indices in ascending order, taken one class after another,
/// so that classes differ by one image at most while they last.
pub(super) fn balanced(labels: &[u8], limit: usize) -> Vec<usize> {
    let ranks = ranks(labels);
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by_key(|&index| (ranks[index], labels[index]));
    order.truncate(limit);
    order.sort_unstable();
    order
}

//! Memory of feature maps, used again. A training step needs the same buffers as
//! the one before; given back to the system in between, each would be cleared
//! page by page by the kernel as it is first touched, which costs more than many
//! an operator.

use std::cell::RefCell;

/// Floats below which a buffer is not kept.
const SMALLEST: usize = 4096;
/// A buffer that so many requests could not use is freed.
const PATIENCE: u64 = 1024;

/// What one thread keeps.
#[derive(Default)]
struct Kept {
    /// With the number of requests before it was given back, in that order.
    free: Vec<(u64, Vec<f32>)>,
    requests: u64,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// A buffer with any numbers in it, to be written over.
pub(super) fn take(len: usize) -> Vec<f32> {
    let kept = (len >= SMALLEST).then(|| KEPT.with_borrow_mut(|kept| kept.take(len)));
    match kept.flatten() {
        Some(mut buffer) => {
            buffer.resize(len, 0.0);
            buffer
        }
        None => vec![0.0; len],
    }
}

/// A buffer of zeros.
pub(super) fn zeroed(len: usize) -> Vec<f32> {
    let kept = (len >= SMALLEST).then(|| KEPT.with_borrow_mut(|kept| kept.take(len)));
    match kept.flatten() {
        Some(mut buffer) => {
            buffer.clear();
            buffer.resize(len, 0.0);
            buffer
        }
        // The system's pages are zero as they come.
        None => vec![0.0; len],
    }
}

/// Keeps a buffer for this thread.
pub(super) fn give(buffer: Vec<f32>) {
    if buffer.capacity() >= SMALLEST {
        KEPT.with_borrow_mut(|kept| kept.give(buffer));
    }
}

/// Frees what this thread keeps.
pub(super) fn clear() {
    KEPT.with_borrow_mut(|kept| kept.free.clear());
}

impl Kept {
    /// The buffer given back last of those that hold `len` floats and not much
    /// more: it is the likeliest to be in the cache.
    fn take(&mut self, len: usize) -> Option<Vec<f32>> {
        self.requests += 1;
        let fits =
            |(_, buffer): &(u64, Vec<f32>)| (len..=len + len / 8).contains(&buffer.capacity());
        let place = self.free.iter().rposition(fits)?;
        Some(self.free.remove(place).1)
    }

    fn give(&mut self, buffer: Vec<f32>) {
        let old = |(at, _): &(u64, Vec<f32>)| at + PATIENCE < self.requests;
        let first = self.free.iter().position(|b| !old(b));
        self.free.drain(..first.unwrap_or(self.free.len()));
        self.free.push((self.requests, buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_for_what_fits_and_freed_when_nothing_does() {
        clear();
        let mut buffer = take(8192);
        buffer.fill(1.0);
        let place = buffer.as_ptr();
        give(buffer);
        // Much smaller ones are not cut from it.
        let smaller = take(5000);
        assert_ne!(smaller.as_ptr(), place);
        let again = zeroed(8000);
        assert_eq!(again.as_ptr(), place);
        assert!(again.len() == 8000 && again.iter().all(|x| *x == 0.0));
        give(again);
        for _ in 0..=PATIENCE {
            give(take(SMALLEST));
        }
        KEPT.with_borrow(|kept| assert_eq!(kept.free.len(), 1));
        clear();
        KEPT.with_borrow(|kept| assert!(kept.free.is_empty()));
    }
}

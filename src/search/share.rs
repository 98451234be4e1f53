//! How the processes of one search share its candidates: each is taken on a
//! lease before it is trained, so that nothing is trained twice while its
//! worker lives, and another takes it where a worker died. Who asks and tells
//! the strategy is one process; the others only train.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::{RunId, Store, worker_name};

/// How long a worker keeps what it took without a sign of life.
pub const LEASE: Duration = Duration::from_secs(60);

/// How often is looked for what other processes have done.
pub(super) const LOOK: Duration = Duration::from_millis(300);

/// This process as a worker of a run.
pub(super) struct Worker {
    pub name: String,
    /// Length of its leases.
    pub lease: Duration,
}

impl Worker {
    pub fn new(lease: Duration) -> Self {
        Worker {
            name: worker_name(),
            lease,
        }
    }

    /// Renews this worker's leases while `work` lasts, and gives back what it
    /// still has afterwards.
    pub fn keeping<T>(&self, store: &Store, run: &RunId, work: impl FnOnce() -> T) -> T {
        let ended = (Mutex::new(false), Condvar::new());
        let lock =
            |m| -> MutexGuard<'_, bool> { Mutex::lock(m).unwrap_or_else(PoisonError::into_inner) };
        let done = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut is_over = lock(&ended.0);
                while !*is_over {
                    let waited = ended.1.wait_timeout(is_over, self.lease / 3);
                    is_over = waited.unwrap_or_else(PoisonError::into_inner).0;
                    // Missed once, it is tried again before the lease ends.
                    let _ = store.renew(run, &self.name, self.lease);
                }
            });
            // Ends the renewing even where the work panics.
            let _over = Over(&ended);
            work()
        });
        let _ = store.release(run, &self.name);
        done
    }
}

struct Over<'a>(&'a (Mutex<bool>, Condvar));

impl Drop for Over<'_> {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }
}

/// So many may train at the same time; who was asked for first is first.
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    free: usize,
    waiting: BTreeSet<u64>,
}

/// Leave to train, until dropped.
pub(super) struct Turn<'a>(&'a Turns);

impl Turns {
    pub fn new(at_once: usize) -> Self {
        Turns {
            state: Mutex::new(State {
                free: at_once.max(1),
                waiting: BTreeSet::new(),
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn of a candidate, at most so long.
    pub fn wait(&self, candidate: u64, at_most: Duration, stop: &AtomicBool) -> Option<Turn<'_>> {
        let mut state = self.lock();
        state.waiting.insert(candidate);
        let until = std::time::Instant::now() + at_most;
        loop {
            let is_first = state.waiting.first() == Some(&candidate);
            if state.free > 0 && is_first {
                state.free -= 1;
                state.waiting.remove(&candidate);
                drop(state);
                self.changed.notify_all();
                return Some(Turn(self));
            }
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() || stop.load(Ordering::Relaxed) {
                state.waiting.remove(&candidate);
                drop(state);
                self.changed.notify_all();
                return None;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().free += 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_taken_in_the_order_of_asking() {
        let turns = Turns::new(1);
        let stop = AtomicBool::new(false);
        let long = Duration::from_secs(60);
        let order = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let first = turns.wait(0, long, &stop).unwrap();
            for candidate in [3, 1, 2] {
                let (turns, stop, order) = (&turns, &stop, &order);
                scope.spawn(move || {
                    let turn = turns.wait(candidate, long, stop);
                    order.lock().unwrap().push(candidate);
                    drop(turn);
                });
            }
            while turns.lock().waiting.len() < 3 {
                std::thread::yield_now();
            }
            assert!(turns.wait(9, Duration::ZERO, &stop).is_none());
            drop(first);
        });
        assert_eq!(order.into_inner().unwrap(), [1, 2, 3]);
    }
}

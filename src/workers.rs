//! Worker threads for evaluations side by side. A small network leaves most of
//! a many-threaded operator's time to overhead, so each worker has a rayon pool
//! of its own single thread: cores are used by evaluations and not competed for
//! inside them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};

/// Hands jobs to the workers and takes what comes of them.
pub struct Workers<J, R> {
    jobs: mpsc::Sender<(u64, J)>,
    results: mpsc::Receiver<(u64, std::thread::Result<R>)>,
}

impl<J, R> Workers<J, R> {
    /// Queues a job under a key of the caller's.
    pub fn give(&self, key: u64, job: J) {
        let sent = self.jobs.send((key, job));
        assert!(sent.is_ok(), "the workers wait for jobs");
    }

    /// The next job that ended, by its key, with its panic where it ended in
    /// one. Waits for it, so there must be an open one.
    pub fn take(&self) -> (u64, std::thread::Result<R>) {
        self.results.recv().expect("the workers answer every job")
    }
}

/// Calls `lead` beside so many workers (at least one) that do `work`. Jobs not
/// begun when `lead` returns or panics are dropped; this returns once those
/// under way have ended.
pub fn with_workers<J: Send, R: Send, T>(
    threads: usize,
    work: impl Fn(J) -> R + Sync,
    lead: impl FnOnce(&Workers<J, R>) -> T,
) -> T {
    let (jobs, queue) = mpsc::channel::<(u64, J)>();
    let (done, results) = mpsc::channel();
    let queue = Mutex::new(queue);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let done = done.clone();
            let (queue, work, ended) = (&queue, &work, &ended);
            scope.spawn(move || {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                loop {
                    let next = queue.lock().unwrap_or_else(|e| e.into_inner()).recv();
                    let Ok((key, job)) = next else { break };
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    let result = catch_unwind(AssertUnwindSafe(|| match &pool {
                        Ok(pool) => pool.install(|| work(job)),
                        // Without a pool of its own it is slower, not wrong.
                        Err(_) => work(job),
                    }));
                    if done.send((key, result)).is_err() {
                        break;
                    }
                }
            });
        }
        let workers = Workers { jobs, results };
        let outcome = catch_unwind(AssertUnwindSafe(|| lead(&workers)));
        ended.store(true, Ordering::Relaxed);
        drop(workers);
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Calls `work` with each index below `count`, on so many workers. Results are
/// in order and do not depend on which worker did what.
///
/// # Panics
/// When `work` panics, once what is under way has ended.
pub fn in_parallel<R: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> R + Sync,
) -> Vec<R> {
    let threads = threads.clamp(1, count.max(1));
    with_workers(threads, work, |workers| {
        (0..count).for_each(|index| workers.give(index as u64, index));
        let mut results: Vec<Option<R>> = (0..count).map(|_| None).collect();
        for _ in 0..count {
            match workers.take() {
                (index, Ok(result)) => results[index as usize] = Some(result),
                (_, Err(panic)) => resume_unwind(panic),
            }
        }
        let all: Option<Vec<R>> = results.into_iter().collect();
        all.expect("every index was answered once")
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn results_are_in_order_and_each_has_one_thread() {
        let squares: Vec<usize> = (0..20).map(|i| i * i).collect();
        assert_eq!(in_parallel(20, 3, |i| i * i), squares);
        assert_eq!(in_parallel(2, 1, |_| rayon::current_num_threads()), [1, 1]);
        assert!(in_parallel(0, 4, |i| i).is_empty());
    }

    #[test]
    fn a_panic_is_passed_on_and_drops_what_was_not_begun() {
        let begun = AtomicUsize::new(0);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            in_parallel(1000, 2, |index| {
                begun.fetch_add(1, Ordering::Relaxed);
                match index {
                    0 => panic!("boom"),
                    _ => std::thread::sleep(std::time::Duration::from_millis(5)),
                }
            })
        }));
        let text = *panic.unwrap_err().downcast::<&str>().unwrap();
        assert_eq!(text, "boom");
        assert!(begun.into_inner() < 1000);
    }
}

//! How long a strategy thinks, for searches that want to tell.

use std::time::{Duration, Instant};

use super::{Answer, Candidate, Strategy};

/// A strategy and the wall time spent in it. It asks what the strategy alone
/// would.
pub struct Timed<S: ?Sized> {
    taken: Duration,
    strategy: Box<S>,
}

impl<S: Strategy + ?Sized> Timed<S> {
    /// Makes the strategy, which counts: some look at a pool of candidates.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn new<E>(make: impl FnOnce() -> Result<Box<S>, E>) -> Result<Self, E> {
        let start = Instant::now();
        let strategy = make()?;
        Ok(Timed {
            taken: start.elapsed(),
            strategy,
        })
    }

    /// Time in the strategy so far.
    pub fn taken(&self) -> Duration {
        self.taken
    }
}

impl<S: Strategy + ?Sized> Strategy for Timed<S> {
    fn ask(&mut self, limit: usize) -> Vec<Candidate> {
        let start = Instant::now();
        let asked = self.strategy.ask(limit);
        self.taken += start.elapsed();
        asked
    }

    fn tell(&mut self, id: u64, answer: Answer) {
        let start = Instant::now();
        self.strategy.tell(id, answer);
        self.taken += start.elapsed();
    }

    fn is_exhausted(&self) -> bool {
        self.strategy.is_exhausted()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::toys;
    use super::super::*;

    /// Sleeps where it is asked, and knows nothing to ask for.
    struct Slow;

    impl Strategy for Slow {
        fn ask(&mut self, _: usize) -> Vec<Candidate> {
            std::thread::sleep(std::time::Duration::from_millis(3));
            Vec::new()
        }
        fn tell(&mut self, _: u64, _: Answer) {}
        fn is_exhausted(&self) -> bool {
            true
        }
    }

    #[test]
    fn thinking_is_counted_and_changes_nothing() {
        let mut slow = Timed::new(|| Ok::<_, ()>(Box::new(Slow))).unwrap();
        slow.ask(1);
        slow.tell(0, None);
        assert!(slow.taken() >= std::time::Duration::from_millis(3));
        assert!(slow.is_exhausted());
        let problem = toys::problem(toys::WIDE, &[Metric::Accuracy], &[]);
        let mut plain = build(Kind::Local, problem.clone(), &toys::settings(1)).unwrap();
        let mut timed = Timed::new(|| build(Kind::Local, problem, &toys::settings(1))).unwrap();
        assert_eq!(plain.ask(5), timed.ask(5));
    }
}

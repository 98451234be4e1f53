//! The ways through a space as a circuit: a decision, one thing after another,
//! or one of several. The circuit counts its ways exactly, and the way with a
//! given index is found by going down it once, so that an index drawn uniformly
//! gives an architecture drawn uniformly.

use num_bigint::BigUint;
use rand::{Rng, RngExt};

use crate::space::FastMap;
use crate::space::step::ChoiceId;

/// Decisions, in no particular order; a shared one may occur repeatedly.
pub type Decisions = Vec<(ChoiceId, usize)>;

/// Index of a part of the circuit. Equal parts have equal indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaysId(u32);

/// One way, which decides nothing.
pub const NOTHING: WaysId = WaysId(0);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Ways {
    Nothing,
    Decision(u32, u32),
    /// Every way of the first with every way of the second, which varies
    /// fastest.
    Both(WaysId, WaysId),
    /// The ways of each in turn; no way is in two of them.
    Either(Box<[WaysId]>),
}

/// How many ways: most numbers are small, and arithmetic on those is fast.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Count {
    Few(u128),
    Many(BigUint),
}

impl Count {
    fn big(&self) -> BigUint {
        match self {
            Count::Few(n) => BigUint::from(*n),
            Count::Many(n) => n.clone(),
        }
    }

    fn from_big(n: BigUint) -> Count {
        match u128::try_from(&n) {
            Ok(n) => Count::Few(n),
            Err(_) => Count::Many(n),
        }
    }

    fn times(&self, other: &Count) -> Count {
        if let (Count::Few(a), Count::Few(b)) = (self, other)
            && let Some(product) = a.checked_mul(*b)
        {
            return Count::Few(product);
        }
        Count::from_big(self.big() * other.big())
    }

    fn plus(&self, other: &Count) -> Count {
        if let (Count::Few(a), Count::Few(b)) = (self, other)
            && let Some(sum) = a.checked_add(*b)
        {
            return Count::Few(sum);
        }
        Count::from_big(self.big() + other.big())
    }
}

/// The circuit, growing bottom-up: parts are made of earlier parts.
#[derive(Debug)]
pub struct Circuit {
    parts: Vec<Ways>,
    counts: Vec<Count>,
    /// Of an `Either` of few ways: the index at which each of its parts begins.
    begins: Vec<Box<[u128]>>,
    index: FastMap<Ways, WaysId>,
}

impl Circuit {
    pub fn new() -> Self {
        Circuit {
            parts: vec![Ways::Nothing],
            counts: vec![Count::Few(1)],
            begins: vec![Box::default()],
            index: FastMap::default(),
        }
    }

    /// Deciding a choice.
    pub fn decision(&mut self, choice: ChoiceId, option: usize) -> WaysId {
        let part = Ways::Decision(choice as u32, option as u32);
        self.add(part, |_| Count::Few(1))
    }

    /// One after the other.
    pub fn both(&mut self, first: WaysId, second: WaysId) -> WaysId {
        if first == NOTHING {
            return second;
        }
        if second == NOTHING {
            return first;
        }
        self.add(Ways::Both(first, second), |c| {
            c.count_of(first).times(c.count_of(second))
        })
    }

    /// One of several, at least one, that have no way in common.
    pub fn either(&mut self, parts: &[WaysId]) -> WaysId {
        if let [only] = parts {
            return *only;
        }
        self.add(Ways::Either(parts.into()), |c| {
            let counts = parts.iter().map(|p| c.count_of(*p));
            counts.fold(Count::Few(0), |sum, n| sum.plus(n))
        })
    }

    fn add(&mut self, part: Ways, count: impl FnOnce(&Self) -> Count) -> WaysId {
        if let Some(known) = self.index.get(&part) {
            return *known;
        }
        let id = WaysId(self.parts.len() as u32);
        let count = count(self);
        self.begins.push(match (&part, &count) {
            (Ways::Either(parts), Count::Few(_)) => {
                let mut sum = 0;
                let begin = |part: &WaysId| {
                    let begin = sum;
                    if let Count::Few(n) = self.count_of(*part) {
                        sum += n;
                    }
                    begin
                };
                parts.iter().map(begin).collect()
            }
            _ => Box::default(),
        });
        self.counts.push(count);
        self.parts.push(part.clone());
        self.index.insert(part, id);
        id
    }

    fn count_of(&self, id: WaysId) -> &Count {
        &self.counts[id.0 as usize]
    }

    /// The number of ways.
    pub fn count(&self, id: WaysId) -> BigUint {
        self.count_of(id).big()
    }

    /// Whether two parts have as many ways as each other.
    pub fn as_many(&self, a: WaysId, b: WaysId) -> bool {
        self.count_of(a) == self.count_of(b)
    }

    /// Nothing is added from here on: what only serves adding is dropped.
    pub fn freeze(&mut self) {
        self.index = FastMap::default();
    }

    /// The way with this index, which must be below the count.
    pub fn way(&self, id: WaysId, index: &BigUint) -> Decisions {
        let mut out = Decisions::new();
        match u128::try_from(index) {
            Ok(index) if matches!(self.count_of(id), Count::Few(_)) => {
                self.few(id, index, &mut out)
            }
            _ => self.many(id, index.clone(), &mut out),
        }
        out
    }

    /// A way drawn uniformly.
    pub fn draw(&self, id: WaysId, rng: &mut impl Rng) -> Decisions {
        match self.count_of(id) {
            Count::Few(n) => {
                let index = match u64::try_from(*n) {
                    Ok(n) => u128::from(rng.random_range(0..n)),
                    Err(_) => rng.random_range(0..*n),
                };
                let mut out = Decisions::with_capacity(16);
                self.few(id, index, &mut out);
                out
            }
            Count::Many(n) => self.way(id, &below(n, rng)),
        }
    }

    fn few(&self, id: WaysId, index: u128, out: &mut Decisions) {
        // A stack of its own: long sequences nest deeply.
        let mut stack = Vec::with_capacity(32);
        stack.push((id, index));
        while let Some((id, index)) = stack.pop() {
            match &self.parts[id.0 as usize] {
                Ways::Nothing => {}
                Ways::Decision(choice, option) => out.push((*choice as usize, *option as usize)),
                Ways::Both(first, second) => {
                    let Count::Few(inner) = *self.count_of(*second) else {
                        unreachable!("a product of few has few factors")
                    };
                    // Division of short numbers is many times faster.
                    let (outer, inner) = match (u64::try_from(index), u64::try_from(inner)) {
                        (Ok(i), Ok(n)) => (u128::from(i / n), u128::from(i % n)),
                        _ => (index / inner, index % inner),
                    };
                    stack.push((*second, inner));
                    stack.push((*first, outer));
                }
                Ways::Either(parts) => {
                    let begins = &self.begins[id.0 as usize];
                    let taken = begins.partition_point(|begin| *begin <= index) - 1;
                    stack.push((parts[taken], index - begins[taken]));
                }
            }
        }
    }

    fn many(&self, id: WaysId, index: BigUint, out: &mut Decisions) {
        let mut stack = vec![(id, index)];
        while let Some((id, index)) = stack.pop() {
            if let (Count::Few(_), Ok(index)) = (self.count_of(id), u128::try_from(&index)) {
                self.few(id, index, out);
                continue;
            }
            match &self.parts[id.0 as usize] {
                Ways::Nothing | Ways::Decision(..) => unreachable!("one way is few"),
                Ways::Both(first, second) => {
                    let inner = self.count(*second);
                    stack.push((*second, &index % &inner));
                    stack.push((*first, index / inner));
                }
                Ways::Either(parts) => {
                    let mut index = index;
                    let taken = parts.iter().find(|part| {
                        let count = self.count(**part);
                        let here = index < count;
                        if !here {
                            index -= count;
                        }
                        here
                    });
                    stack.push((*taken.expect("the index is below the count"), index));
                }
            }
        }
    }
}

/// A uniformly random number below `bound`, by rejection.
fn below(bound: &BigUint, rng: &mut impl Rng) -> BigUint {
    let bits = bound.bits();
    let mut bytes = vec![0u8; bits.div_ceil(8) as usize];
    loop {
        rng.fill_bytes(&mut bytes);
        if let Some(top) = bytes.last_mut() {
            *top &= 0xff >> (8 * bits.div_ceil(8) - bits);
        }
        let value = BigUint::from_bytes_le(&bytes);
        if value < *bound {
            return value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_is_another_way() {
        let mut c = Circuit::new();
        let option = |c: &mut Circuit, choice, n: usize| {
            let leaves: Vec<WaysId> = (0..n).map(|o| c.decision(choice, o)).collect();
            c.either(&leaves)
        };
        let (a, b) = (option(&mut c, 0, 3), option(&mut c, 1, 4));
        let pair = c.both(a, b);
        let lone = c.decision(2, 7);
        let all = c.either(&[lone, pair, NOTHING]);
        assert_eq!(c.count(all), BigUint::from(14u8));
        let ways: std::collections::BTreeSet<Decisions> =
            (0..14u8).map(|i| c.way(all, &BigUint::from(i))).collect();
        assert_eq!(ways.len(), 14);
        assert!(ways.contains(&vec![(0, 2), (1, 3)]));
        assert_eq!(c.both(NOTHING, pair), pair);
        assert_eq!(c.both(a, b), pair, "equal parts are one part");
    }

    #[test]
    fn numbers_beyond_128_bits_are_exact() {
        let mut c = Circuit::new();
        let mut all = NOTHING;
        for choice in 0..200 {
            let (no, yes) = (c.decision(choice, 0), c.decision(choice, 1));
            let bit = c.either(&[no, yes]);
            all = c.both(all, bit);
        }
        assert_eq!(c.count(all), BigUint::from(1u8) << 200);
        // The digits of the index are the decisions, the last one fastest.
        let index = (BigUint::from(1u8) << 199) + BigUint::from(1u8);
        let way = c.way(all, &index);
        for (choice, option) in way {
            assert_eq!(
                option,
                usize::from(choice == 0 || choice == 199),
                "{choice}"
            );
        }
    }
}

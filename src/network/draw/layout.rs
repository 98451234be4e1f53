//! Where boxes go: the layered drawing of Sugiyama, Tagawa and Toda (1981).
//! Layers come from longest paths; an edge that skips layers gets a lane of its
//! own through them; crossings are reduced by sweeps of barycentres; chains and
//! lanes become straight columns, which springs along the edges pull together.
//! All of it is deterministic, so equal networks give equal drawings.

/// A box to be placed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    pub width: f64,
    pub height: f64,
}

/// The middle of a box, or a point an edge passes through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

/// A finished layout. The origin is the top left corner.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    pub boxes: Vec<Point>,
    /// For every edge, in the order given, the vertical stretches it must take
    /// on its way, from top to bottom: where it enters and leaves each layer
    /// between its ends.
    pub lanes: Vec<Vec<(Point, Point)>>,
    pub width: f64,
    pub height: f64,
}

/// Space between the boxes of a layer.
const GAP_X: f64 = 28.0;
/// Space between layers: room for a label and a bend.
const GAP_Y: f64 = 38.0;
const LANE_WIDTH: f64 = 6.0;
const ORDER_SWEEPS: usize = 12;
const PLACE_SWEEPS: usize = 300;
/// How much harder columns that are too near push than edges pull.
const REPULSION: f64 = 30.0;

/// A box or one layer of a lane.
struct Item {
    layer: usize,
    width: f64,
    /// Items in the layer above and below, with how strongly they pull.
    above: Vec<(usize, f64)>,
    below: Vec<(usize, f64)>,
}

/// Places boxes joined by `edges`, pairs `(from, to)` with `from < to`.
pub fn layout(boxes: &[Size], edges: &[(usize, usize)]) -> Layout {
    let (items, lanes) = layered_items(boxes, edges);
    let count = items.iter().map(|i| i.layer + 1).max().unwrap_or(0);
    let mut layers: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (index, item) in items.iter().enumerate() {
        layers[item.layer].push(index);
    }
    reduce_crossings(&items, &mut layers);
    let xs = place(&items, &layers, boxes.len());

    let left = extreme(&items, &xs, -0.5, f64::min);
    let right = extreme(&items, &xs, 0.5, f64::max);
    let mut top = 0.0;
    let mut bands = Vec::new();
    for layer in &layers {
        let height = layer
            .iter()
            .filter_map(|i| boxes.get(*i))
            .map(|b| b.height)
            .fold(0.0, f64::max);
        bands.push((top, top + height));
        top += height + GAP_Y;
    }
    let middle = |i: usize| {
        let (top, bottom) = bands[items[i].layer];
        Point {
            x: xs[i] - left,
            y: (top + bottom) / 2.0,
        }
    };
    Layout {
        boxes: (0..boxes.len()).map(middle).collect(),
        lanes: lanes
            .iter()
            .map(|lane| {
                lane.iter()
                    .map(|i| {
                        let (top, bottom) = bands[items[*i].layer];
                        let x = xs[*i] - left;
                        (Point { x, y: top }, Point { x, y: bottom })
                    })
                    .collect()
            })
            .collect(),
        width: (right - left).max(0.0),
        height: (top - GAP_Y).max(0.0),
    }
}

/// Boxes first, then the lanes' items; with the items of every edge's lane.
fn layered_items(boxes: &[Size], edges: &[(usize, usize)]) -> (Vec<Item>, Vec<Vec<usize>>) {
    let mut items: Vec<Item> = boxes
        .iter()
        .map(|size| Item {
            layer: 0,
            width: size.width,
            above: Vec::new(),
            below: Vec::new(),
        })
        .collect();
    // Targets ascend, so every source's layer is final when it is read.
    let mut by_target: Vec<(usize, usize)> = edges.to_vec();
    by_target.sort_by_key(|(_, to)| *to);
    for (from, to) in by_target {
        items[to].layer = items[to].layer.max(items[from].layer + 1);
    }
    let mut lanes = Vec::with_capacity(edges.len());
    for &(from, to) in edges {
        let mut lane = Vec::new();
        let mut upper = from;
        for layer in items[from].layer + 1..items[to].layer {
            let lower = items.len();
            items.push(Item {
                layer,
                width: LANE_WIDTH,
                above: Vec::new(),
                below: Vec::new(),
            });
            // Where a lane runs matters less than where the boxes stand.
            link(
                &mut items,
                upper,
                lower,
                if upper == from { 0.1 } else { 2.0 },
            );
            lane.push(lower);
            upper = lower;
        }
        link(&mut items, upper, to, if upper == from { 1.0 } else { 0.1 });
        lanes.push(lane);
    }
    (items, lanes)
}

fn link(items: &mut [Item], upper: usize, lower: usize, pull: f64) {
    items[upper].below.push((lower, pull));
    items[lower].above.push((upper, pull));
}

/// Sorts each layer by the mean place of its neighbours, downwards and upwards
/// in turn, and keeps the order with the fewest crossings.
fn reduce_crossings(items: &[Item], layers: &mut Vec<Vec<usize>>) {
    let mut best = layers.clone();
    let mut fewest = crossings(items, &best);
    for sweep in 0..ORDER_SWEEPS {
        if fewest == 0 {
            break;
        }
        let downwards = sweep % 2 == 0;
        let mut place = places(items.len(), layers);
        let count = layers.len();
        for step in 0..count {
            let layer = if downwards { step } else { count - 1 - step };
            let key = |i: usize| {
                let near = if downwards {
                    &items[i].above
                } else {
                    &items[i].below
                };
                match near.len() {
                    0 => place[i],
                    n => near.iter().map(|(j, _)| place[*j]).sum::<f64>() / n as f64,
                }
            };
            let mut keyed: Vec<(f64, usize)> =
                layers[layer].iter().map(|i| (key(*i), *i)).collect();
            // A stable sort: ties keep their order, boxes before lanes.
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            layers[layer] = keyed.into_iter().map(|(_, i)| i).collect();
            for (order, item) in layers[layer].iter().enumerate() {
                place[*item] = order as f64;
            }
        }
        let found = crossings(items, layers);
        if found < fewest {
            fewest = found;
            best.clone_from(layers);
        }
    }
    *layers = best;
}

fn places(count: usize, layers: &[Vec<usize>]) -> Vec<f64> {
    let mut place = vec![0.0; count];
    for layer in layers {
        for (order, item) in layer.iter().enumerate() {
            place[*item] = order as f64;
        }
    }
    place
}

fn crossings(items: &[Item], layers: &[Vec<usize>]) -> usize {
    let place = places(items.len(), layers);
    let mut count = 0;
    for layer in layers {
        let ends: Vec<(f64, f64)> = layer
            .iter()
            .flat_map(|i| items[*i].below.iter().map(|(j, _)| (place[*i], place[*j])))
            .collect();
        for (index, a) in ends.iter().enumerate() {
            count += ends[index + 1..]
                .iter()
                .filter(|b| (a.0 - b.0) * (a.1 - b.1) < 0.0)
                .count();
        }
    }
    count
}

/// Horizontal middles of all items: first which items stand exactly above each
/// other, then where these columns go.
fn place(items: &[Item], layers: &[Vec<usize>], boxes: usize) -> Vec<f64> {
    let column = columns(items, layers, boxes);
    let count = column.iter().map(|c| c + 1).max().unwrap_or(0);
    let mut springs: Vec<Vec<(usize, f64)>> = vec![Vec::new(); count];
    for (index, item) in items.iter().enumerate() {
        let pulls = item.above.iter().chain(&item.below);
        let (own, others) = (column[index], pulls.map(|(j, p)| (column[*j], *p)));
        springs[own].extend(others.filter(|(c, _)| *c != own));
    }
    let mut right_of: Vec<Vec<(usize, f64)>> = vec![Vec::new(); count];
    let mut left_of = right_of.clone();
    for pair in layers.iter().flat_map(|l| l.windows(2)) {
        let (a, b) = (pair[0], pair[1]);
        let apart = (items[a].width + items[b].width) / 2.0 + GAP_X;
        right_of[column[a]].push((column[b], apart));
        left_of[column[b]].push((column[a], apart));
    }
    // What is alone in its layer belongs on the middle line, or a stack of
    // lopsided cells would wander off to one side.
    let mut anchor = vec![0.0; count];
    for layer in layers.iter().filter(|l| l.len() == 1) {
        anchor[column[layer[0]]] += 4.0;
    }
    let mut xs = vec![0.0; count];
    for _ in 0..PLACE_SWEEPS {
        for c in 0..count {
            // The place of least energy with the other columns held fixed.
            let (mut pull, mut force) = (anchor[c], 0.0);
            let too_near = |bound: f64, side: f64| side * (xs[c] - bound) < 0.0;
            let lower = left_of[c].iter().map(|(o, apart)| (xs[*o] + apart, 1.0));
            let upper = right_of[c].iter().map(|(o, apart)| (xs[*o] - apart, -1.0));
            for (bound, _) in lower.chain(upper).filter(|(b, side)| too_near(*b, *side)) {
                pull += REPULSION;
                force += REPULSION * bound;
            }
            for (other, weight) in &springs[c] {
                pull += weight;
                force += weight * xs[*other];
            }
            if pull > 0.0 {
                xs[c] = force / pull;
            }
        }
    }
    separate(&mut xs, &left_of);
    column.into_iter().map(|c| xs[c]).collect()
}

/// Moves columns to the right until all keep their distances, which the springs
/// only nearly achieve. A column's left neighbours never depend on it, since
/// columns do not cross, so this ends after as many rounds as columns.
fn separate(xs: &mut [f64], left_of: &[Vec<(usize, f64)>]) {
    for _ in 0..xs.len() {
        let mut moved = false;
        for c in 0..xs.len() {
            for (other, apart) in &left_of[c] {
                if xs[c] < xs[*other] + apart {
                    xs[c] = xs[*other] + apart;
                    moved = true;
                }
            }
        }
        if !moved {
            break;
        }
    }
}

/// Numbers the columns: a lane is one, and so are boxes that are each other's
/// only neighbours. Where two of them would cross, the later one is cut.
fn columns(items: &[Item], layers: &[Vec<usize>], boxes: usize) -> Vec<usize> {
    let place = places(items.len(), layers);
    let mut below = vec![None; items.len()];
    for layer in layers {
        let straight = |lane: bool| {
            layer.iter().filter_map(move |&upper| {
                let mut next = items[upper].below.iter().map(|(j, _)| *j);
                if lane {
                    let lower = next.next().filter(|j| upper >= boxes && *j >= boxes);
                    return lower.map(|lower| (upper, lower));
                }
                let lower = only(next.filter(|j| *j < boxes))?;
                let above = items[lower].above.iter().map(|(j, _)| *j);
                (upper < boxes && only(above.filter(|j| *j < boxes)) == Some(upper))
                    .then_some((upper, lower))
            })
        };
        let mut kept: Vec<(usize, usize)> = Vec::new();
        for (upper, lower) in straight(true).chain(straight(false)) {
            let crosses = |(u, l): &(usize, usize)| {
                (place[*u] - place[upper]) * (place[*l] - place[lower]) < 0.0
            };
            if !kept.iter().any(crosses) {
                kept.push((upper, lower));
                below[upper] = Some(lower);
            }
        }
    }
    let mut column = vec![usize::MAX; items.len()];
    let mut count = 0;
    for first in layers.iter().flatten() {
        if column[*first] == usize::MAX {
            let mut at = Some(*first);
            while let Some(item) = at {
                column[item] = count;
                at = below[item];
            }
            count += 1;
        }
    }
    column
}

/// The only distinct value of an iterator.
fn only(mut values: impl Iterator<Item = usize>) -> Option<usize> {
    let first = values.next()?;
    values.all(|v| v == first).then_some(first)
}

/// The outermost left or right edge of all items.
fn extreme(items: &[Item], xs: &[f64], side: f64, pick: fn(f64, f64) -> f64) -> f64 {
    items
        .iter()
        .zip(xs)
        .map(|(item, x)| x + side * item.width)
        .reduce(pick)
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn boxes_never_overlap_and_edges_go_down(
            widths in prop::collection::vec(20.0..200.0f64, 1..30),
            raw in prop::collection::vec((0..30usize, 0..30usize), 0..60),
        ) {
            let n = widths.len();
            let boxes: Vec<Size> =
                widths.iter().map(|w| Size { width: *w, height: 30.0 }).collect();
            let edges: Vec<(usize, usize)> = raw
                .into_iter()
                .map(|(a, b)| (a.min(b), a.max(b)))
                .filter(|(a, b)| a < b && *b < n)
                .collect();
            let layout = layout(&boxes, &edges);
            for i in 0..n {
                let a = layout.boxes[i];
                prop_assert!(a.x - widths[i] / 2.0 >= -1e-6);
                prop_assert!(a.x + widths[i] / 2.0 <= layout.width + 1e-6);
                for j in 0..i {
                    let b = layout.boxes[j];
                    let apart = (a.x - b.x).abs() >= (widths[i] + widths[j]) / 2.0
                        || (a.y - b.y).abs() >= 30.0;
                    prop_assert!(apart, "boxes {j} and {i} overlap");
                }
            }
            for (edge, lane) in edges.iter().zip(&layout.lanes) {
                let mut y = layout.boxes[edge.0].y;
                for (top, bottom) in lane {
                    prop_assert!(top.y > y && bottom.y >= top.y);
                    y = bottom.y;
                }
                prop_assert!(layout.boxes[edge.1].y > y);
            }
        }
    }

    #[test]
    fn a_chain_with_a_shortcut_stays_straight() {
        let boxes = [Size {
            width: 100.0,
            height: 30.0,
        }; 4];
        let layout = layout(&boxes, &[(0, 1), (1, 2), (2, 3), (0, 3)]);
        let xs: Vec<f64> = layout.boxes.iter().map(|b| b.x).collect();
        assert!(xs.iter().all(|x| *x == xs[0]), "{xs:?}");
        assert_eq!(layout.lanes[3].len(), 2);
        assert!(layout.lanes[3][0].0.x > xs[1] + 50.0);
    }
}

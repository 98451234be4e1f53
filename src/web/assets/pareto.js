// The Pareto front: greatest accuracy for least cost.

// Indices among `indices` that no other beats, the cheapest first. Equal points
// are all kept; points without a figure never are.
export function frontOf(indices, costs, accuracies) {
  const known = indices.filter((i) => Number.isFinite(costs[i]) && Number.isFinite(accuracies[i]));
  known.sort((a, b) => costs[a] - costs[b] || accuracies[b] - accuracies[a]);
  const kept = [];
  for (const i of known) {
    const last = kept.length ? kept[kept.length - 1] : null;
    const isBetter = last === null || accuracies[i] > accuracies[last];
    const isEqual = last !== null && accuracies[i] === accuracies[last] && costs[i] === costs[last];
    if (isBetter || isEqual) kept.push(i);
  }
  return kept;
}

// The front as stairs: what is attainable within a cost. Ends at `right`.
export function stairs(front, costs, accuracies, bottom, right) {
  const xs = [];
  const ys = [];
  let below = bottom;
  for (const i of front) {
    xs.push(costs[i], costs[i]);
    ys.push(below, accuracies[i]);
    below = accuracies[i];
  }
  if (front.length) {
    xs.push(right);
    ys.push(below);
  }
  return [xs, ys];
}

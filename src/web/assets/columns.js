// A run's evaluations as columns of numbers, to which live ones are added.

import { frontOf } from "./pareto.js";

const PLAIN = ["candidate", "generation", "accuracy", "fidelity", "feasible", "superseded", "key", "seconds"];

export class Evaluations {
  constructor(columns) {
    for (const name of PLAIN) this[name] = [];
    this.costs = {};
    this.latest = new Map();
    this.places = new Map();
    this.add(columns);
  }

  get length() {
    return this.candidate.length;
  }

  add(columns) {
    const before = this.length;
    // Not spread into push(): a hundred thousand arguments are too many.
    for (const name of PLAIN) for (const value of columns[name]) this[name].push(value);
    for (const [metric, more] of Object.entries(columns.costs)) {
      const cost = (this.costs[metric] ??= { value: [], low: [], high: [] });
      for (const part of ["value", "low", "high"]) {
        const column = cost[part];
        while (column.length < before) column.push(NaN);
        for (const value of more[part] ?? []) column.push(value ?? NaN);
      }
    }
    for (const cost of Object.values(this.costs)) {
      for (const part of ["value", "low", "high"]) while (cost[part].length < this.length) cost[part].push(NaN);
    }
    for (let i = before; i < this.length; i++) {
      this.places.set(this.candidate[i], i);
      if (this.superseded[i]) continue;
      const earlier = this.latest.get(this.key[i]);
      if (earlier !== undefined) this.superseded[earlier] = 1;
      this.latest.set(this.key[i], i);
    }
  }

  // Costs there are, latencies first.
  metrics() {
    const rank = (metric) => ["latency", "energy", "macs", "params", "memory"].findIndex((stem) => metric.startsWith(stem));
    return Object.keys(this.costs).sort((a, b) => rank(a) - rank(b) || a.length - b.length || (a < b ? -1 : 1));
  }

  // Evaluations that count on a front: the latest of their genotype, keeping
  // the run's limits, trained for as long as any.
  ranked() {
    let most = 0;
    for (let i = 0; i < this.length; i++) if (!this.superseded[i] && this.fidelity[i] > most) most = this.fidelity[i];
    const kept = [];
    for (let i = 0; i < this.length; i++) if (!this.superseded[i] && this.feasible[i] && this.fidelity[i] === most) kept.push(i);
    return kept;
  }

  front(metric) {
    const cost = this.costs[metric];
    return cost ? frontOf(this.ranked(), cost.value, this.accuracy) : [];
  }

  place(candidate) {
    return this.places.get(candidate);
  }
}

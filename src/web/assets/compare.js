// Runs, and the engines of each, side by side: their fronts in one plot, and
// what they have in common and not in a table.

import { getJson, runPath } from "./api.js";
import { Evaluations } from "./columns.js";
import { card, el, field, refill } from "./dom.js";
import { costLabel, costName, costText, costTick, ms, percent, when, whole } from "./format.js";
import { stairs } from "./pareto.js";
import { extent, spansDecades } from "./plot.js";
import { legend, Scatter } from "./scatter.js";

const MOST_RUNS = 8;

export class ComparePage {
  constructor(ids) {
    this.ids = ids.slice(0, MOST_RUNS);
    this.root = el("div", {}, el("p", { class: "hint" }, "Reading the runs …"));
  }

  async start() {
    document.title = "Compare · bespoke";
    this.runs = await Promise.all(this.ids.map(async (id) => {
      const [overview, { columns }] = await Promise.all([getJson(runPath(id)), getJson(runPath(id, "columns"))]);
      return { overview, evaluations: new Evaluations(columns) };
    }));
    this.stems = this.commonCosts();
    this.stem = el("select", { onchange: () => this.rebuild() }, this.stems.map((stem) => el("option", { value: stem }, costName(stem))));
    this.host = el("div", { class: "plot", id: "compare-plot" });
    this.legend = el("div");
    this.lists = el("div");
    refill(this.root, el("h1", {}, `Compare ${this.runs.length} run${this.runs.length === 1 ? "" : "s"}`), el("section", { class: "card" }, el("h2", {}, "Fronts"), el("div", { class: "controls" }, field("Cost", this.stem)), this.host, this.legend, this.lists), this.factsCard());
    this.rebuild();
  }

  // Costs by their name without the engine: each engine becomes a line.
  commonCosts() {
    const stems = this.runs.flatMap(({ evaluations }) => evaluations.metrics().map((metric) => metric.split("@")[0]));
    return [...new Set(stems)];
  }

  // A line a run and engine.
  series() {
    const stem = this.stem.value;
    const series = [];
    for (const { overview, evaluations } of this.runs) {
      for (const metric of evaluations.metrics().filter((name) => name.split("@")[0] === stem)) {
        const front = evaluations.front(metric);
        const costs = evaluations.costs[metric].value;
        const own = overview.header.engine;
        const engine = stem === "latency_ms" || stem === "energy_mj" ? ` on ${metric.split("@")[1] ?? own}` : "";
        series.push({ overview, metric, front, costs, evaluations, name: `${overview.header.name} (${overview.id})${engine}` });
      }
    }
    return series;
  }

  rebuild() {
    const series = this.series();
    const isLog = spansDecades(series.flatMap((line) => line.front.map((i) => line.costs[i])));
    const stem = this.stem.value ?? "latency_ms";
    const axes = {
      x: { label: `${costLabel(stem)}${isLog ? ", logarithmic" : ""}`, isLog, tick: (value) => costTick(stem, value) },
      y: { label: "Validation accuracy (%)", isLog: false, tick: (value) => String(Number((100 * value).toPrecision(4))) },
    };
    const groups = series.map((line, at) => ({ name: line.name, color: `series-${at % 8}`, shape: at < 8 ? "dot" : "ring", radius: 4.5, line, xs: line.front.map((i) => line.costs[i]), ys: line.front.map((i) => line.evaluations.accuracy[i]) }));
    if (this.scatter) this.scatter.setAxes(axes);
    else this.scatter = new Scatter(this.host, { label: "Fronts of the runs", height: 440, ...axes, describe: (group, index) => this.describe(group, index), onPick: (group) => { location.hash = `#/run/${encodeURIComponent(this.groups[group].line.overview.id)}`; } });
    this.groups = groups;
    const bottom = extent(groups.flatMap((group) => group.ys))[0];
    const lines = groups.map((group) => (axes) => {
      const [xs, ys] = stairs(group.line.front, group.line.costs, group.line.evaluations.accuracy, bottom, axes.x.range[1]);
      return { xs: xs.slice(1), ys: ys.slice(1), color: group.color, alpha: 0.55 };
    });
    this.scatter.show(groups, lines);
    refill(this.legend, legend(groups));
    this.showBest(groups);
  }

  describe(group, index) {
    const { name, line, xs, ys } = this.groups[group];
    return [name, `Candidate ${line.evaluations.candidate[line.front[index]]}`, `Accuracy ${percent(ys[index])}`, `${costName(line.metric)} ${costText(line.metric, xs[index])}`];
  }

  // The most accurate within each of some costs: what a buyer of latency gets.
  showBest(groups) {
    const stem = this.stem.value;
    const all = groups.flatMap((group) => group.xs).sort((a, b) => a - b);
    if (!all.length) return refill(this.lists, el("p", { class: "hint" }, "Nothing has been evaluated yet."));
    const limits = [0.1, 0.25, 0.5, 0.75, 1].map((share) => all[Math.min(all.length - 1, Math.floor(share * all.length))]);
    const best = (group, limit) => group.xs.reduce((most, x, i) => (x <= limit && group.ys[i] > most ? group.ys[i] : most), -1);
    const row = (group) => el("tr", {}, el("th", { scope: "row" }, group.name), limits.map((limit) => best(group, limit)).map((value) => el("td", { class: "number" }, value < 0 ? "–" : percent(value))));
    const head = el("tr", {}, el("th", { scope: "col" }, "best accuracy within"), limits.map((limit) => el("th", { scope: "col", class: "number" }, costText(stem, limit))));
    return refill(this.lists, el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Best accuracy within costs" }, el("table", {}, el("thead", {}, head), el("tbody", {}, groups.map(row)))));
  }

  factsCard() {
    const rows = [
      ["status", (o) => o.status],
      ["started", (o) => when(o.created_ms)],
      ["evaluated", (o) => whole(o.counts.evaluated)],
      ["best validation accuracy", (o) => percent(o.counts.best_accuracy)],
      ["best test accuracy", (o) => { const best = Math.max(...o.front.map((row) => row.test_accuracy ?? -1)); return best < 0 ? "–" : percent(best); }],
      ["least measured latency", (o) => ms(Math.min(...o.front.map((row) => row.measured_ms ?? Infinity)))],
      ["front", (o) => whole(o.front.length)],
      ["device", (o) => o.header.device],
      ["engines", (o) => o.engines.join(", ")],
      ["data", (o) => `${o.header.dataset_name} (${o.header.dataset_hash.slice(0, 8)})`],
      ["space", (o) => o.header.space_hash.slice(0, 12)],
      ["objectives", (o) => o.objectives.join(", ")],
      ["limits", (o) => o.constraints.join(", ") || "–"],
      ["seed", (o) => String(o.header.seed)],
      ["version", (o) => o.header.bespoke_version],
    ];
    const head = el("tr", {}, el("td"), this.runs.map(({ overview }) => el("th", { scope: "col" }, el("a", { href: `#/run/${encodeURIComponent(overview.id)}` }, overview.header.name || "(no name)"))));
    const line = ([name, of]) => {
      const values = this.runs.map(({ overview }) => of(overview));
      const differ = new Set(values).size > 1;
      return el("tr", { class: differ && "differs" }, el("th", { scope: "row" }, name), values.map((value) => el("td", {}, value)));
    };
    const table = el("table", { class: "compare" }, el("caption", { class: "unseen" }, "Runs side by side"), el("thead", {}, head), el("tbody", {}, rows.map(line)));
    const isSame = new Set(this.runs.map(({ overview }) => overview.header.dataset_hash)).size < 2;
    return card("Side by side", !isSame && el("p", { class: "warning" }, "These runs were judged on different data: their accuracies do not compare."), el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Runs side by side" }, table), el("p", { class: "hint" }, "Lines in bold differ."));
  }

  destroy() {
    this.scatter?.destroy();
  }
}

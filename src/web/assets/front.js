// The interactive Pareto front: accuracy against any cost of a run, to point at,
// pick, brush and filter, with a table of what is brushed.

import { el, field, put, refill } from "./dom.js";
import { costLabel, costName, costText, costTick, interval, percent, whole } from "./format.js";
import { stairs } from "./pareto.js";
import { spansDecades } from "./plot.js";
import { legend, Scatter } from "./scatter.js";
import { sortable } from "./table.js";

const MOST_ROWS = 200;

const inSentence = (name) => name.charAt(0).toLowerCase() + name.slice(1);

export class FrontCard {
  constructor(run, { onPick }) {
    this.run = run; // {overview, evaluations, pairs}, kept up to date by the page.
    this.onPick = onPick;
    this.metric = run.evaluations.metrics()[0] ?? "latency_ms";
    this.isLog = null; // Automatic until chosen.
    this.costs = el("select", { onchange: () => this.setMetric(this.costs.value) });
    this.log = el("input", { type: "checkbox", onchange: () => this.setLog(this.log.checked) });
    this.atMost = el("input", { type: "number", step: "any", min: 0, inputmode: "decimal", onchange: () => this.filter() });
    this.atLeast = el("input", { type: "number", step: "any", min: 0, max: 100, inputmode: "decimal", onchange: () => this.filter() });
    this.costUnit = el("span", {}, "");
    const button = (text, work) => el("button", { type: "button", class: "quiet", onclick: work, hidden: true }, text);
    this.zoomIn = button("Zoom to selection", () => this.zoom(true));
    this.clear = button("Clear selection", () => this.scatter.setBrush(null));
    this.zoomOut = button("Show all", () => this.zoom(false));
    this.host = el("div", { class: "plot", id: "front-plot" });
    this.legend = el("div");
    this.summary = el("p", { class: "hint", id: "front-summary" });
    this.tableHost = el("div");
    const controls = el("div", { class: "controls" }, field("Cost", this.costs), field("Logarithmic", this.log, "check"), el("label", { class: "field" }, el("span", {}, "Cost at most ", this.costUnit), this.atMost), field("Accuracy at least %", this.atLeast));
    this.root = el("section", { class: "card front" }, el("h2", {}, "Pareto front"), controls, this.host, el("div", { class: "under" }, this.legend, el("div", { class: "buttons" }, this.zoomIn, this.clear, this.zoomOut)), this.summary, this.tableHost);
  }

  // Call once the card is in the page: a chart needs its width.
  start() {
    this.scatter = new Scatter(this.host, {
      label: `Validation accuracy against cost of the candidates of run ${this.run.overview.header.name}`,
      ...this.axes(),
      describe: (group, index) => this.describe(group, index),
      onPick: (group, index) => this.onPick(this.groups[group].candidates[index]),
      onBrush: () => this.onBrush(),
    });
    this.table = sortable({
      caption: "Candidates on the front or in the selection",
      columns: this.columns(),
      rows: [],
      choose: (row) => this.onPick(row.candidate),
      chosen: (row) => row.candidate === this.picked,
      empty: "No candidate has been evaluated yet.",
    });
    put(this.tableHost, this.table.root);
    this.update();
  }

  axes() {
    const values = this.run.evaluations.costs[this.metric]?.value ?? [];
    const isLog = this.isLog ?? spansDecades(values);
    this.log.checked = isLog;
    const note = isLog ? ", logarithmic" : "";
    return {
      x: { label: `${costLabel(this.metric)}${note}`, isLog, tick: (value) => costTick(this.metric, value) },
      y: { label: "Validation accuracy (%)", isLog: false, tick: (value) => String(Number((100 * value).toPrecision(4))) },
    };
  }

  setMetric(metric) {
    this.metric = metric;
    this.isLog = null;
    this.atMost.value = "";
    this.atLeast.value = "";
    this.scatter.setAxes(this.axes());
    this.onBrush();
    this.update();
  }

  setLog(isLog) {
    this.isLog = isLog;
    this.scatter.setAxes(this.axes());
    this.onBrush();
    this.update();
  }

  zoom(isIn) {
    this.scatter.zoom(isIn);
    this.onBrush();
  }

  // The fields as a brush: what they leave open reaches to the axes' ends.
  filter() {
    const { x, y } = this.scatter.axes;
    const most = this.atMost.value === "" ? x.range[1] : Number(this.atMost.value);
    const least = this.atLeast.value === "" ? y.range[0] : Number(this.atLeast.value) / 100;
    const isOpen = this.atMost.value === "" && this.atLeast.value === "";
    this.scatter.setBrush(isOpen ? null : { x: [x.isLog ? Number.MIN_VALUE : -Infinity, most], y: [least, Infinity] });
  }

  onBrush() {
    const { brush, zoomed } = this.scatter;
    this.zoomIn.hidden = !brush;
    this.clear.hidden = !brush;
    this.zoomOut.hidden = !zoomed;
    if (!brush) this.atMost.value = this.atLeast.value = "";
    if (this.table) this.fillTable();
  }

  // Draws what is known now.
  update() {
    const { evaluations: e, pairs, overview } = this.run;
    const metrics = e.metrics();
    if (metrics.length && !metrics.includes(this.metric)) this.metric = metrics[0];
    if (this.costs.options.length !== metrics.length) refill(this.costs, metrics.map((metric) => el("option", { value: metric }, costName(metric))));
    this.costs.value = this.metric;
    this.costUnit.textContent = costText(this.metric, 1).match(/ms|mJ|B$/)?.[0] ?? "";
    this.front = e.front(this.metric);
    this.members = new Set(this.front);
    const others = Array.from(e.candidate.keys()).filter((i) => !this.members.has(i));
    this.groups = [this.points("candidates", "candidate", 2.6, others, { alpha: e.length > 3000 ? 0.45 : 0.65 }), this.points("front, predicted", "front", 4.5, this.front, {}, true), this.measured(pairs)];
    this.scatter.show(this.groups, this.lines(overview));
    refill(this.legend, legend(this.groups.filter((group) => group.xs.length)));
    this.fillTable();
  }

  points(name, color, radius, indices, more = {}, hasWhiskers = false) {
    const e = this.run.evaluations;
    const cost = e.costs[this.metric] ?? { value: [], low: [], high: [] };
    const of = (column) => indices.map((i) => column[i]);
    return { name, color, radius, indices, xs: of(cost.value), ys: of(e.accuracy), candidates: of(e.candidate), ...(hasWhiskers && { xLow: of(cost.low), xHigh: of(cost.high) }), ...more };
  }

  // What was measured on the engine that the cost is predicted for.
  measured(pairs) {
    const e = this.run.evaluations;
    const own = this.run.overview.header.engine;
    const [stem, engine = own] = this.metric.split("@");
    const latest = new Map();
    if (stem === "latency_ms") for (const pair of pairs) if (pair.candidate !== null && pair.engine === engine && e.place(pair.candidate) !== undefined) latest.set(pair.candidate, pair);
    const list = [...latest.values()];
    const of = (name) => list.map((pair) => pair[name]);
    return { name: "measured", color: "measured", radius: 5.5, shape: "diamond", list, indices: list.map((pair) => e.place(pair.candidate)), xs: of("measured_ms"), ys: list.map((pair) => e.accuracy[e.place(pair.candidate)]), xLow: of("measured_low_ms"), xHigh: of("measured_high_ms"), candidates: of("candidate") };
  }

  lines(overview) {
    const e = this.run.evaluations;
    const costs = e.costs[this.metric]?.value ?? [];
    const lines = [(axes) => {
      const [xs, ys] = stairs(this.front, costs, e.accuracy, axes.y.range[0], axes.x.range[1]);
      return { xs, ys, color: "front", alpha: 0.5 };
    }];
    const limit = overview.max_latency_ms;
    if (limit && this.metric === "latency_ms") lines.push((axes) => ({ xs: [limit, limit], ys: axes.y.range, color: "muted", dash: [5, 4] }));
    return lines;
  }

  describe(group, index) {
    const e = this.run.evaluations;
    const { list, indices } = this.groups[group];
    const i = indices[index];
    const lines = [`Candidate ${e.candidate[i]}`, `Accuracy ${percent(e.accuracy[i])}`];
    if (list) {
      const pair = list[index];
      return [...lines, `Measured ${interval(pair.measured_ms, pair.measured_low_ms, pair.measured_high_ms)} ms`, `Predicted ${interval(pair.predicted_ms, pair.predicted_low_ms, pair.predicted_high_ms)} ms`];
    }
    return [...lines, this.costOf(i)];
  }

  costOf(i) {
    const { value, low, high } = this.run.evaluations.costs[this.metric];
    const range = Number.isFinite(low[i]) ? ` (${costText(this.metric, low[i])} to ${costText(this.metric, high[i])})` : "";
    return `${costName(this.metric)} ${costText(this.metric, value[i])}${range}`;
  }

  columns() {
    const e = () => this.run.evaluations;
    const cost = (metric) => (row) => e().costs[metric]?.value[row.i];
    const member = (row) => this.members_.get(row.candidate);
    const plain = (name, metric) => ({ name, numeric: true, sort: cost(metric), text: (row) => costText(metric, cost(metric)(row)) });
    return [
      { name: "candidate", numeric: true, sort: (row) => row.candidate, text: (row) => String(row.candidate) },
      { name: "val. %", numeric: true, sort: (row) => e().accuracy[row.i], text: (row) => (100 * e().accuracy[row.i]).toFixed(2) },
      { name: "test %", numeric: true, sort: (row) => member(row)?.test_accuracy, text: (row) => (member(row)?.test_accuracy ? (100 * member(row).test_accuracy).toFixed(2) : "–") },
      { name: "predicted ms", numeric: true, sort: cost("latency_ms"), text: (row) => { const { value, low, high } = e().costs.latency_ms; return interval(value[row.i], low[row.i], high[row.i]); } },
      { name: "measured ms", numeric: true, sort: (row) => member(row)?.measured_ms, text: (row) => interval(member(row)?.measured_ms, member(row)?.measured_low_ms, member(row)?.measured_high_ms) },
      plain("MACs", "macs"),
      plain("params", "params"),
      plain("memory", "memory"),
    ];
  }

  // What the table shows: the brushed, else the front.
  chosen() {
    const { brush } = this.scatter;
    if (!brush) return this.front;
    const e = this.run.evaluations;
    const costs = e.costs[this.metric]?.value ?? [];
    const inside = (i) => costs[i] >= brush.x[0] && costs[i] <= brush.x[1] && e.accuracy[i] >= brush.y[0] && e.accuracy[i] <= brush.y[1];
    return Array.from(e.candidate.keys()).filter(inside);
  }

  fillTable() {
    const e = this.run.evaluations;
    const chosen = this.chosen();
    this.members_ = new Map(this.run.overview.front.map((row) => [row.candidate, row]));
    const shown = chosen.length > MOST_ROWS ? [...chosen].sort((a, b) => e.accuracy[b] - e.accuracy[a]).slice(0, MOST_ROWS) : chosen;
    const cut = shown.length < chosen.length ? `; the ${MOST_ROWS} most accurate are listed` : "";
    const what = this.scatter.brush ? `${whole(chosen.length)} selected${cut}` : "drag over the plot, or use the fields above, to select";
    const all = this.run.overview.counts.evaluated;
    const drawn = e.length < all ? `${whole(e.length)} of ${whole(all)} candidates drawn, all fronts among them` : `${whole(e.length)} candidates`;
    this.summary.textContent = `${drawn}; ${whole(this.front.length)} on the front of accuracy against ${inSentence(costName(this.metric))}; ${what}.`;
    Object.assign(this.host.dataset, { candidates: e.length, front: this.front.length, selected: this.scatter.brush ? chosen.length : 0 });
    this.table.update(shown.map((i) => ({ i, candidate: e.candidate[i] })));
  }

  // Marks the candidate that the page shows.
  mark(candidate) {
    this.picked = candidate;
    for (let group = this.groups.length - 1; group >= 0; group--) {
      const index = this.groups[group].candidates.indexOf(candidate);
      if (index >= 0) {
        this.scatter.markPoint({ group, index });
        break;
      }
    }
    this.fillTable();
  }

  // Picks move with their points when live ones come.
  remark() {
    if (this.picked !== undefined) this.mark(this.picked);
  }

  destroy() {
    this.scatter?.destroy();
  }
}

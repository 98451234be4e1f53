// Predicted against measured latency, with both intervals: on the diagonal the
// predictor was right.

import { card, el, field, refill } from "./dom.js";
import { interval, percent } from "./format.js";
import { spansDecades } from "./plot.js";
import { legend, Scatter } from "./scatter.js";

const KINDS = [
  ["left out", "calibration references, each left out", "series-1"],
  ["reference", "references", "series-4"],
  ["heldout", "held out from calibration", "series-2"],
  ["manual", "measured by hand", "series-3"],
  ["front", "front", "front"],
];

export class PairsCard {
  constructor(run, { onPick }) {
    this.run = run;
    this.onPick = onPick;
    this.engines = el("select", { onchange: () => this.rebuild() });
    this.host = el("div", { class: "plot", id: "pairs-plot" });
    this.legend = el("div");
    this.words = el("p", { class: "hint" });
    this.controls = el("div", { class: "controls" }, field("Engine", this.engines));
    this.root = card("Predicted against measured latency", this.controls, this.host, this.legend, this.words);
  }

  start() {
    this.update();
  }

  rebuild() {
    this.scatter?.setAxes(this.axes());
    this.update();
  }

  axes() {
    const isLog = spansDecades(this.shown().flatMap((pair) => [pair.measured_ms, pair.predicted_ms]));
    const tick = (value) => String(Number(value.toPrecision(3)));
    return { square: true, x: { label: "Measured (ms)", isLog, tick }, y: { label: "Predicted (ms)", isLog, tick } };
  }

  shown() {
    return this.run.pairs.filter((pair) => pair.engine === this.engines.value);
  }

  update() {
    const engines = [...new Set(this.run.pairs.map((pair) => pair.engine))];
    const chosen = this.engines.value || engines[0];
    if (this.engines.options.length !== engines.length) refill(this.engines, engines.map((engine) => el("option", { value: engine }, engine)));
    if (engines.includes(chosen)) this.engines.value = chosen;
    this.controls.hidden = engines.length < 2;
    const pairs = this.shown();
    this.host.hidden = pairs.length === 0;
    if (!pairs.length) {
      this.words.textContent = "Nothing has been measured that was predicted too.";
      return;
    }
    if (!this.scatter) {
      const { square, x, y } = this.axes();
      this.scatter = new Scatter(this.host, { label: "Predicted against measured latency", height: 320, x, y, describe: (group, index) => this.describe(this.groups[group].list[index]), onPick: (group, index) => this.pick(this.groups[group].list[index]) });
      this.scatter.axes.square = square;
    }
    this.groups = KINDS.map(([purpose, name, color]) => this.group(pairs.filter((pair) => pair.purpose === purpose), name, color)).filter((group) => group.xs.length);
    this.scatter.show(this.groups, [(axes) => ({ xs: axes.x.range, ys: axes.x.range, color: "muted", dash: [5, 4], width: 1 })]);
    refill(this.legend, legend(this.groups));
    this.words.textContent = this.judge(pairs);
  }

  group(list, name, color) {
    const of = (field) => list.map((pair) => pair[field] ?? NaN);
    return { list, name, color, radius: 4.5, xs: of("measured_ms"), ys: of("predicted_ms"), xLow: of("measured_low_ms"), xHigh: of("measured_high_ms"), yLow: of("predicted_low_ms"), yHigh: of("predicted_high_ms") };
  }

  describe(pair) {
    return [pair.candidate === null ? (pair.purpose === "heldout" ? "Held out from calibration" : "Reference, left out") : `Candidate ${pair.candidate}`, `Measured ${interval(pair.measured_ms, pair.measured_low_ms, pair.measured_high_ms)} ms`, `Predicted ${interval(pair.predicted_ms, pair.predicted_low_ms, pair.predicted_high_ms)} ms`];
  }

  judge(pairs) {
    const errors = pairs.map((pair) => Math.abs(pair.predicted_ms / pair.measured_ms - 1));
    const inside = pairs.filter((pair) => pair.measured_ms >= pair.predicted_low_ms && pair.measured_ms <= pair.predicted_high_ms).length;
    const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
    const word = pairs.length === 1 ? "measurement" : "measurements";
    return `${pairs.length} ${word}: mean absolute error ${percent(mean, 1)}; ${inside} within the predicted interval.`;
  }

  pick(pair) {
    if (pair.candidate !== null) this.onPick(pair.candidate);
  }

  destroy() {
    this.scatter?.destroy();
  }
}

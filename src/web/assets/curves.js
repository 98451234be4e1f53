// Training curves: a line a training, epoch by epoch.

import { card, el, field, refill } from "./dom.js";
import { extent, Plot } from "./plot.js";
import { color, onTheme, seriesColor } from "./theme.js";

const MEASURES = [
  ["train_loss", "Training loss"],
  ["train_accuracy", "Training accuracy"],
  ["validation_accuracy", "Validation accuracy"],
];

// What a record of a curve says: an object an epoch, or a plain number.
function measure(record, name) {
  if (typeof record === "number") return name === "train_accuracy" ? record : null;
  const value = record?.[name] ?? (name === "train_loss" ? record?.loss : null);
  return typeof value === "number" ? value : null;
}

// Draws lines {name, curve} into `host`, with a button a line that hides it.
export class Curves {
  constructor(host, lines, height = 260) {
    this.host = host;
    this.height = height;
    this.lines = lines.filter((line) => Array.isArray(line.curve) && line.curve.length);
    this.measures = MEASURES.filter(([name]) => this.lines.some((line) => line.curve.some((record) => measure(record, name) !== null)));
    this.select = el("select", { onchange: () => this.draw() }, this.measures.map(([name, label]) => el("option", { value: name }, label)));
    this.plotHost = el("div", { class: "plot", role: "img" });
    this.legend = el("div", { class: "legend toggles" });
    if (!this.measures.length) {
      refill(host, el("p", { class: "hint" }, "No training curve was recorded."));
      return;
    }
    refill(host, el("div", { class: "controls" }, field("Show", this.select)), this.plotHost, this.legend);
    this.draw();
    this.endTheme = onTheme(() => this.draw());
  }

  draw() {
    this.plot?.destroy();
    const name = this.select.value;
    const label = this.measures.find(([measured]) => measured === name)[1];
    const epochs = Math.max(...this.lines.map((line) => line.curve.length));
    const isShare = name !== "train_loss";
    const series = this.lines.map((line) => Array.from({ length: epochs }, (_, epoch) => {
      const value = measure(line.curve[epoch], name);
      return value === null ? null : value * (isShare ? 100 : 1);
    }));
    const tick = (value) => String(Number(value.toPrecision(4)));
    this.plot = new Plot(this.plotHost, {
      height: this.height,
      x: { label: "Epoch", range: epochs > 1 ? [1, epochs] : [0.5, 1.5], tick: (value) => (Number.isInteger(value) ? String(value) : "") },
      y: { label: isShare ? `${label} (%)` : label, range: extent(series.flat().filter((value) => value !== null)), tick },
      data: [Array.from({ length: epochs }, (_, epoch) => epoch + 1), ...series],
      series: this.lines.map((line, at) => ({ stroke: seriesColor(at), width: 1.75, dash: line.isSearch ? [5, 4] : [], points: { show: epochs < 30, size: 5, fill: color("surface") } })),
    });
    const last = series.map((values, at) => `${this.lines[at].name} ends at ${tick(values.filter((value) => value !== null).pop() ?? NaN)}`);
    this.plotHost.setAttribute("aria-label", `${label} by epoch: ${last.slice(0, 8).join("; ")}`);
    refill(this.legend, this.lines.map((line, at) => this.toggle(line, at)));
  }

  toggle(line, at) {
    const mark = el("span", { class: "key line", "aria-hidden": "true" });
    mark.style.setProperty("--key", seriesColor(at));
    const button = el("button", { type: "button", class: "quiet", "aria-pressed": "true", onclick: () => {
      const isShown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(isShown));
      this.plot.u.setSeries(at + 1, { show: isShown });
    } }, mark, line.name);
    return button;
  }

  destroy() {
    this.plot?.destroy();
    this.endTheme?.();
  }
}

// The front members' curves.
export class CurvesCard {
  constructor() {
    this.host = el("div", { id: "curves" });
    this.root = card("Training curves of the front", this.host);
  }

  show(courses) {
    const seen = JSON.stringify(courses);
    if (seen === this.seen) return;
    this.seen = seen;
    this.curves?.destroy();
    const lines = courses.map((course) => ({ name: `candidate ${course.candidate}${course.trained ? ", final" : ""}`, curve: course.trained ?? course.search, isSearch: !course.trained }));
    this.curves = new Curves(this.host, lines);
  }

  destroy() {
    this.curves?.destroy();
  }
}

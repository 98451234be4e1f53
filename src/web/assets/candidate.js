// All about one candidate: figures, decisions, network, training.

import { getJson, runPath } from "./api.js";
import { Curves } from "./curves.js";
import { badge, el, facts, refill } from "./dom.js";
import { bytes, costName, costText, count, duration, interval, percent } from "./format.js";
import { showNetwork } from "./network.js";

export class CandidatePanel {
  constructor(run) {
    this.run = run;
    this.root = el("section", { class: "card candidate", id: "candidate", tabIndex: -1, "aria-label": "Candidate" });
    this.rest();
  }

  rest() {
    refill(this.root, el("h2", {}, "Candidate"), el("p", { class: "hint" }, "Pick a point of the front, or a row of the table below it, to see its network and how it was trained."));
  }

  async show(candidate) {
    this.wanted = candidate;
    let view;
    try {
      view = await getJson(runPath(this.run, "candidates", String(candidate)));
    } catch (error) {
      refill(this.root, el("h2", {}, `Candidate ${candidate}`), el("p", { class: "hint", role: "alert" }, error.message, " ", error.help ?? ""));
      return;
    }
    if (this.wanted !== candidate) return; // Another was picked meanwhile.
    const e = view.evaluated;
    const figures = [
      ["Accuracy", e && `${percent(e.accuracy)} validation${view.fidelity < 1 ? `, after ${percent(view.fidelity, 0)} of the training` : ""}`],
      ["Final training", view.trained && `${percent(view.trained.validation_accuracy)} validation, ${percent(view.trained.test_accuracy)} test`],
      ["Predicted latency", e && `${interval(e.latency_ms, e.latency_low_ms, e.latency_high_ms)} ms`],
      ...Object.entries(e?.predictions ?? {}).map(([metric, [value, low, high]]) => [costName(metric), `${costText(metric, value)} (${costText(metric, low)} to ${costText(metric, high)})`]),
      ...view.measured.map((m) => [`Measured on ${m.engine}`, `${interval(m.median_ms, m.low_ms, m.high_ms)} ms (${m.purpose}${m.samples ? `, ${m.samples} samples` : ""})`]),
      ["Multiply-accumulates", e && count(e.macs)],
      ["Parameters", e && count(e.params)],
      ["Peak activation memory", e && bytes(e.peak_activation_bytes)],
      ["Evaluated in", e && duration(e.seconds)],
      ["Generation", view.generation],
      ["Cause", view.cause],
    ];
    const network = el("div");
    const curve = el("div");
    const decisions = el("details", {}, el("summary", {}, "Decisions (genotype)"), el("pre", { class: "genotype", tabIndex: 0 }, view.genotype.split(" ").join("\n")), view.network_hash && el("p", { class: "hint" }, `Network ${view.network_hash}`));
    refill(this.root, el("h2", {}, `Candidate ${candidate} `, badge(view.status)), facts(figures), network, decisions, el("h3", {}, "Training"), curve);
    this.curves?.destroy();
    this.curves = new Curves(curve, [{ name: "search", curve: e?.curve, isSearch: Boolean(view.trained) }, { name: "final", curve: view.trained?.curve }], 200);
    await showNetwork(network, this.run, candidate);
  }

  destroy() {
    this.curves?.destroy();
  }
}

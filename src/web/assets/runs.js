// The list of runs: to find one, and to choose some to compare.

import { getJson } from "./api.js";
import { badge, el, field, put } from "./dom.js";
import { ms, percent, when, whole } from "./format.js";
import { sortable } from "./table.js";

const STATUSES = ["running", "interrupted", "finished", "failed"];

export class RunsPage {
  constructor() {
    this.root = el("div");
    this.chosen = new Set();
  }

  async start() {
    this.runs = await getJson("runs");
    document.title = "Runs · bespoke";
    this.text = el("input", { type: "search", oninput: () => this.filter() });
    this.status = el("select", { onchange: () => this.filter() }, el("option", { value: "" }, "any"), STATUSES.map((word) => el("option", { value: word }, word)));
    this.compare = el("button", { type: "button", disabled: true, onclick: () => { location.hash = `#/compare/${[...this.chosen].map(encodeURIComponent).join(",")}`; } }, "Compare");
    this.table = sortable({ caption: "Runs", columns: this.columns(), rows: this.runs, sortBy: 3, descending: true, empty: "No run matches." });
    const empty = el("p", { class: "hint" }, "There is no run yet. ", el("code", {}, "bespoke quickstart"), " makes the first one.");
    put(this.root, el("h1", {}, "Runs"), this.runs.length ? [el("div", { class: "controls" }, field("Find", this.text), field("Status", this.status), this.compare), el("div", { class: "card" }, this.table.root)] : empty);
  }

  columns() {
    const tick = (run) => el("input", { type: "checkbox", "aria-label": `Compare ${run.name} ${run.id}`, checked: this.chosen.has(run.id), onchange: (event) => {
      if (event.target.checked) this.chosen.add(run.id);
      else this.chosen.delete(run.id);
      this.compare.disabled = this.chosen.size < 1;
      this.compare.textContent = this.chosen.size ? `Compare ${this.chosen.size}` : "Compare";
    } });
    const number = (name, key, text = whole) => ({ name, numeric: true, sort: (run) => run[key], text: (run) => text(run[key]) });
    return [
      { name: "compare", text: tick },
      { name: "name", sort: (run) => run.name.toLowerCase(), text: (run) => el("a", { href: `#/run/${encodeURIComponent(run.id)}` }, run.name || "(no name)", el("span", { class: "hint" }, ` ${run.id}`)) },
      { name: "status", sort: (run) => run.word, text: (run) => badge(run.word) },
      { name: "started", numeric: true, sort: (run) => run.created_ms, text: (run) => when(run.created_ms) },
      number("evaluated", "evaluated"),
      number("failed", "failed"),
      number("best val. accuracy", "best_accuracy", percent),
      number("least latency", "least_latency_ms", ms),
      { name: "data", sort: (run) => run.dataset, text: (run) => run.dataset },
      { name: "device", sort: (run) => run.device, text: (run) => `${run.engine} on ${run.device}` },
    ];
  }

  filter() {
    const wanted = this.text.value.trim().toLowerCase();
    const matches = (run) => [run.name, run.id, run.device, run.dataset, run.engine].some((text) => text.toLowerCase().includes(wanted));
    this.table.update(this.runs.filter((run) => matches(run) && (!this.status.value || run.status === this.status.value)));
  }

  destroy() {}
}

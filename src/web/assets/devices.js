// Devices elsewhere with their health, and the devices that runs were made for.

import { getJson } from "./api.js";
import { badge, card, el, facts, put, refill } from "./dom.js";
import { bytes, duration, ms, when, whole } from "./format.js";
import { sortable } from "./table.js";

const PERIOD_MS = 5000;
const HOT_C = 80;

// What makes measurements on a device doubtful, in words.
function concerns(device) {
  const list = [];
  if (device.state === "away") list.push(`not heard of for ${duration(device.silent_s)}`);
  if (device.governor && device.governor !== "performance") list.push(`frequency governor is ${device.governor}`);
  if (device.temperature_c >= HOT_C) list.push(`hot: ${Math.round(device.temperature_c)} °C`);
  if (device.cores && device.load_1min > 0.5 * device.cores) list.push(`busy: load ${device.load_1min.toFixed(1)} on ${device.cores} cores`);
  if (device.failed > 0) list.push(`${whole(device.failed)} failed measurements`);
  return list;
}

export class DevicesPage {
  constructor() {
    this.root = el("div", {}, el("p", { class: "hint" }, "Asking for devices …"));
  }

  async start() {
    document.title = "Devices · bespoke";
    this.health = el("div", { class: "devices" });
    this.ofRuns = el("div");
    refill(this.root, el("h1", {}, "Devices"), this.health, this.ofRuns);
    await this.update();
    this.timer = setInterval(() => this.update().catch(() => {}), PERIOD_MS);
  }

  async update() {
    const { elsewhere, problem, of_runs: ofRuns } = await getJson("devices");
    const seen = JSON.stringify([elsewhere, problem, ofRuns]);
    if (seen === this.seen) return; // Nothing changed: leave the focus where it is.
    this.seen = seen;
    const none = problem ?? (elsewhere ? "No device is enrolled yet: `bespoke devices enrol NAME` makes one known." : "No coordinator is known here: `bespoke serve` runs one.");
    refill(this.health, elsewhere?.length ? elsewhere.map((device) => this.device(device)) : el("p", { class: "hint card" }, none));
    const table = sortable({
      caption: "Devices that runs were made for",
      columns: [
        { name: "device", sort: (row) => row.device, text: (row) => row.device },
        { name: "engines", text: (row) => row.engines.join(", ") },
        { name: "runs", numeric: true, sort: (row) => row.runs, text: (row) => whole(row.runs) },
        { name: "measurements", numeric: true, sort: (row) => row.measured, text: (row) => whole(row.measured) },
        { name: "least predicted latency", numeric: true, sort: (row) => row.least_latency_ms, text: (row) => ms(row.least_latency_ms) },
        { name: "last used", numeric: true, sort: (row) => row.last_event_ms, text: (row) => when(row.last_event_ms) },
      ],
      rows: ofRuns,
      empty: "There is no run yet.",
    });
    refill(this.ofRuns, card("Devices of the runs", table.root));
  }

  device(device) {
    const worries = concerns(device);
    const state = device.state === "away" ? `away` : device.state;
    const box = card("", facts([
      ["Engines", device.engines.join(", ")],
      ["Waiting", device.queued ? `${whole(device.queued)} jobs` : "nothing"],
      ["Measured", whole(device.measured)],
      ["Failed", device.failed ? whole(device.failed) : ""],
      ["Heard of", device.silent_s === null ? "" : `${duration(device.silent_s)} ago`],
      ["CPU", [device.cpu, device.cores && `${device.cores} cores`, device.architecture].filter(Boolean).join(", ")],
      ["Memory", device.memory_bytes && bytes(device.memory_bytes)],
      ["System", device.os],
      ["Governor", device.governor],
      ["Temperature", device.temperature_c && `${Math.round(device.temperature_c)} °C`],
      ["Load", device.load_1min !== null && device.load_1min?.toFixed(2)],
      ["Agent", device.agent],
    ]));
    refill(box.querySelector("h2"), device.name, " ", badge(state));
    if (worries.length) put(box, el("ul", { class: "remarks warnings" }, worries.map((worry) => el("li", {}, worry))));
    return box;
  }

  destroy() {
    clearInterval(this.timer);
  }
}

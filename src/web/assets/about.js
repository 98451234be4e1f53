// What a run is, and everything needed to repeat it.

import { card, el, facts, refill } from "./dom.js";
import { bytes, percent } from "./format.js";

// How well the predictor did, in a sentence.
function calibrationText(calibration) {
  if (!calibration) return null;
  const told = calibration.heldout?.spearman !== undefined && calibration.heldout;
  const figures = told || calibration.leave_one_out;
  if (!figures || typeof figures.spearman !== "number") return calibration.engine ?? null;
  const how = told ? "on unseen architectures" : "leaving each reference out";
  return `${calibration.engine ?? "predictor"}: Spearman ${figures.spearman.toFixed(3)}, mean absolute error ${percent(figures.mape, 1)} ${how}`;
}

export class AboutCard {
  constructor() {
    this.body = el("div");
    this.root = card("About this run", this.body);
  }

  show(overview) {
    const { header } = overview;
    const source = (title, text) => el("details", {}, el("summary", {}, title), el("pre", { tabIndex: 0 }, text));
    const unknown = Object.entries(overview.unknown).map(([kind, n]) => `${n} of kind ${kind}`);
    refill(
      this.body,
      facts([
        ["Run", overview.id],
        ["Seed", String(header.seed)],
        ["Device", header.device],
        ["Engines", overview.engines.join(", ")],
        ["Data", `${header.dataset_name} (${header.dataset_hash.slice(0, 12)})`],
        ["Space", `${header.space_hash.slice(0, 12)}${overview.architectures ? `, ${Number(overview.architectures).toLocaleString("en", { notation: "compact" })} architectures` : ""}`],
        ["Objectives", overview.objectives.join(", ")],
        ["Limits", overview.constraints.join(", ")],
        ["Calibration", calibrationText(overview.calibration)],
        ["Version", `bespoke ${header.bespoke_version}`],
        ["Git commit", header.git_commit],
        ["Needs a newer bespoke", unknown.join(", ")],
      ]),
      overview.artefacts.length > 0 && el("details", {}, el("summary", {}, `Artefacts (${overview.artefacts.length})`), el("ul", { class: "plain" }, overview.artefacts.map((a) => el("li", {}, a.name, el("span", { class: "hint" }, ` ${bytes(a.bytes)}, ${a.sha256.slice(0, 12)}`))))),
      source("Search space", header.space_text),
      source("Experiment", JSON.stringify(header.experiment, null, 2)),
    );
  }
}

// Notes, warnings and failures, where there are any.
export class RemarksCard {
  constructor() {
    this.body = el("div");
    this.root = card("Notes and warnings", this.body);
  }

  show(overview) {
    const list = (title, items, kind) => items.length > 0 && el("div", { class: `remarks ${kind}` }, el("h3", {}, title), el("ul", {}, items.map((item) => el("li", {}, item))));
    const failures = overview.failures.map((failed) => `Candidate ${failed.candidate}: ${failed.cause}`);
    if (overview.counts.failed > failures.length) failures.push(`and ${overview.counts.failed - failures.length} more`);
    this.root.hidden = !overview.notes.length && !overview.warnings.length && !failures.length;
    refill(this.body, list("Notes", overview.notes, "notes"), list("Warnings", overview.warnings, "warnings"), list("Failed candidates", failures, "failures"));
  }
}

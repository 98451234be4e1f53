// The page of one run, which follows it while it goes on.

import { AboutCard, RemarksCard } from "./about.js";
import { followRun, getJson, runPath } from "./api.js";
import { CandidatePanel } from "./candidate.js";
import { Evaluations } from "./columns.js";
import { CurvesCard } from "./curves.js";
import { announce, badge, el, refill, throttle } from "./dom.js";
import { duration, ms, percent, when, whole } from "./format.js";
import { FrontCard } from "./front.js";
import { LogCard } from "./log.js";
import { PairsCard } from "./pairs.js";

// Evaluations left at the pace so far, as time.
function remaining(overview) {
  const { counts, budget } = overview;
  if (overview.status !== "running" || !budget || counts.spent < 3 || counts.spent >= budget) return null;
  const seconds = (overview.last_event_ms - overview.created_ms) / 1000;
  return duration((seconds / counts.spent) * (budget - counts.spent));
}

class Head {
  constructor() {
    this.title = el("h1");
    this.line = el("p", { class: "hint" });
    this.link = el("p", { class: "hint link-state", role: "status" });
    this.meter = el("progress", { max: 1, "aria-label": "Evaluations done" });
    this.tiles = el("div", { class: "tiles", id: "tiles" });
    this.root = el("header", { class: "run-head" }, this.title, this.line, this.meter, this.link, this.tiles);
  }

  show(overview, evaluations) {
    const { header, counts, budget } = overview;
    refill(this.title, header.name || "(no name)", " ", badge(overview.status));
    const left = remaining(overview);
    const spent = duration((overview.last_event_ms - overview.created_ms) / 1000);
    refill(this.line, [`Run ${overview.id}`, `started ${when(overview.created_ms)}`, `${spent}${left ? `, about ${left} to go` : ""}`, `${header.engine} on ${header.device}`, header.dataset_name, overview.reason].filter(Boolean).join(" · "));
    this.meter.hidden = !budget;
    if (budget) this.meter.setAttribute("value", String(Math.min(counts.spent / budget, 1)));
    const latencies = evaluations.costs.latency_ms?.value ?? [];
    const least = latencies.reduce((a, b) => (b < a ? b : a), Infinity);
    const test = Math.max(...overview.front.map((row) => row.test_accuracy ?? -1));
    const tile = (name, value, id) => el("div", { class: "tile" }, el("span", { class: "hint" }, name), el("strong", { id }, value));
    refill(
      this.tiles,
      tile("Evaluated", `${whole(counts.evaluated)}${budget ? ` of ${whole(budget)}` : ""}`, "evaluated"),
      tile("Best validation accuracy", percent(counts.best_accuracy), "best"),
      test >= 0 && tile("Best test accuracy", percent(test)),
      tile("Least predicted latency", ms(least)),
      tile("On the front", whole(overview.front.length)),
      tile("Measured", whole(counts.measured)),
      tile("Failed", whole(counts.failed)),
    );
  }
}

export class RunPage {
  constructor(id) {
    this.id = id;
    this.root = el("div", {}, el("p", { class: "hint" }, "Reading the run …"));
    this.parts = [];
  }

  async start() {
    const path = (part) => runPath(this.id, part);
    const [overview, { seq, columns }, pairs, courses, lines] = await Promise.all([getJson(runPath(this.id)), getJson(path("columns")), getJson(path("pairs")), getJson(path("courses")), getJson(path("lines"))]);
    this.run = { overview, evaluations: new Evaluations(columns), pairs };
    document.title = `${overview.header.name} · bespoke`;
    const onPick = (candidate) => this.pick(candidate);
    this.head = new Head();
    this.front = new FrontCard(this.run, { onPick });
    this.panel = new CandidatePanel(overview.id);
    this.pairs = new PairsCard(this.run, { onPick });
    this.curves = new CurvesCard();
    this.log = new LogCard(overview.id);
    this.about = new AboutCard();
    this.remarks = new RemarksCard();
    this.parts = [this.front, this.panel, this.pairs, this.curves];
    const wide = el("div", { class: "split" }, this.front.root, this.panel.root);
    const stack = (...cards) => el("div", { class: "stack" }, cards.map((part) => part.root));
    const rest = el("div", { class: "grid" }, stack(this.pairs, this.remarks, this.about), stack(this.curves, this.log));
    refill(this.root, this.head.root, wide, rest);
    this.head.show(overview, this.run.evaluations);
    this.front.start();
    performance.mark("bespoke-front");
    this.pairs.start();
    this.curves.show(courses);
    this.log.add(lines);
    this.about.show(overview);
    this.remarks.show(overview);
    this.follow(seq);
    await this.log.start();
    if (this.front.front.length) this.pick(this.run.evaluations.candidate[this.front.front[this.front.front.length - 1]], false);
  }

  pick(candidate, isAsked = true) {
    this.front.mark(candidate);
    this.panel.show(candidate);
    if (isAsked) {
      announce(`Candidate ${candidate} is shown`);
      if (matchMedia("(max-width: 999px)").matches) this.panel.root.scrollIntoView({ block: "start" });
    }
  }

  follow(seq) {
    const draw = throttle(250, () => {
      this.head.show(this.run.overview, this.run.evaluations);
      this.front.update();
      this.front.remark();
    });
    const again = () => this.reread().catch(() => {});
    const reread = throttle(2000, again);
    const rereadSometimes = throttle(10000, again);
    this.stop = followRun(this.id, seq, {
      onNews: (news) => {
        const isStatusNew = news.status !== this.run.overview.status;
        Object.assign(this.run.overview, { status: news.status, counts: news.counts, last_event_ms: news.last_event_ms });
        this.run.evaluations.add(news.columns);
        if (news.lines.length) this.log.add(news.lines);
        if (isStatusNew) announce(`The run is ${news.status}`);
        draw();
        if (news.overview_changed) reread();
        else if (news.lines.length) rereadSometimes();
      },
      onLink: (isUp) => refill(this.head.link, isUp ? "" : "The connection is lost; trying again …"),
      onGone: () => refill(this.head.link, "The run can no longer be read."),
    });
  }

  // What the news does not carry: the measured front, curves, notes.
  async reread() {
    const [overview, pairs, courses] = await Promise.all([getJson(runPath(this.id)), getJson(runPath(this.id, "pairs")), getJson(runPath(this.id, "courses"))]);
    this.run.overview = overview;
    this.run.pairs = pairs;
    this.head.show(overview, this.run.evaluations);
    this.front.update();
    this.front.remark();
    this.pairs.update();
    this.curves.show(courses);
    this.about.show(overview);
    this.remarks.show(overview);
  }

  destroy() {
    this.stop?.();
    for (const part of this.parts) part.destroy();
  }
}

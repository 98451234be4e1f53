// Points in a plane that can be pointed at, picked and brushed, by mouse, touch
// and keyboard. Groups are drawn in their order and may have whiskers; the last
// group that has a point near the pointer gets it.

import { announce, el, refill } from "./dom.js";
import { extent, Plot } from "./plot.js";
import { color } from "./theme.js";

const REACH = 22; // CSS pixels from the pointer to a point that is meant.

// A group: {name, color, shape, radius, alpha, xs, ys, xLow?, xHigh?, yLow?,
// yHigh?, quiet?}; `quiet` groups are not pointed at. Lines are functions of the
// axes that give {xs, ys, color, width?, dash?}.
export class Scatter {
  constructor(host, { label, height = 420, x, y, describe, onPick = () => {}, onBrush = null }) {
    this.groups = [];
    this.lines = [];
    this.axes = { x, y };
    this.describe = describe;
    this.onPick = onPick;
    this.onBrush = onBrush;
    this.at = null; // What is pointed at: {group, index}.
    this.picked = null;
    this.brush = null;
    this.zoomed = null;
    this.places = []; // By group: CSS pixels of each point.
    this.tip = el("div", { class: "tip", hidden: true });
    this.ring = el("div", { class: "ring", hidden: true });
    this.mark = el("div", { class: "ring picked", hidden: true });
    const keys = onBrush ? "Arrow keys move between points, Enter picks one, Escape clears." : "Arrow keys move between points.";
    this.root = el("div", { class: "scatter", tabIndex: 0, role: "application", "aria-roledescription": "scatter plot", "aria-label": `${label}. ${keys}` });
    host.append(this.root);
    x.range ??= [0, 1];
    y.range ??= [0, 1];
    this.height = height;
    this.build();
    this.root.append(this.tip);
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    this.root.addEventListener("blur", () => this.point(null));
  }

  build() {
    this.plot = new Plot(this.root, {
      height: this.height,
      x: this.axes.x,
      y: this.axes.y,
      paint: (_, ctx) => this.paint(ctx),
      onSelect: this.onBrush ? (box) => this.onSelect(box) : null,
      onResize: () => this.point(null),
    });
    const over = this.plot.u.over;
    over.append(this.ring, this.mark);
    over.addEventListener("mousemove", (event) => this.onMove(event));
    over.addEventListener("mouseleave", () => this.point(null));
    over.addEventListener("click", (event) => {
      this.onMove(event);
      if (this.at) this.pick(this.at);
    });
  }

  // Shows these groups, with axes around all of them or the part zoomed to.
  show(groups, lines = []) {
    this.groups = groups;
    this.lines = lines;
    this.orders = groups.map(() => null);
    if (this.at && !(this.groups[this.at.group]?.xs.length > this.at.index)) this.point(null);
    const around = (values, lows, highs, axis) => {
      const all = [];
      for (const group of groups) for (const part of [values, lows, highs]) for (const value of group[part] ?? []) all.push(value);
      return extent(all, axis.isLog);
    };
    const { x, y } = this.axes;
    if (!this.zoomed) {
      x.range = around("xs", "xLow", "xHigh", x);
      y.range = around("ys", "yLow", "yHigh", y);
      if (this.axes.square) x.range = y.range = [Math.min(x.range[0], y.range[0]), Math.max(x.range[1], y.range[1])];
    }
    this.plot.refresh();
    this.root.dataset.points = groups.reduce((sum, group) => sum + (group.quiet ? 0 : group.xs.length), 0);
    this.placeBrush();
  }

  // Other axes: labels and scales are fixed when a plot is made.
  setAxes(axes) {
    const { x, y } = axes;
    x.range ??= [1, 2];
    y.range ??= [1, 2];
    this.plot.destroy();
    this.axes = axes;
    this.zoomed = null;
    this.brush = null;
    this.point(null);
    this.mark.hidden = true;
    this.build();
  }

  paint(ctx) {
    const u = this.plot.u;
    const [toX, toY] = this.plot.mappers();
    const ratio = devicePixelRatio || 1;
    const { left, top, width, height } = u.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    for (const make of this.lines) {
      const line = make(this.axes);
      ctx.beginPath();
      line.xs.forEach((x, i) => (i ? ctx.lineTo(toX(x), toY(line.ys[i])) : ctx.moveTo(toX(x), toY(line.ys[i]))));
      ctx.globalAlpha = line.alpha ?? 1;
      ctx.strokeStyle = color(line.color);
      ctx.lineWidth = (line.width ?? 1.5) * ratio;
      ctx.setLineDash((line.dash ?? []).map((part) => part * ratio));
      ctx.stroke();
      ctx.setLineDash([]);
    }
    this.places = this.groups.map((group) => this.paintGroup(ctx, group, toX, toY, ratio));
    ctx.restore();
    for (const places of this.places) {
      for (let i = 0; i < places.length; i += 2) {
        places[i] = (places[i] - left) / ratio;
        places[i + 1] = (places[i + 1] - top) / ratio;
      }
    }
    this.mark.hidden = !this.picked || !this.put(this.mark, this.picked);
    if (this.at) this.put(this.ring, this.at);
  }

  paintGroup(ctx, group, toX, toY, ratio) {
    const n = group.xs.length;
    const places = new Float32Array(2 * n);
    const r = group.radius * ratio;
    ctx.globalAlpha = 0.7 * (group.alpha ?? 1);
    ctx.strokeStyle = ctx.fillStyle = color(group.color);
    ctx.lineWidth = 1.25 * ratio;
    const whiskers = (lows, highs, to, draw) => {
      if (!lows) return;
      ctx.beginPath();
      for (let i = 0; i < n; i++) if (Number.isFinite(lows[i]) && Number.isFinite(highs[i])) draw(i, to(lows[i]), to(highs[i]));
      ctx.stroke();
    };
    const tip = 3 * ratio;
    whiskers(group.xLow, group.xHigh, toX, (i, a, b) => {
      const y = toY(group.ys[i]);
      ctx.moveTo(a, y), ctx.lineTo(b, y);
      for (const x of [a, b]) ctx.moveTo(x, y - tip), ctx.lineTo(x, y + tip);
    });
    whiskers(group.yLow, group.yHigh, toY, (i, a, b) => {
      const x = toX(group.xs[i]);
      ctx.moveTo(x, a), ctx.lineTo(x, b);
      for (const y of [a, b]) ctx.moveTo(x - tip, y), ctx.lineTo(x + tip, y);
    });
    ctx.globalAlpha = group.alpha ?? 1;
    ctx.lineWidth = 1.75 * ratio;
    ctx.beginPath();
    for (let i = 0; i < n; i++) {
      const x = toX(group.xs[i]);
      const y = toY(group.ys[i]);
      places[2 * i] = x;
      places[2 * i + 1] = y;
      if (!Number.isFinite(x) || !Number.isFinite(y)) continue;
      if (group.shape === "diamond") {
        ctx.moveTo(x - r, y), ctx.lineTo(x, y - r), ctx.lineTo(x + r, y), ctx.lineTo(x, y + r), ctx.closePath();
      } else {
        ctx.moveTo(x + r, y);
        ctx.arc(x, y, r, 0, 2 * Math.PI);
      }
    }
    if (group.shape === "diamond" || group.shape === "ring") ctx.stroke();
    else ctx.fill();
    return places;
  }

  // Puts a marker on a point; false where the point is out of sight.
  put(marker, { group, index }) {
    const places = this.places[group];
    const { over } = this.plot.u;
    const [x, y] = [places?.[2 * index], places?.[2 * index + 1]];
    if (!(x >= -1 && y >= -1 && x <= over.clientWidth + 1 && y <= over.clientHeight + 1)) return false;
    marker.style.transform = `translate(${x}px, ${y}px)`;
    return true;
  }

  nearest(x, y) {
    let best = null;
    for (let group = 0; group < this.groups.length; group++) {
      if (this.groups[group].quiet) continue;
      const places = this.places[group];
      // A later group lies above: it wins unless clearly farther.
      let least = best ? (Math.sqrt(best.least) + 3) ** 2 : REACH ** 2;
      for (let i = 0; i < places.length; i += 2) {
        const dx = places[i] - x;
        const dy = places[i + 1] - y;
        const far = dx * dx + dy * dy;
        if (far < least) {
          least = far;
          best = { group, index: i / 2, least: far };
        }
      }
    }
    return best && { group: best.group, index: best.index };
  }

  onMove(event) {
    const box = this.plot.u.over.getBoundingClientRect();
    this.point(this.nearest(event.clientX - box.left, event.clientY - box.top));
  }

  // Points at a point: ring and tip.
  point(at, speak = false) {
    if (at && this.at && at.group === this.at.group && at.index === this.at.index) return;
    this.at = at;
    const isShown = at !== null && this.put(this.ring, at);
    this.ring.hidden = !isShown;
    this.tip.hidden = !isShown;
    this.plot.u.over.classList.toggle("at", isShown);
    if (!isShown) return;
    const lines = this.describe(at.group, at.index);
    refill(this.tip, lines.map((line, i) => el(i ? "div" : "strong", {}, line)));
    const { over } = this.plot.u;
    const [x, y] = [this.places[at.group][2 * at.index], this.places[at.group][2 * at.index + 1]];
    const isRight = x > over.clientWidth / 2;
    const isLow = y > over.clientHeight / 2;
    this.tip.style.transform = `translate(${over.offsetLeft + x + (isRight ? -14 : 14)}px, ${over.offsetTop + y + (isLow ? -10 : 10)}px) translate(${isRight ? "-100%" : "0"}, ${isLow ? "-100%" : "0"})`;
    if (speak) announce(lines.join(", "));
  }

  pick(at) {
    this.picked = at;
    this.mark.hidden = !this.put(this.mark, at);
    this.onPick(at.group, at.index);
  }

  // Marks a point that was picked elsewhere, or none.
  markPoint(at) {
    this.picked = at;
    this.mark.hidden = !at || !this.put(this.mark, at);
  }

  onSelect(box) {
    if (box.width < 4 || box.height < 4) return;
    const { u } = this.plot;
    this.setBrush({
      x: [u.posToVal(box.left, "x"), u.posToVal(box.left + box.width, "x")],
      y: [u.posToVal(box.top + box.height, "y"), u.posToVal(box.top, "y")],
    });
  }

  // Brushes the points in a rectangle of values; none with null.
  setBrush(brush) {
    this.brush = brush;
    this.placeBrush();
    this.onBrush(brush);
  }

  placeBrush() {
    const { u } = this.plot;
    if (!this.brush) {
      u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      return;
    }
    const within = (value, axis) => Math.min(Math.max(value, axis.range[0]), axis.range[1]);
    const { x, y } = this.axes;
    const [left, right] = this.brush.x.map((value) => u.valToPos(within(value, x), "x"));
    const [bottom, top] = this.brush.y.map((value) => u.valToPos(within(value, y), "y"));
    u.setSelect({ left, top, width: right - left, height: bottom - top }, false);
  }

  // Shows only what is brushed, or everything again.
  zoom(isIn) {
    this.zoomed = isIn ? this.brush : null;
    if (this.zoomed) {
      const within = (range, axis) => [Math.max(range[0], axis.range[0]), Math.min(range[1], axis.range[1])];
      this.axes.x.range = within(this.zoomed.x, this.axes.x);
      this.axes.y.range = within(this.zoomed.y, this.axes.y);
    }
    this.show(this.groups, this.lines);
  }

  onKey(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
    const loud = this.groups.map((group, i) => (group.quiet || !group.xs.length ? -1 : i)).filter((i) => i >= 0);
    if (!loud.length) return;
    if (event.key in steps) this.step(loud, steps[event.key]);
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") this.changeGroup(loud, event.key === "ArrowUp" ? 1 : -1);
    else if ((event.key === "Enter" || event.key === " ") && this.at) this.pick(this.at);
    else if (event.key === "Escape") {
      this.point(null);
      if (this.brush) this.setBrush(null);
    } else return;
    event.preventDefault();
  }

  order(group) {
    const xs = this.groups[group].xs;
    return (this.orders[group] ??= Array.from(xs.keys()).filter((i) => Number.isFinite(xs[i])).sort((a, b) => xs[a] - xs[b]));
  }

  step(loud, by) {
    const group = this.at ? this.at.group : loud[loud.length - 1];
    const order = this.order(group);
    const now = this.at ? order.indexOf(this.at.index) : by > 0 ? -1 : order.length;
    const next = Math.min(Math.max(now + by, 0), order.length - 1);
    this.point({ group, index: order[next] }, true);
  }

  changeGroup(loud, by) {
    const now = this.at ? loud.indexOf(this.at.group) : loud.length - 1;
    const group = loud[(now + by + loud.length) % loud.length];
    const x = this.at ? this.groups[this.at.group].xs[this.at.index] : -Infinity;
    const order = this.order(group);
    const near = order.reduce((best, i) => (Math.abs(this.groups[group].xs[i] - x) < Math.abs(this.groups[group].xs[best] - x) ? i : best), order[0]);
    announce(this.groups[group].name);
    this.point({ group, index: near }, true);
  }

  destroy() {
    this.plot.destroy();
  }
}

// The groups' names beside their marks.
export function legend(groups) {
  return el("ul", { class: "legend" }, groups.map((group) => {
    const mark = el("span", { class: `key ${group.shape ?? "dot"}`, "aria-hidden": "true" });
    mark.style.setProperty("--key", `var(--${group.color})`);
    return el("li", {}, mark, group.name);
  }));
}

// Axes, grid and scales by uPlot, in the page's colours; what is drawn inside
// is the caller's. Charts redraw when the theme or their width changes.

import { color, onTheme } from "./theme.js";

const FONT = "12px system-ui, sans-serif";
const LOG_DIGITS = [
  [1.3, [1, 1.5, 2, 3, 4, 5, 7]],
  [3, [1, 2, 5]],
  [Infinity, [1]],
];

// Round values with a tick on a logarithmic axis.
function logTicks(low, high) {
  const digits = LOG_DIGITS.find(([decades]) => Math.log10(high / low) < decades)[1];
  const ticks = [];
  for (let decade = Math.floor(Math.log10(low)); decade <= Math.log10(high); decade++) {
    for (const digit of digits) {
      const tick = Number((digit * 10 ** decade).toPrecision(3));
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks;
}

// The extent of the values with some margin; the middle where there is one value.
export function extent(values, isLog = false) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value) || (isLog && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return isLog ? [0.1, 10] : [0, 1];
  if (isLog) {
    const margin = Math.max((high / low) ** 0.05, 1.05);
    return [low / margin, high * margin];
  }
  const size = high - low || Math.abs(high) * 0.2 || 1;
  const middle = (low + high) / 2;
  const half = high > low ? size * 0.55 : size;
  return [middle - half, middle + half];
}

// Whether a logarithmic axis shows these values better.
export function spansDecades(values) {
  const [low, high] = extent(values, true);
  return high / low > 8;
}

function axisOptions(axis, isVertical) {
  return {
    side: isVertical ? 3 : 2,
    label: axis.label,
    labelSize: 22,
    labelGap: 2,
    labelFont: FONT,
    font: FONT,
    size: isVertical ? 52 : 34,
    gap: 4,
    space: isVertical ? 36 : 56,
    stroke: () => color("muted"),
    grid: { stroke: () => color("grid"), width: 1 },
    ticks: { stroke: () => color("grid"), width: 1, size: 4 },
    values: (_, splits) => splits.map((value) => axis.tick(value)),
    ...(axis.isLog && { splits: (_u, _axis, low, high) => logTicks(low, high), filter: (_, splits) => splits }),
  };
}

// A chart in `host`. Axes are {label, tick(value), isLog, range: [low, high]}.
export class Plot {
  constructor(host, { height, x, y, data = null, series = null, paint = () => {}, onSelect = null, onResize = () => {} }) {
    this.x = x;
    this.y = y;
    this.host = host;
    const scale = (axis) => ({ time: false, distr: axis.isLog ? 3 : 1, range: () => axis.range });
    const none = { show: true, paths: () => null, points: { show: false } };
    const options = {
      width: Math.max(host.clientWidth, 240),
      height,
      legend: { show: false },
      padding: [10, 14, 0, 0],
      scales: { x: scale(x), y: scale(y) },
      axes: [axisOptions(x, false), axisOptions(y, true)],
      series: [{}, ...(series ?? [none])],
      cursor: {
        x: false,
        y: false,
        points: { show: false },
        drag: { x: onSelect !== null, y: onSelect !== null, setScale: false, dist: 5 },
        bind: { dblclick: () => null },
      },
      select: { show: onSelect !== null },
      hooks: {
        draw: [(plot) => paint(plot, plot.ctx)],
        setSelect: [(plot) => onSelect && onSelect(plot.select)],
      },
    };
    this.u = new uPlot(options, data ?? [x.range.slice(), y.range.slice()], host);
    this.u.root.querySelector("canvas").setAttribute("aria-hidden", "true");
    this.observer = new ResizeObserver(() => {
      const width = host.clientWidth;
      if (width > 0 && width !== this.u.width) {
        this.u.setSize({ width, height });
        onResize();
      }
    });
    this.observer.observe(host);
    this.endTheme = onTheme(() => this.u.redraw(false, true));
  }

  // Draws again, with the axes' present ranges.
  refresh() {
    const [x, y] = [this.x.range, this.y.range];
    this.u.batch(() => {
      this.u.setScale("x", { min: x[0], max: x[1] });
      this.u.setScale("y", { min: y[0], max: y[1] });
      this.u.redraw(false, true);
    });
  }

  // Functions from values to pixels of the canvas, faster than uPlot's own for
  // ten thousand points.
  mappers() {
    const { left, top, width, height } = this.u.bbox;
    const along = (axis, from, length) => {
      const way = axis.isLog ? Math.log : (value) => value;
      const low = way(axis.range[0]);
      const factor = length / (way(axis.range[1]) - low);
      return (value) => from + (way(value) - low) * factor;
    };
    return [along(this.x, left, width), along(this.y, top + height, -height)];
  }

  destroy() {
    this.observer.disconnect();
    this.endTheme();
    this.u.destroy();
  }
}

// Numbers as people read them, as in the tables of the command line.

const KNOWN_COSTS = {
  latency_ms: ["Latency", "ms"],
  energy_mj: ["Energy", "mJ"],
  macs: ["Multiply-accumulates", ""],
  params: ["Parameters", ""],
  memory: ["Peak activation memory", "bytes"],
};

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

// Three significant digits of what lies between 1 and 1000, three decimals below.
function significant(value) {
  const size = Math.abs(value);
  if (size >= 99.95) return value.toFixed(0);
  if (size >= 9.995) return value.toFixed(1);
  return size >= 0.9995 ? value.toFixed(2) : value.toFixed(3);
}

export function percent(fraction, digits = 2) {
  return isNumber(fraction) ? `${(100 * fraction).toFixed(digits)} %` : "–";
}

export function ms(value) {
  return isNumber(value) ? `${significant(value)} ms` : "–";
}

export function interval(value, low, high) {
  if (!isNumber(value)) return "–";
  return isNumber(low) && isNumber(high) ? `${significant(value)} [${significant(low)}, ${significant(high)}]` : significant(value);
}

function prefixed(value, step, prefixes) {
  let scaled = value;
  let at = 0;
  while (scaled >= step - 0.5 && at + 1 < prefixes.length) {
    scaled /= step;
    at += 1;
  }
  return at === 0 ? `${Math.round(value)}${prefixes[0]}` : `${significant(scaled)}${prefixes[at]}`;
}

export function count(value) {
  return isNumber(value) ? prefixed(value, 1000, ["", " k", " M", " G", " T"]) : "–";
}

export function bytes(value) {
  return isNumber(value) ? prefixed(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]) : "–";
}

export function whole(value) {
  return isNumber(value) ? Math.round(value).toLocaleString("en") : "–";
}

export function duration(seconds) {
  if (!isNumber(seconds)) return "–";
  const total = Math.max(0, Math.round(seconds));
  const two = (n) => String(n).padStart(2, "0");
  if (total < 60) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (total < 3600) return `${Math.floor(total / 60)} min ${two(total % 60)} s`;
  if (total < 172800) return `${Math.floor(total / 3600)} h ${two(Math.floor((total % 3600) / 60))} min`;
  return `${Math.floor(total / 86400)} days`;
}

const DAY = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "short" });
const CLOCK = new Intl.DateTimeFormat("sv", { timeStyle: "medium" });

export function when(unixMs) {
  return DAY.format(new Date(unixMs));
}

export function clock(unixMs) {
  return CLOCK.format(new Date(unixMs));
}

// The name of a cost such as `latency_ms@flex`.
export function costName(metric) {
  const [stem, device] = split(metric);
  const name = (KNOWN_COSTS[stem] ?? [stem])[0];
  return device ? `${name} on ${device}` : name;
}

export function costUnit(metric) {
  return (KNOWN_COSTS[split(metric)[0]] ?? ["", ""])[1];
}

export function costLabel(metric) {
  const unit = costUnit(metric);
  return unit && unit !== "bytes" ? `${costName(metric)} (${unit})` : costName(metric);
}

// A cost beside an axis that names the unit.
export function costTick(metric, value) {
  const text = costText(metric, value).replace(/ (ms|mJ)$/, "");
  return text.replace(/(\.\d*?)0+(?= |$)/, "$1").replace(/\.(?= |$)/, "");
}

// A cost's figure, with its unit.
export function costText(metric, value) {
  if (!isNumber(value)) return "–";
  switch (split(metric)[0]) {
    case "macs":
    case "params":
      return count(value);
    case "memory":
      return bytes(value);
    default: {
      const unit = costUnit(metric);
      return unit ? `${significant(value)} ${unit}` : significant(value);
    }
  }
}

function split(metric) {
  const at = metric.indexOf("@");
  return at < 0 ? [metric, ""] : [metric.slice(0, at), metric.slice(at + 1)];
}

// Building the page. Texts become text nodes and never markup: names and notes
// come from a database and may hold anything.

const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "open", "tabIndex"]);

// An element; `on…` properties are listeners, nothing is left out as null or false.
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (PROPERTIES.has(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  put(node, ...children);
  return node;
}

// Adds children, leaving out null and false.
export function put(node, ...children) {
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function refill(node, ...children) {
  node.replaceChildren();
  return put(node, ...children);
}

// A titled part of the page.
export function card(title, ...children) {
  const heading = el("h2", {}, title);
  return el("section", { class: "card" }, heading, ...children);
}

// A labelled control.
export function field(label, control, className = "") {
  return el("label", { class: `field ${className}` }, el("span", {}, label), control);
}

export function badge(word) {
  return el("span", { class: `badge ${word.replace("?", "-unsure")}` }, word);
}

// A list of facts: names and values.
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => ![null, undefined, false, ""].includes(value));
  return el("dl", { class: "facts" }, shown.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

// Tells people who listen to the page.
export function announce(text) {
  document.getElementById("live").textContent = text;
}

export function failure(error) {
  return el("div", { class: "card problem", role: "alert" }, el("p", {}, error.message), error.help && el("p", { class: "hint" }, error.help));
}

// Calls `work` at most once in `pause` ms, and once more after the last call.
export function throttle(pause, work) {
  let timer = null;
  let again = false;
  const run = () => {
    timer = setTimeout(() => {
      timer = null;
      if (again) {
        again = false;
        run();
      }
    }, pause);
    work();
  };
  return () => {
    if (timer === null) run();
    else again = true;
  };
}

// An architecture drawn as a graph: the server's picture, put into the page as
// elements, so that its tips can be read and its colours follow the theme.

import { getText, runPath } from "./api.js";
import { el, refill } from "./dom.js";

// Elements that a drawing is made of; anything else is left out.
const DRAWN = new Set(["svg", "g", "path", "rect", "text", "title", "circle", "ellipse", "line", "polyline", "polygon"]);

function clean(node) {
  for (const child of [...node.children]) {
    if (DRAWN.has(child.localName)) clean(child);
    else child.remove();
  }
  for (const { name } of [...node.attributes]) if (name.startsWith("on") || name === "style" || name.endsWith("href")) node.removeAttribute(name);
}

// The picture of a candidate's network, in a box that scrolls.
export async function networkPicture(run, candidate) {
  const text = await getText(runPath(run, "candidates", String(candidate), "network.svg"));
  const svg = document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);
  if (svg.localName !== "svg") throw new Error("The picture cannot be read.");
  clean(svg);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Network of candidate ${candidate}: ${svg.querySelector("text")?.textContent ?? ""}`);
  const view = el("div", { class: "network fit", tabIndex: 0, role: "region", "aria-label": `Drawing of candidate ${candidate}` }, svg);
  const size = el("button", { type: "button", class: "quiet", "aria-pressed": "false", onclick: () => {
    const isWhole = view.classList.toggle("fit");
    size.setAttribute("aria-pressed", String(!isWhole));
  } }, "Actual size");
  return el("figure", {}, el("figcaption", { class: "controls" }, el("span", { class: "hint" }, "Tinted by multiply-accumulates; point at a box for its figures."), size), view);
}

export async function showNetwork(host, run, candidate) {
  try {
    refill(host, await networkPicture(run, candidate));
  } catch (error) {
    refill(host, el("p", { class: "hint" }, error.message, error.help ? ` ${error.help}` : ""));
  }
}

// Which page an address means. Addresses are after the `#`, so that a report in
// a file has them too.

import { reportRun } from "./api.js";
import { ComparePage } from "./compare.js";
import { DevicesPage } from "./devices.js";
import { el, failure, put, refill } from "./dom.js";
import { RunPage } from "./run.js";
import { RunsPage } from "./runs.js";
import { initTheme } from "./theme.js";

const main = document.getElementById("main");
let page = null;

function pageOf(address) {
  const [, name, rest = ""] = address.split("/");
  const parts = rest.split(",").filter(Boolean).map(decodeURIComponent);
  if (reportRun !== null) return new RunPage(reportRun);
  if (name === "run" && parts.length) return new RunPage(parts[0]);
  if (name === "compare" && parts.length) return new ComparePage(parts);
  if (name === "devices") return new DevicesPage();
  return new RunsPage();
}

async function showPage(isFirst) {
  page?.destroy();
  const next = pageOf(location.hash.slice(1));
  page = next;
  refill(main, next.root);
  for (const link of document.querySelectorAll("#nav a")) {
    const isHere = next instanceof DevicesPage ? link.hash === "#/devices" : link.hash === "#/";
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!isFirst) {
    main.focus();
    scrollTo(0, 0);
  }
  try {
    await next.start();
  } catch (error) {
    if (page === next) refill(main, failure(error));
  }
  document.documentElement.dataset.ready = location.hash || "#/";
}

if (reportRun === null) put(document.getElementById("nav"), el("a", { href: "#/" }, "Runs"), el("a", { href: "#/devices" }, "Devices"));
else document.querySelector(".brand").removeAttribute("href");
initTheme(document.getElementById("theme"));
addEventListener("hashchange", () => {
  // The link that skips to the content is no page.
  if (location.hash === "" || location.hash.startsWith("#/")) showPage(false);
});
showPage(true);

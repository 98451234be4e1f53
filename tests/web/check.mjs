// Drives the page in Chromium and prints a JSON line for each check:
// {check, problems: []}. Started by tests/web/main.rs, which serves the page,
// says what to expect, and goes on with the live run when told to.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const task = JSON.parse(process.argv[2]);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const PHONE = { width: 375, height: 740 };
const DESK = { width: 1280, height: 900 };

const browser = await chromium.launch({
  executablePath: task.chromium,
  headless: true,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

// A page whose errors are kept; `log` is what a user would see as broken.
async function open(address, { theme = "light", size = DESK, ready = true } = {}) {
  const context = await browser.newContext({ viewport: size, colorScheme: theme, reducedMotion: "reduce" });
  const page = await context.newPage();
  page.log = [];
  page.asked = [];
  // 422: a network that cannot be drawn, which the page tells; browsers log it.
  const isTold = (text) => text.includes("status of 422");
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && !isTold(message.text()) && page.log.push(message.text()));
  page.on("pageerror", (error) => page.log.push(String(error)));
  page.on("dialog", (dialog) => page.log.push(`a dialog: ${dialog.message()}`) && dialog.dismiss());
  page.on("request", (request) => page.asked.push(request.url()));
  await page.goto(address.includes(":/") ? address : `${task.base}/${address}`);
  if (ready) await settled(page);
  return page;
}

const settled = async (page) => {
  await page.waitForFunction(() => document.documentElement.dataset.ready !== undefined);
  await page.waitForTimeout(150);
};
const close = (page) => page.context().close();
const front = (page) => page.$eval("#front-plot", (node) => ({ ...node.dataset, drawn: Number(node.querySelector(".scatter").dataset.points) }));
const run = (name) => `#/run/${task.runs[name]}`;
const shoot = (page, name, options = {}) => task.shots && page.screenshot({ path: `${task.shots}/${name}.png`, ...options });

const PAGES = {
  runs: "#/",
  run: run("demo"),
  hostile: run("hostile"),
  compare: `#/compare/${task.runs.demo},${task.runs.other}`,
  devices: "#/devices",
};

const checks = {
  async "pages load without console errors"(problems) {
    for (const [name, address] of Object.entries({ ...PAGES, large: run("large"), missing: "#/run/zzzzzz" })) {
      const page = await open(address);
      const log = name === "missing" ? page.log.filter((text) => !text.includes("404")) : page.log;
      problems.push(...log.map((text) => `${name}: ${text}`));
      if (name === "missing" && !(await page.textContent("main")).includes("runs list")) problems.push("a missing run comes without help");
      const elsewhere = page.asked.filter((url) => !url.startsWith(task.base) && !url.startsWith("data:"));
      problems.push(...elsewhere.map((url) => `${name} asked ${url}`));
      await shoot(page, `${name}-light`, { fullPage: true });
      await close(page);
    }
  },

  async "the front shows as many points as the database"(problems) {
    for (const [name, { candidates, front: members }] of Object.entries(task.expected)) {
      const page = await open(run(name));
      const shown = await front(page);
      if (Number(shown.candidates) !== candidates || Number(shown.front) !== members) problems.push(`${name}: ${JSON.stringify(shown)} instead of ${candidates} and ${members}`);
      if (shown.drawn < candidates) problems.push(`${name}: ${shown.drawn} points drawn of ${candidates}`);
      const rows = await page.$$eval(".front tbody tr", (all) => all.length);
      if (rows !== members) problems.push(`${name}: ${rows} rows for ${members} members`);
      await close(page);
    }
  },

  async "live updates arrive"(problems) {
    const page = await open(run("live"));
    const before = Number((await front(page)).candidates);
    const word = await page.textContent("h1 .badge");
    if (word !== "running") problems.push(`the run is ${word}`);
    say({ ready: "live" });
    const until = before + task.coming;
    await page.waitForFunction((n) => Number(document.querySelector("#front-plot").dataset.candidates) >= n, until, { timeout: 30000 }).catch(() => problems.push("the candidates did not come"));
    await page.waitForFunction(() => document.querySelector("h1 .badge").textContent === "finished", null, { timeout: 15000 }).catch(() => problems.push("the end did not come"));
    const log = await page.textContent(".log");
    if (!log.includes("told live")) problems.push("the log does not tell the end");
    const tile = await page.textContent("#evaluated");
    if (!tile.startsWith(`${until} of`)) problems.push(`the tile says ${tile}`);
    problems.push(...page.log);
    await close(page);
  },

  async "ten thousand candidates"(problems) {
    const page = await open(run("large"));
    const firstPaint = await page.evaluate(() => performance.getEntriesByName("bespoke-front")[0].startTime);
    const times = await page.evaluate(async () => {
      const over = document.querySelector("#front-plot .u-over");
      const box = over.getBoundingClientRect();
      const tip = document.querySelector("#front-plot .tip");
      const times = [];
      let shown = 0;
      for (let i = 0; i < 100; i++) {
        const at = { clientX: box.left + box.width * (0.1 + (0.8 * ((i * 37) % 100)) / 100), clientY: box.top + box.height * (0.25 + (0.5 * ((i * 61) % 100)) / 100) };
        const start = performance.now();
        over.dispatchEvent(new MouseEvent("mousemove", { ...at, bubbles: true }));
        tip.getBoundingClientRect(); // Layout is part of what is waited for.
        times.push(performance.now() - start);
        if (!tip.hidden) shown += 1;
        await new Promise(requestAnimationFrame);
      }
      return { shown, times: times.sort((a, b) => a - b) };
    });
    if (times.shown < 50) problems.push(`only ${times.shown} of 100 places have a tip`);
    const redraw = await page.evaluate(async () => {
      const start = performance.now();
      document.querySelector(".front input[type=checkbox]").click();
      return performance.now() - start;
    });
    const round = (value) => Number(value.toFixed(1));
    say({ figures: { candidates: task.large, first_paint_ms: round(firstPaint), hover_median_ms: round(times.times[50]), hover_worst_ms: round(times.times[99]), other_axis_ms: round(redraw) } });
    await close(page);
  },

  async "accessible in light, dark and on a phone"(problems) {
    const looks = [["light", DESK], ["dark", DESK], ["dark", PHONE], ["light", PHONE]];
    for (const [theme, size] of looks) {
      for (const [name, address] of Object.entries(PAGES)) {
        if (name === "hostile" && size === DESK) continue;
        const page = await open(address, { theme, size });
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
        const where = `${name}, ${theme}, ${size.width} px`;
        for (const { id, impact, nodes } of violations) if (["serious", "critical", "moderate"].includes(impact)) problems.push(`${where}: ${id} (${impact}) at ${nodes.slice(0, 3).map((n) => n.target.join(" ") + " " + (n.any[0]?.message ?? "")).join("; ")}`);
        await shoot(page, `${name}-${theme}-${size.width}`, { fullPage: true });
        await close(page);
      }
    }
  },

  async "nothing is wider than a phone"(problems) {
    for (const [name, address] of Object.entries(PAGES)) {
      const page = await open(address, { size: PHONE });
      const { wide, room } = await page.evaluate(() => ({ wide: document.documentElement.scrollWidth, room: innerWidth }));
      if (wide > room) problems.push(`${name} is ${wide} px wide`);
      await close(page);
    }
  },

  async "hostile names do not run"(problems) {
    for (const address of ["#/", run("hostile"), `#/compare/${task.runs.hostile},${task.runs.demo}`, "#/devices", task.hostile_report]) {
      const page = await open(address);
      await page.waitForTimeout(300);
      if (await page.evaluate(() => window.pwned !== undefined || document.querySelector("main img") !== null)) problems.push(`${address}: it ran`);
      if (!(await page.textContent("main")).includes(task.hostile_text)) problems.push(`${address}: the name is not shown as it is`);
      problems.push(...page.log.map((text) => `${address}: ${text}`));
      await close(page);
    }
    // Our own policy refuses what an injection would try.
    const page = await open("#/");
    await page.evaluate(() => {
      const script = document.createElement("script");
      script.textContent = "window.pwned = 1";
      document.body.append(script);
      document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.pwned=1'>");
    });
    await page.waitForTimeout(200);
    if (await page.evaluate(() => window.pwned !== undefined)) problems.push("the policy lets inline scripts run");
    await close(page);
  },

  async "the keyboard is enough"(problems) {
    const page = await open("#/");
    const focused = () => page.evaluate(() => document.activeElement.textContent.trim() || document.activeElement.className);
    await page.keyboard.press("Tab");
    if ((await focused()) !== "Skip to content") problems.push(`the first stop is ${await focused()}`);
    await page.keyboard.press("Enter");
    if ((await page.evaluate(() => document.activeElement.id)) !== "main") problems.push("skipping leads elsewhere");
    await page.focus("#theme");
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const grounds = [await ground()];
    for (let i = 0; i < 2; i++) {
      await page.keyboard.press("Enter");
      grounds.push(await ground());
    }
    if (grounds[0] === grounds[2]) problems.push(`the theme does not change: ${grounds}`);
    await page.focus("th button.sort");
    await page.keyboard.press("Enter");
    if (!(await page.$("th[aria-sort]"))) problems.push("columns do not sort");
    await page.focus(`a[href="${run("demo")}"]`);
    await page.keyboard.press("Enter");
    await page.waitForSelector("#front-plot .scatter");
    await page.waitForSelector("#candidate .network svg");
    const first = await page.textContent("#candidate h2");
    await page.focus("#front-plot .scatter");
    await page.keyboard.press("Home");
    if (!(await page.isVisible("#front-plot .tip"))) problems.push("no tip at the first point");
    const cheapest = await page.textContent("#front-plot .tip");
    await page.keyboard.press("ArrowRight");
    if ((await page.textContent("#front-plot .tip")) === cheapest) problems.push("the arrow does not move");
    if (!(await page.textContent("#live")).includes("Candidate")) problems.push("nothing is announced");
    await page.keyboard.press("Enter");
    await page.waitForFunction((before) => document.querySelector("#candidate h2").textContent !== before, first, { timeout: 5000 }).catch(() => problems.push("Enter shows no candidate"));
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Escape");
    if (await page.isVisible("#front-plot .tip")) problems.push("Escape leaves the tip");
    await page.fill(".front .controls label:last-child input", "85");
    await page.keyboard.press("Enter");
    if (!(Number((await front(page)).selected) > 0)) problems.push("the field selects nothing");
    problems.push(...page.log);
    await close(page);
  },

  async "points can be picked and brushed"(problems) {
    const page = await open(run("demo"));
    const box = await page.locator("#front-plot .u-over").boundingBox();
    const at = (x, y) => [box.x + box.width * x, box.y + box.height * y];
    await page.mouse.move(...at(0.3, 0.1));
    await page.mouse.down();
    await page.mouse.move(...at(0.6, 0.4));
    await page.mouse.move(...at(0.9, 0.9), { steps: 4 });
    await page.mouse.up();
    const { selected, candidates } = await front(page);
    if (!(Number(selected) > 0 && Number(selected) < Number(candidates))) problems.push(`${selected} of ${candidates} selected`);
    const rows = await page.$$eval(".front tbody tr", (all) => all.length);
    if (rows !== Number(selected)) problems.push(`${rows} rows for ${selected} selected`);
    await shoot(page, "brushed");
    const ranges = () => page.$eval("#front-summary", (node) => node.textContent);
    await page.click("text=Zoom to selection");
    if (!(await page.isVisible("text=Show all"))) problems.push("zooming cannot be undone");
    await shoot(page, "zoomed");
    await page.click("text=Show all");
    await page.click("text=Clear selection");
    if (!(await ranges()).includes("drag over the plot")) problems.push("the selection stays");
    const before = await page.textContent("#candidate h2");
    const place = await page.evaluate(() => {
      const row = document.querySelector(".front tbody tr button");
      row.click();
      const ring = document.querySelector("#front-plot .ring.picked").getBoundingClientRect();
      const plot = document.querySelector("#front-plot").getBoundingClientRect();
      return { name: row.textContent, x: ring.x + ring.width / 2 - plot.x, y: ring.y + ring.height / 2 - plot.y };
    });
    await page.waitForFunction((name) => document.querySelector("#candidate h2").textContent.includes(`Candidate ${name} `), place.name);
    await page.click(".front tbody tr:last-child button");
    await page.waitForFunction((name) => !document.querySelector("#candidate h2").textContent.includes(`Candidate ${name} `), place.name);
    await page.locator("#front-plot").click({ position: place });
    await page.waitForFunction((name) => document.querySelector("#candidate h2").textContent.includes(`Candidate ${name} `), place.name, { timeout: 5000 }).catch(() => problems.push("a click on the point shows another candidate"));
    if (!before) problems.push("no candidate was shown at first");
    await page.waitForSelector("#candidate .network svg");
    await page.waitForTimeout(200);
    await shoot(page, "picked");
    problems.push(...page.log);
    await close(page);
  },

  async "costs can be chosen"(problems) {
    const page = await open(run("demo"));
    const costs = await page.$$eval(".front select option", (all) => all.map((option) => option.value));
    for (const wanted of ["latency_ms", "latency_ms@pi5/tract", "macs", "params", "memory"]) if (!costs.includes(wanted)) problems.push(`${wanted} is not among ${costs}`);
    const { candidates } = await front(page);
    for (const cost of costs) {
      await page.selectOption(".front select", cost);
      const shown = await front(page);
      if (shown.candidates !== candidates || !(Number(shown.front) > 0)) problems.push(`${cost}: ${JSON.stringify(shown)}`);
    }
    await shoot(page, "memory", { fullPage: true });
    problems.push(...page.log);
    await close(page);
  },

  async "notes need the token"(problems) {
    const page = await open(run("other"));
    await page.fill("input[type=password]", "not-the-token-at-all");
    await page.click("text=Unlock");
    await page.waitForSelector("text=That is not the token");
    await page.fill("input[type=password]", task.token);
    await page.click("text=Unlock");
    await page.fill("textarea", task.hostile_text);
    await page.click("button:text('Leave note')");
    await page.waitForSelector("text=The note is recorded");
    await page.waitForFunction((text) => document.querySelector(".log").textContent.includes(text), task.hostile_text, { timeout: 10000 }).catch(() => problems.push("the note is not in the log"));
    await page.waitForFunction((text) => document.querySelector(".remarks.notes")?.textContent.includes(text), task.hostile_text, { timeout: 10000 }).catch(() => problems.push("the note is not among the notes"));
    if (await page.evaluate(() => window.pwned !== undefined)) problems.push("the note ran");
    problems.push(...page.log);
    await close(page);
  },

  async "runs and devices can be compared"(problems) {
    const page = await open("#/");
    for (const name of ["demo", "other"]) await page.check(`input[aria-label$="${task.runs[name]}"]`);
    await page.click("button:text('Compare 2')");
    await page.waitForSelector("#compare-plot .scatter");
    const lines = await page.$$eval("main .legend li", (all) => all.length);
    if (lines !== 4) problems.push(`${lines} fronts of two runs on two engines`);
    if (!(await page.$("tr.differs"))) problems.push("no difference is marked");
    await page.goto(`${task.base}/#/devices`);
    await page.waitForSelector(".devices .card");
    const text = await page.textContent("main");
    for (const told of ["pi5", "measuring", "83 °C", "ondemand", "workstation"]) if (!text.includes(told)) problems.push(`devices: no ${told}`);
    problems.push(...page.log);
    await close(page);
  },

  async "a report opens from a file"(problems) {
    const page = await open(task.report);
    const shown = await front(page);
    if (Number(shown.candidates) !== task.expected.demo.candidates || Number(shown.front) !== task.expected.demo.front) problems.push(JSON.stringify(shown));
    await page.waitForSelector("#candidate .network svg");
    const elsewhere = page.asked.filter((url) => !url.startsWith("file:") && !url.startsWith("data:"));
    problems.push(...page.log, ...elsewhere.map((url) => `it asked ${url}`));
    await page.selectOption(".front select", "macs");
    await page.click(".front tbody tr button");
    await page.waitForTimeout(200);
    problems.push(...page.log);
    await shoot(page, "report", { fullPage: true });
    await close(page);
  },
};

const only = process.env.BESPOKE_ONLY;
for (const [name, check] of Object.entries(checks)) {
  if (only && !name.includes(only)) continue;
  const problems = [];
  try {
    await check(problems);
  } catch (error) {
    problems.push(String(error));
  }
  say({ check: name, problems });
}
await browser.close();

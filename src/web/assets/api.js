// Where the page's data comes from: the server it was loaded from, or, in a
// report, the data inside the file, by the same addresses.

const embedded = document.getElementById("report-data");
const reportData = embedded ? JSON.parse(embedded.textContent) : null;

// The run of a report; none when served.
export const reportRun = reportData ? reportData.run : null;

let token = "";
try {
  token = sessionStorage.getItem("bespoke-token") ?? "";
} catch {
  // No storage: the token is asked for again.
}

export class Problem extends Error {
  constructor(message, help, status) {
    super(message);
    this.help = help;
    this.status = status;
  }
}

function inReport(path) {
  if (path in reportData.answers) return reportData.answers[path];
  throw new Problem("The report does not hold this part of the run.", "It holds the front's members; `bespoke web` shows every candidate.", 404);
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(`/api/${path}`, options);
  } catch {
    throw new Problem("The server does not answer.", "Is `bespoke web` still running?", 0);
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new Problem(body.error ?? `The server answered ${response.status}.`, body.help, response.status);
}

export async function getJson(path) {
  return reportData ? inReport(path) : (await ask(path)).json();
}

export async function getText(path) {
  return reportData ? inReport(path) : (await ask(path)).text();
}

export function runPath(run, ...parts) {
  return ["runs", run, ...parts].map(encodeURIComponent).join("/");
}

// Whether notes can be left, and whether the token of this visit is right.
export async function session() {
  if (reportData) return { writable: false, unlocked: false, version: reportData.version };
  return (await ask("session", { headers: token ? { Authorization: `Bearer ${token}` } : {} })).json();
}

export function useToken(text) {
  token = text;
  try {
    sessionStorage.setItem("bespoke-token", text);
  } catch {
    // Kept until the page is left.
  }
}

export async function leaveNote(run, text) {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  await ask(runPath(run, "notes"), { method: "POST", headers, body: JSON.stringify({ text }) });
}

// Follows a run from the event `after` on; returns what ends that.
export function followRun(run, after, { onNews, onLink, onGone }) {
  if (reportData) return () => {};
  const source = new EventSource(`/api/${runPath(run, "events")}?after=${after}`);
  source.addEventListener("open", () => onLink(true));
  source.addEventListener("error", () => onLink(false));
  source.addEventListener("news", (event) => onNews(JSON.parse(event.data)));
  source.addEventListener("gone", () => {
    source.close();
    onGone();
  });
  return () => source.close();
}

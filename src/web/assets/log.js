// What happened lately, and notes people leave.

import { leaveNote, session, useToken } from "./api.js";
import { card, el, field, put, refill } from "./dom.js";
import { clock, when } from "./format.js";

const KEPT_LINES = 200;

export class LogCard {
  constructor(run) {
    this.run = run;
    this.lines = [];
    this.list = el("ol", { class: "log" });
    this.notes = el("div");
    const box = el("div", { class: "scroll tall", tabIndex: 0, role: "region", "aria-label": "Latest events, the newest first" }, this.list);
    this.root = card("Latest events", box, this.notes);
  }

  async start() {
    await this.offerNotes();
  }

  add(lines) {
    this.lines = [...this.lines, ...lines].slice(-KEPT_LINES);
    const day = this.lines.length ? when(this.lines[this.lines.length - 1].at_ms).slice(0, 10) : "";
    const line = (entry) => {
      const full = when(entry.at_ms);
      const time = el("time", { datetime: new Date(entry.at_ms).toISOString(), title: full }, full.startsWith(day) ? clock(entry.at_ms) : full);
      return el("li", { class: `kind-${entry.kind.replace(/[^a-z_]/g, "")}` }, time, el("span", { class: "kind" }, entry.kind), el("span", {}, entry.text));
    };
    refill(this.list, [...this.lines].reverse().map(line));
  }

  async offerNotes() {
    const { writable, unlocked } = await session();
    refill(this.notes);
    if (!writable) return;
    put(this.notes, unlocked ? this.noteForm() : this.tokenForm());
  }

  noteForm() {
    const text = el("textarea", { rows: 2, maxlength: 4000, required: true });
    const words = el("p", { class: "hint", role: "status" });
    const send = async (event) => {
      event.preventDefault();
      try {
        await leaveNote(this.run, text.value);
        text.value = "";
        words.textContent = "The note is recorded.";
      } catch (error) {
        words.textContent = `${error.message} ${error.help ?? ""}`;
        if (error.status === 401) await this.offerNotes();
      }
    };
    return el("form", { class: "note", onsubmit: send }, field("Leave a note on this run", text), el("button", {}, "Leave note"), words);
  }

  tokenForm() {
    const text = el("input", { type: "password", autocomplete: "off", required: true });
    const words = el("p", { class: "hint", role: "status" });
    const send = async (event) => {
      event.preventDefault();
      useToken(text.value.trim());
      const { unlocked } = await session();
      if (unlocked) await this.offerNotes();
      else words.textContent = "That is not the token `bespoke web` was started with.";
    };
    return el("form", { class: "note", onsubmit: send }, field("Token, to leave notes", text), el("button", {}, "Unlock"), words);
  }
}

// Tables that sort by a click, or Enter, on a column's head.

import { el, refill } from "./dom.js";

// Columns are {name, text(row), sort(row)?, numeric?}; rows any objects.
// `chosen(row)` marks rows; `choose(row)` makes the first cell a button.
export function sortable({ caption, columns, rows, sortBy = null, descending = false, choose = null, chosen = () => false, empty = "Nothing here." }) {
  let by = sortBy;
  let down = descending;
  let shown = rows;
  const head = el("tr");
  const body = el("tbody");
  const table = el("table", {}, el("caption", { class: "unseen" }, caption), el("thead", {}, head), body);
  const root = el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": caption }, table);

  function heading(column, at) {
    const order = at === by ? (down ? "descending" : "ascending") : null;
    const press = () => {
      down = at === by ? !down : Boolean(column.numeric);
      by = at;
      fill();
      head.children[at].querySelector("button").focus();
    };
    const inside = column.sort ? el("button", { type: "button", class: "sort", onclick: press }, column.name) : column.name;
    return el("th", { scope: "col", class: column.numeric && "number", "aria-sort": order }, inside);
  }

  function cell(column, at, row) {
    const content = column.text(row);
    const inside = at === 0 && choose ? el("button", { type: "button", class: "link", onclick: () => choose(row) }, content) : content;
    return el("td", { class: column.numeric && "number" }, inside);
  }

  function fill() {
    refill(head, columns.map(heading));
    let sorted = shown;
    if (by !== null) {
      const key = columns[by].sort;
      const sign = down ? -1 : 1;
      const missing = (value) => value === null || value === undefined || Number.isNaN(value);
      sorted = [...shown].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (missing(x) || missing(y)) return missing(x) - missing(y);
        return x < y ? -sign : x > y ? sign : 0;
      });
    }
    const line = (row) => el("tr", { class: chosen(row) && "chosen" }, columns.map((column, at) => cell(column, at, row)));
    refill(body, sorted.length ? sorted.map(line) : el("tr", {}, el("td", { colspan: columns.length, class: "hint" }, empty)));
  }

  fill();
  return {
    root,
    update(next) {
      shown = next;
      fill();
    },
  };
}

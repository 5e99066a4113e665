// A small table whose rows follow the trace: a ledger with its current row marked, or one set of rows a frame.
// Everything is put in as text, never as HTML.

import { channel, views } from "./bus.js";
import { fresh, load } from "./films.js";

function cell(column, content) {
  const made = document.createElement("td");
  made.className = column.align === "left" ? "lv-left" : "lv-right";
  if (column.wide) made.classList.add("lv-wide");
  if (content === null || typeof content !== "object") {
    made.textContent = content ?? "";
    return made;
  }
  if (column.wide) made.title = `${content.text} ${content.note ?? ""}`;
  const mark = document.createElement("span");
  mark.className = content.ring ? "lv-ring" : "lv-dot";
  mark.style.setProperty("--lv-mark", content.ring ?? content.dot);
  if (content.ring) mark.textContent = content.text;
  if (content.ring || content.dot) made.append(mark);
  if (content.ring) return made;
  made.append(content.text);
  if (content.note) {
    const note = document.createElement("span");
    note.className = "lv-muted";
    note.textContent = ` · ${content.note}`;
    made.append(note);
  }
  return made;
}

/** A row: a cell for each column, or a text across all of them. */
function line(columns, row) {
  const made = document.createElement("tr");
  if (Array.isArray(row)) {
    made.append(...row.map((content, i) => cell(columns[i], content)));
    return made;
  }
  const told = document.createElement("td");
  told.className = "lv-left lv-muted";
  told.colSpan = columns.length;
  told.textContent = row.across;
  made.append(told);
  return made;
}

class Table {
  constructor(parent) {
    this.node = document.createElement("div");
    this.node.className = "lv-table";
    this.node.tabIndex = 0;
    parent.append(this.node);
  }

  update({ data, setTriggerValue }) {
    this.data = data;
    this.tell = setTriggerValue;
    views.set(data.name, this);
    this.node.dataset.follows = data.channel ?? "";
    if (data.channel !== this.name) {
      this.leave?.();
      this.name = data.channel;
      this.channel = data.channel ? channel(data.channel) : null;
      this.leave = this.channel?.follow(() => this.show());
    }
    if (!fresh(this, data)) {
      this.show();
    } else if (data.rows) {
      this.id = data.id;
      this.waits = null;
      this.build(null);
    } else {
      load(this, data, (frames) => this.build(frames));
    }
  }

  /** Takes an answer to a hand: other rows, until Python sends its own. */
  take(rows) {
    this.id = this.waits = null;
    this.fill(rows);
  }

  /** Makes the table anew, of the frames that came or of the rows; until then it stays as it is. */
  build(frames) {
    this.frames = frames;
    const { scrollTop } = this.node;
    const focused = this.node.contains(document.activeElement) ? document.activeElement.dataset.pick : null;
    this.make();
    this.node.scrollTop = scrollTop;
    if (focused) this.node.querySelector(`[data-pick="${focused}"]`)?.focus();
    this.show();
  }

  make() {
    const table = document.createElement("table");
    table.setAttribute("aria-label", this.data.alt);
    const head = table.createTHead().insertRow();
    for (const column of this.data.columns) {
      const made = document.createElement("th");
      made.textContent = column.label;
      made.className = column.align === "left" ? "lv-left" : "lv-right";
      head.append(made);
    }
    this.body = table.createTBody();
    this.node.replaceChildren(table);
    this.node.style.maxHeight = `${this.data.height}px`;
    this.filled = null;
    if (this.data.rows) this.fill(this.data.rows);
    if (this.data.picks) this.offer();
  }

  /** Rows that can be picked, by mouse or keyboard; a table drawn anew keeps the focus where it was. */
  offer() {
    [...this.body.rows].forEach((row, i) => {
      const name = this.data.picks[i];
      row.classList.add("lv-pick");
      row.tabIndex = 0;
      row.dataset.pick = name;
      row.classList.toggle("lv-now", name === this.data.selected);
      row.setAttribute("aria-selected", name === this.data.selected);
      row.addEventListener("click", () => this.tell("pick", name));
      row.addEventListener("keydown", ({ key }) => key === "Enter" && this.tell("pick", name));
    });
  }

  fill(rows) {
    this.body.replaceChildren(...rows.map((row) => line(this.data.columns, row)));
  }

  show() {
    const index = this.channel?.index ?? 0;
    if (this.frames) {
      const at = Math.min(index, this.frames.length - 1);
      if (at !== this.filled) this.fill(this.frames[at]);
      this.filled = at;
    } else if (this.channel && this.data.rows) {
      this.mark(Math.min(index, this.data.rows.length - 1));
    }
    this.node.dataset.frame = index;
  }

  mark(index) {
    this.body.querySelector(".lv-now")?.classList.remove("lv-now");
    const row = this.body.rows[index];
    if (!row) return;
    row.classList.add("lv-now");
    const bottom = row.offsetTop + row.offsetHeight;
    const top = row.offsetTop - this.body.rows[0].offsetTop;
    const { scrollTop, clientHeight } = this.node;
    if (bottom > scrollTop + clientHeight || top < scrollTop) this.node.scrollTop = bottom - clientHeight;
  }

  close() {
    this.closed = true;
    this.leave?.();
    if (views.get(this.data.name) === this) views.delete(this.data.name);
    this.node.remove();
  }
}

export default function (component) {
  const parent = component.parentElement;
  parent.lvTable ??= new Table(parent);
  parent.lvTable.update(component);
  return () => {
    parent.lvTable?.close();
    delete parent.lvTable;
  };
}

// A small canvas to draw an image on, a cell a pixel: with the pointer, or with the keys. What was drawn is told
// to Python when the hand rests.

const FULL = 255;
const FINE = 16; // cells along a side, up to which a stroke is one cell wide
const RESTS_MS = 350; // after the last key

/** The bytes of a text in base64, and the way back. */
const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
const encode = (cells) => btoa(Array.from(cells, (cell) => String.fromCharCode(cell)).join(""));

class Sketch {
  constructor(parent) {
    this.node = document.createElement("div");
    this.node.className = "lv-sketch";
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.said = document.createElement("output");
    this.clear = document.createElement("button");
    this.clear.type = "button";
    this.clear.textContent = "Clear";
    this.clear.addEventListener("click", () => this.wipe());
    this.node.append(this.canvas, this.clear, this.said);
    parent.append(this.node);
    this.at = [0, 0];
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => this.end());
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("focus", () => this.paint());
    canvas.addEventListener("blur", () => this.paint());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /** Takes what Python sent; a stroke that goes on is not taken away. */
  update({ data, setTriggerValue }) {
    this.tell = setTriggerValue;
    const fresh = data.pixels !== this.data?.pixels || data.rows !== this.data?.rows;
    this.data = data;
    if (!this.cells || this.cells.length !== data.rows * data.columns || (fresh && !this.ink && !this.waits))
      this.cells = bytes(data.pixels);
    this.canvas.setAttribute("aria-label", data.alt);
    this.paint();
  }

  // ---- the pointer ----

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const { rows, columns } = this.data;
    const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
    const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
    return [Math.min(Math.max(row, 0), rows - 1), Math.min(Math.max(column, 0), columns - 1)];
  }

  begin(event) {
    event.preventDefault();
    this.canvas.focus();
    this.canvas.setPointerCapture(event.pointerId);
    this.at = this.place(event);
    this.ink = { value: event.button === 2 || event.shiftKey ? 0 : FULL };
    this.dab(this.at);
    this.paint();
  }

  /** Every cell on the way from the last place: a fast hand leaves no holes. */
  move(event) {
    if (!this.ink) return;
    const [from, to] = [this.at, this.place(event)];
    const steps = Math.max(Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]), 1);
    for (let k = 1; k <= steps; k++)
      this.dab([0, 1].map((axis) => Math.round(from[axis] + (k / steps) * (to[axis] - from[axis]))));
    this.at = to;
    this.paint();
  }

  end() {
    if (!this.ink) return;
    this.ink = null;
    this.send();
  }

  /** One cell; on a fine canvas also its neighbours, as a pen is wide. */
  dab([row, column]) {
    const { rows, columns } = this.data;
    const wide = Math.max(rows, columns) > FINE ? Math.max(rows, columns) / 24 : 0;
    const reach = Math.ceil(wide);
    for (let i = Math.max(0, row - reach); i <= Math.min(rows - 1, row + reach); i++)
      for (let j = Math.max(0, column - reach); j <= Math.min(columns - 1, column + reach); j++)
        if (Math.hypot(i - row, j - column) <= wide) this.cells[i * columns + j] = this.ink.value;
  }

  // ---- the keys ----

  key(event) {
    const ways = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    const { rows, columns } = this.data;
    const way = ways[event.key];
    if (!way && ![" ", "Enter", "Delete", "Backspace"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (way) {
      this.at = [
        Math.min(Math.max(this.at[0] + way[0], 0), rows - 1),
        Math.min(Math.max(this.at[1] + way[1], 0), columns - 1),
      ];
    } else if (event.key === " " || event.key === "Enter") this.flip();
    else {
      this.wipe();
      return;
    }
    const cell = this.cells[this.at[0] * columns + this.at[1]];
    this.said.textContent = `row ${this.at[0] + 1}, column ${this.at[1] + 1}: ${cell ? "ink" : "empty"}`;
    this.paint();
  }

  flip() {
    const cell = this.at[0] * this.data.columns + this.at[1];
    this.cells[cell] = this.cells[cell] > FULL / 2 ? 0 : FULL;
    clearTimeout(this.waits);
    this.waits = setTimeout(() => this.send(), RESTS_MS);
  }

  wipe() {
    this.cells.fill(0);
    this.paint();
    this.send();
  }

  send() {
    clearTimeout(this.waits);
    this.waits = 0;
    if (!this.closed) this.tell("drawn", { pixels: encode(this.cells) });
  }

  // ---- the picture ----

  paint() {
    const { rows, columns, size, colours } = this.data;
    const ratio = window.devicePixelRatio;
    const cell = size / Math.max(rows, columns);
    const [width, height] = [cell * columns, cell * rows];
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.cells.forEach((value, i) => {
      if (!value) return;
      context.fillStyle = `rgba(${colours.ink.join(",")},${value / FULL})`;
      context.fillRect((i % columns) * cell, Math.floor(i / columns) * cell, cell, cell);
    });
    context.strokeStyle = colours.border;
    for (let k = 1; rows <= FINE && k < Math.max(rows, columns); k++) {
      context.strokeRect(k * cell, -1, 0, height + 2);
      context.strokeRect(-1, k * cell, width + 2, 0);
    }
    if (document.activeElement !== this.canvas) return;
    context.strokeStyle = colours.cursor;
    context.lineWidth = 2;
    context.strokeRect(this.at[1] * cell + 1, this.at[0] * cell + 1, cell - 2, cell - 2);
  }

  close() {
    if (this.waits) this.send();
    this.closed = true;
    this.node.remove();
  }
}

export default function (component) {
  const parent = component.parentElement;
  parent.lvSketch ??= new Sketch(parent);
  parent.lvSketch.update(component);
  return () => {
    parent.lvSketch?.close();
    delete parent.lvSketch;
  };
}

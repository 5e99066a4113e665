// Pixels of an image in a plot, taken with a brush: with the pointer, or with the arrow keys and Space. Python is told
// which ones when the hand rests; until it has answered they are marked.

const WAYS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

/** The cells on a straight way, so that a fast hand leaves no holes. */
function between([row, column], [toRow, toColumn]) {
  const steps = Math.max(Math.abs(toRow - row), Math.abs(toColumn - column), 1);
  return Array.from({ length: steps }, (_, k) =>
    [row + ((k + 1) / steps) * (toRow - row), column + ((k + 1) / steps) * (toColumn - column)].map(Math.round),
  );
}

/** One image that can be painted on. */
class Canvas {
  constructor(brush) {
    this.brush = brush;
    this.node = document.createElement("div");
    this.node.className = "lv-canvas";
    this.node.tabIndex = 0;
    this.node.setAttribute("role", "application");
    this.node.addEventListener("keydown", (event) => this.key(event));
    this.node.addEventListener("blur", () => this.cursor?.remove());
    brush.layer.append(this.node);
    this.at = [0, 0];
    this.taken = new Set();
  }

  /** Where it lies in the plot, px. */
  locate({ xaxis, yaxis }) {
    const { x, y, columns, rows, label, colour } = this.spec;
    const [left, right] = [x, x + columns].map((at) => xaxis._offset + xaxis.d2p(at));
    const [top, bottom] = [y, y - rows].map((at) => yaxis._offset + yaxis.d2p(at));
    this.box = { left, top, width: right - left, height: bottom - top };
    for (const side of Object.keys(this.box)) this.node.style[side] = `${this.box[side]}px`;
    this.node.style.setProperty("--lv-colour", colour);
    this.node.setAttribute("aria-label", label);
  }

  /** The row and column under a place, px from the plot's corner; null outside. */
  cell(x, y) {
    const { left, top, width, height } = this.box ?? {};
    const row = Math.floor(((y - top) / height) * this.spec.rows);
    const column = Math.floor(((x - left) / width) * this.spec.columns);
    const inside = row >= 0 && row < this.spec.rows && column >= 0 && column < this.spec.columns;
    return inside ? [row, column] : null;
  }

  mark([row, column], name) {
    const made = document.createElement("div");
    made.className = name;
    const [high, wide] = [100 / this.spec.rows, 100 / this.spec.columns];
    made.style.cssText = `left:${column * wide}%;top:${row * high}%;width:${wide}%;height:${high}%`;
    this.node.append(made);
    return made;
  }

  take(cell) {
    const place = cell[0] * this.spec.columns + cell[1];
    if (this.taken.has(place)) return;
    this.taken.add(place);
    this.mark(cell, "lv-cell");
  }

  begin(cell) {
    this.at = cell;
    this.take(cell);
  }

  move(cell) {
    if (cell) for (const next of between(this.at, cell)) this.take(next);
    this.at = cell ?? this.at;
  }

  end() {
    const cells = [...this.taken];
    this.taken.clear();
    if (cells.length) this.brush.tell({ canvas: this.spec.name, cells });
  }

  key(event) {
    const way = WAYS[event.key];
    if (!way && event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    if (way) {
      const most = [this.spec.rows - 1, this.spec.columns - 1];
      this.at = this.at.map((place, axis) => Math.min(Math.max(place + way[axis], 0), most[axis]));
    } else {
      this.take(this.at);
      this.end();
    }
    this.cursor?.remove();
    this.cursor = this.mark(this.at, "lv-cell lv-cursor");
    this.brush.said.textContent = `row ${this.at[0] + 1}, column ${this.at[1] + 1}`;
  }

  /** Python has answered: what was marked is in the picture. */
  clear() {
    if (this.taken.size) return;
    for (const cell of this.node.querySelectorAll(".lv-cell:not(.lv-cursor)")) cell.remove();
  }
}

/** The images of one plot that can be painted on; `tell` sends which pixels were. */
export class Brush {
  constructor(plot) {
    this.plot = plot;
    this.layer = document.createElement("div");
    this.layer.className = "lv-brush";
    this.said = document.createElement("output");
    this.layer.append(this.said);
    plot.node.append(this.layer);
    this.canvases = [];
    this.listeners = { pointerdown: (e) => this.begin(e), pointermove: (e) => this.move(e), pointerup: () => this.end(), pointercancel: () => this.end() };
    for (const [name, heard] of Object.entries(this.listeners)) plot.node.addEventListener(name, heard);
  }

  update(spec, tell) {
    this.tell = tell;
    while (this.canvases.length < spec.length) this.canvases.push(new Canvas(this));
    while (this.canvases.length > spec.length) this.canvases.pop().node.remove();
    this.canvases.forEach((canvas, i) => (canvas.spec = spec[i]));
    this.locate();
    for (const canvas of this.canvases) canvas.clear();
  }

  locate() {
    const layout = this.plot.node._fullLayout;
    if (layout?.xaxis?._offset !== undefined) for (const canvas of this.canvases) canvas.locate(layout);
  }

  cell(canvas, event) {
    const { left, top } = this.plot.node.getBoundingClientRect();
    return canvas.cell(event.clientX - left, event.clientY - top);
  }

  begin(event) {
    if (event.button !== 0) return;
    for (const canvas of this.canvases) {
      const cell = this.cell(canvas, event);
      if (!cell) continue;
      event.preventDefault();
      this.held = canvas;
      canvas.begin(cell);
    }
  }

  move(event) {
    this.held?.move(this.cell(this.held, event));
  }

  end() {
    this.held?.end();
    this.held = null;
  }

  close() {
    for (const [name, heard] of Object.entries(this.listeners)) this.plot.node.removeEventListener(name, heard);
    this.layer.remove();
  }
}

// The latent plane: under the pointer the atlas is blended into an image, at display rate and without the server.
//
// Python sends one picture of the plane and one sprite of decoded tiles (latent_still.js); the browser blends the four
// tiles round the pointer. A click, or Enter, pins a place: only that is told to Python, whose numbers come first by an
// address of their own (latent_answer.py); the page runs when they are there.

import { asked, show } from "./answer.js";
import { line, word } from "./latent_marks.js";
import { still } from "./latent_still.js";

const ROOM = { left: 34, right: 4, top: 4, bottom: 30 }; // px round the plane, for its ticks
const LENS = 84; // px, side of the magnified image
const NUDGE = 0.05; // of half the plane, for one press of an arrow key; a fifth of it with Shift
const SHARP = 2; // pixels of a saved picture for each px
const PATIENCE = 300; // ms for the numbers: then the page runs without them

class Latent {
  constructor(parent) {
    this.node = document.createElement("div");
    this.node.className = "lv-latent";
    this.node.tabIndex = 0;
    this.node.dataset.name = "picture"; // for the button that saves it
    this.node.lvSave = (name) => this.save(name);
    this.node.setAttribute("role", "application");
    this.still = document.createElement("canvas");
    this.moving = document.createElement("canvas");
    this.said = document.createElement("output");
    this.node.append(this.still, this.moving, this.said);
    parent.append(this.node);
    this.frames = 0; // of the lens, for tests and benchmarks
    this.resize = new ResizeObserver(() => this.paint());
    this.resize.observe(this.node);
    const follow = (event) => this.hover(this.place(event));
    this.node.addEventListener("pointermove", follow);
    this.node.addEventListener("pointerdown", follow);
    this.node.addEventListener("pointerleave", () => this.hover(null));
    this.node.addEventListener("click", (event) => this.pin(this.place(event)));
    this.node.addEventListener("keydown", (event) => this.key(event));
    this.node.addEventListener("blur", () => this.hover(null));
  }

  /** Takes what Python sent; unpacks only what is new. */
  async update({ data, setTriggerValue }) {
    this.tell = setTriggerValue;
    this.latest = data;
    this.node.style.height = `${data.height}px`;
    this.node.setAttribute("aria-label", data.alt);
    const large = await still(data.id);
    if (this.closed || data !== this.latest) return;
    this.data = data; // only now: what was there stays whole meanwhile
    if (large !== this.large) {
      this.large = large;
      this.lens = new ImageData(large.width, large.height);
      this.small = new OffscreenCanvas(large.width, large.height);
    }
    this.paint();
  }

  // ---- places ----

  box() {
    const width = this.node.clientWidth - ROOM.left - ROOM.right;
    const size = Math.max(50, Math.min(width, this.data.height - ROOM.top - ROOM.bottom));
    return { left: ROOM.left + Math.max(0, (width - size) / 2), top: ROOM.top, size };
  }

  toPixels([z1, z2]) {
    const { left, top, size } = this.box();
    const { centre, edge } = this.data;
    return [left + (size * (z1 - centre[0] + edge)) / (2 * edge), top + (size * (centre[1] + edge - z2)) / (2 * edge)];
  }

  place(event) {
    if (!this.large) return null;
    const outer = this.node.getBoundingClientRect();
    const { left, top, size } = this.box();
    const { centre, edge } = this.data;
    const u = (event.clientX - outer.left - left) / size;
    const v = (event.clientY - outer.top - top) / size;
    if (u < 0 || u > 1 || v < 0 || v > 1) return null;
    return [centre[0] + edge * (2 * u - 1), centre[1] + edge * (1 - 2 * v)];
  }

  key(event) {
    if (!this.data) return;
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
    const { centre, edge, pin } = this.data;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.pin(this.at ?? pin);
      return;
    }
    const way = ways[event.key];
    if (!way) return;
    event.preventDefault();
    event.stopPropagation();
    const by = NUDGE * (event.shiftKey ? 0.2 : 1) * edge;
    const from = this.at ?? pin ?? centre;
    const clamp = (value, k) => Math.min(Math.max(value, centre[k] - edge), centre[k] + edge);
    this.hover([clamp(from[0] + by * way[0], 0), clamp(from[1] + by * way[1], 1)]);
    this.said.textContent = `z1 ${this.at[0].toFixed(2)}, z2 ${this.at[1].toFixed(2)}`;
  }

  async pin(place) {
    if (!place) return;
    this.pinned = place;
    const late = new Promise((done) => setTimeout(done, PATIENCE));
    const answer = await Promise.race([asked(this.data.ask, [place]), late]);
    if (this.closed || this.pinned !== place) return; // another was pinned meanwhile
    if (answer) show(answer);
    this.tell("pin", { x: place[0], y: place[1] });
  }

  // ---- what follows the pointer ----

  hover(place) {
    this.at = place;
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      if (!this.closed) this.draw();
    });
  }

  /** The image at a place: the four tiles round it, blended. */
  blend([z1, z2]) {
    const { centre, edge } = this.data;
    const { side, height, width, tiles } = this.large;
    const along = (value, middle) => Math.min(Math.max(((value - middle + edge) / (2 * edge)) * side - 0.5, 0), side - 1);
    const [u, v] = [along(z1, centre[0]), along(z2, centre[1])];
    const [i, j] = [Math.min(Math.floor(u), side - 2), Math.min(Math.floor(v), side - 2)];
    const [a, b] = [u - i, v - j];
    const [low, lower] = [tiles[j * side + i], tiles[j * side + i + 1]];
    const [high, higher] = [tiles[(j + 1) * side + i], tiles[(j + 1) * side + i + 1]];
    const [red, green, blue] = this.data.colours.ink;
    for (let p = 0; p < height * width; p++) {
      const grey = (1 - b) * ((1 - a) * low[p] + a * lower[p]) + b * ((1 - a) * high[p] + a * higher[p]);
      this.lens.data.set([red, green, blue, grey], 4 * p);
    }
    this.small.getContext("2d").putImageData(this.lens, 0, 0);
  }

  draw() {
    if (!this.data) return;
    const context = this.clear(this.moving);
    this.frames += 1;
    this.node.dataset.frames = this.frames;
    this.node.dataset.at = this.at ? this.at.map((value) => value.toFixed(4)).join(" ") : "";
    if (!this.at) return;
    this.blend(this.at);
    const { colours } = this.data;
    const [x, y] = this.toPixels(this.at);
    const left = x + 16 + LENS > this.node.clientWidth ? x - 16 - LENS : x + 16;
    const top = Math.min(Math.max(y - LENS / 2, 2), this.data.height - LENS - 22);
    context.fillStyle = colours.bg;
    context.strokeStyle = colours.prior;
    context.lineWidth = 1;
    context.beginPath();
    context.roundRect(left, top, LENS, LENS + 18, 5);
    context.fill();
    context.stroke();
    context.imageSmoothingEnabled = false;
    context.drawImage(this.small, left + 5, top + 5, LENS - 10, LENS - 10);
    context.fillStyle = colours.text;
    context.font = `11px ${colours.font}`;
    context.textAlign = "center";
    context.fillText(this.at.map((value) => value.toFixed(2).replace("-", "\u2212")).join(", "), left + LENS / 2, top + LENS + 11);
    context.strokeStyle = colours.text;
    context.beginPath();
    context.arc(x, y, 4, 0, 2 * Math.PI);
    context.stroke();
  }

  // ---- what stands still ----

  clear(canvas, ratio = window.devicePixelRatio) {
    const [width, height] = [this.node.clientWidth, this.data.height];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  }

  paint() {
    if (!this.large || this.closed) return;
    this.draft(this.clear(this.still));
    this.node.dataset.drawn = Number(this.node.dataset.drawn ?? 0) + 1;
    this.draw();
  }

  /** The plane as a PNG, on paper. */
  save(name) {
    const canvas = document.createElement("canvas");
    const context = this.clear(canvas, SHARP);
    context.fillStyle = this.data.colours.bg;
    context.fillRect(0, 0, this.node.clientWidth, this.data.height);
    this.draft(context);
    const link = document.createElement("a");
    link.download = `${name}.png`;
    link.href = canvas.toDataURL("image/png");
    link.click();
  }

  draft(context) {
    const { left, top, size } = this.box();
    context.imageSmoothingEnabled = this.large.smooth;
    context.drawImage(this.large.back, left, top, size, size);
    this.ticks(context);
    context.save();
    context.beginPath();
    context.rect(left, top, size, size);
    context.clip();
    this.dots(context);
    const toPixels = (place) => this.toPixels(place);
    for (const mark of this.data.lines) line(context, mark, toPixels, this.data.colours);
    for (const mark of this.data.words) word(context, mark, toPixels, this.data.colours);
    context.restore();
  }

  ticks(context) {
    const { left, top, size } = this.box();
    const { centre, edge, ticks, axes, colours } = this.data;
    context.strokeStyle = colours.border;
    context.lineWidth = 1;
    context.strokeRect(left - 0.5, top + 0.5, size + 1, size);
    context.fillStyle = colours.muted;
    context.font = `11px ${colours.font}`;
    context.textBaseline = "middle";
    for (const [k, list] of ticks.entries())
      for (const { at, text } of list) {
        const [x, y] = this.toPixels(k ? [centre[0] - edge, at] : [at, centre[1] - edge]);
        context.textAlign = k ? "right" : "center";
        context.fillText(text, k ? x - 6 : x, k ? y : y + 10);
      }
    context.textAlign = "center";
    context.fillText(axes[0], left + size / 2, top + size + 23);
    context.fillText(axes[1], left - 26, top + size / 2);
  }

  /** Many points, each a small square. 60,000 take 25 ms, so they are drawn once and then only copied. */
  dots(context) {
    if (!this.large.dots.length) return;
    const { width, height } = context.canvas;
    const ratio = context.getTransform().a;
    const { centre, edge } = this.data;
    const drawn = [width, height, ratio, centre, edge].join(" ");
    if (this.layer?.of !== this.large || this.layer.drawn !== drawn) {
      const canvas = new OffscreenCanvas(width, height);
      const layer = canvas.getContext("2d");
      layer.setTransform(ratio, 0, 0, ratio, 0, 0);
      this.scatter(layer);
      this.layer = { of: this.large, drawn, canvas };
    }
    context.drawImage(this.layer.canvas, 0, 0, width / ratio, height / ratio);
  }

  scatter(context) {
    const { left, top, size: side } = this.box();
    const { centre, edge } = this.data;
    const scale = side / (2 * edge);
    for (const { colour, size, x, y } of this.large.dots) {
      context.fillStyle = colour;
      const [a, b] = [left - size / 2 - scale * (centre[0] - edge), top - size / 2 + scale * (centre[1] + edge)];
      for (let i = 0; i < x.length; i++) context.fillRect(a + scale * x[i], b - scale * y[i], size, size);
    }
  }

  close() {
    this.closed = true;
    this.resize.disconnect();
    this.node.remove();
  }
}

export default function (component) {
  const parent = component.parentElement;
  parent.lvLatent ??= new Latent(parent);
  parent.lvLatent.update(component);
  return () => {
    parent.lvLatent?.close();
    delete parent.lvLatent;
  };
}

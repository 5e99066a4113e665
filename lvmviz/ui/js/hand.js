// Handles on a plot: what is dragged follows the pointer at once, Python confirms the exact numbers.
//
// Python sends each dragged shape in its own coordinates (u, v) with its places; on the axes it is an affine map of
// (u, v), which curve.js, ellipse.js, columns.js or rail.js makes of a place. That map is all the browser knows of a density: while the
// hand moves, the drawn lines themselves are mapped, and Plotly draws anew only what Python has answered.
// One request is under way at a time; the newest waits. While the hand moves a route of the app answers, where the page
// offers one; when it rests, the page runs again. Until Python has answered the last request, what the hand did is what
// is shown, so nothing jumps on release.

import { after, inverse, mapped } from "./affine.js";
import { asked } from "./answer.js";
import { hands, views } from "./bus.js";
import * as columns from "./columns.js";
import * as curve from "./curve.js";
import * as ellipse from "./ellipse.js";
import { Handle } from "./handle.js";
import * as rail from "./rail.js";

const KINDS = { columns, curve, ellipse, rail };

const PACE = 66; // ms between two questions: what they answer is drawn between the frames of the hand
const STILL = 250; // ms without a move, then the page runs although the hand holds on
const NUDGE = 0.03; // of the visible axis at most, for one press of an arrow key; a tenth of it with Shift

/** The largest 1, 2 or 5 times a power of ten that is not above a positive size. */
function round(size) {
  const power = 10 ** Math.floor(Math.log10(size));
  return power * [5, 2, 1].find((factor) => factor * power <= size);
}

/** A place as an object, from the numbers that Python sends. */
const named = (kind, numbers) => Object.fromEntries(kind.fields.map((name, i) => [name, numbers[i]]));

/** The handles of one plot; `tell` sends every shape's place to Python. */
export class Hand {
  constructor(plot) {
    this.plot = plot;
    this.layer = document.createElement("div");
    this.layer.className = "lv-hand";
    plot.node.append(this.layer);
    this.handles = [];
    this.sent = 0; // requests so far
    this.answered = 0; // the last one Python has answered
  }

  /** Takes Python's word: shapes, their places and handles; kept back while the hand knows better. */
  update(spec, tell) {
    this.tell = tell;
    this.ask = spec.ask;
    this.kind = KINDS[spec.kind];
    if (!this.shapes) this.sent = spec.answers; // Python may remember an earlier visit
    this.answered = Math.max(this.answered, spec.answers);
    // Python has not seen the last move yet, or the hand has not let go
    const ours = this.shapes && (this.sent > this.answered || this.moved || this.handles.some((h) => h.dragged));
    const places = ours ? this.places() : null;
    this.shapes = spec.shapes.map((shape, i) => ({ ...shape, place: places?.[i] }));
    this.ours = ours && this.shapes.every(({ place }) => place);
    this.follow();
    this.ends = spec.ends; // as far as Python's sliders go
    while (this.handles.length < spec.handles.length) this.handles.push(new Handle(this));
    while (this.handles.length > spec.handles.length) this.handles.pop().node.remove();
    this.handles.forEach((handle, i) => (handle.spec = spec.handles[i]));
    this.flush(false);
    if (!this.ours) hands.go(null); // Python's word is the newest
    this.locate();
  }

  /** Where every shape is, copied. */
  places() {
    return this.shapes.map(({ place }) => ({ ...place }));
  }

  /** Where no hand is at work, the shapes are where the current frame has them. */
  follow() {
    if (this.ours || !this.shapes) return;
    const index = this.plot.channel?.index ?? 0;
    for (const shape of this.shapes) shape.place = named(this.kind, shape.places[Math.min(index, shape.places.length - 1)]);
  }

  /** The figure with the dragged shapes where the hand has put them. */
  dress(figure) {
    this.follow();
    for (const { lines, place } of this.shapes ?? []) {
      const map = this.kind.affine(place);
      for (const { trace, u, v } of lines) {
        const points = u.map((ui, i) => mapped(map, [ui, v[i]]));
        figure.data[trace].x = points.map(([x]) => x);
        figure.data[trace].y = points.map(([, y]) => y);
      }
    }
    this.dressed = this.shapes && this.places();
    return figure;
  }

  /** Plotly has drawn: the lines are where the figure was dressed, unless the hand has moved on since. */
  landed() {
    this.drawn = this.dressed;
    this.shift();
    this.locate();
  }

  axes() {
    const { xaxis, yaxis } = this.plot.node._fullLayout ?? {};
    return xaxis && [xaxis, yaxis];
  }

  /** Maps every drawn line to where the hand has its shape now. */
  shift() {
    const axes = this.axes();
    if (!axes) return;
    // from the axes to pixels; both are counted from the corner, so that far from 0 no digits are lost
    const corner = axes.map(({ range }) => range[0]);
    const [x, y] = axes.map(({ range, _length }) => _length / (range[1] - range[0]));
    const pixels = [x, 0, 0, -y, 0, axes[1]._length];
    const local = ([a, b, c, d, e, f]) => [a, b, c, d, e - corner[0], f - corner[1]];
    this.shapes.forEach(({ lines, place }, i) => {
      const was = this.drawn?.[i];
      if (!was) return;
      const still = this.kind.fields.every((name) => place[name] === was[name]);
      const way = after(local(this.kind.affine(place)), inverse(local(this.kind.affine(was))));
      const matrix = after(pixels, after(way, inverse(pixels)));
      for (const { trace } of lines) {
        const line = this.line(trace);
        // a shape that was flat cannot be mapped: it waits for what Python draws
        if (still || !matrix.every(Number.isFinite)) line?.removeAttribute("transform");
        else line?.setAttribute("transform", `matrix(${matrix.join(" ")})`);
      }
    });
  }

  line(trace) {
    const uid = this.plot.node._fullData?.[trace]?.uid;
    return uid && this.plot.node.querySelector(`.trace${uid} .js-line`);
  }

  /** Once a frame, whatever the pointer does meanwhile. */
  follows() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      if (this.plot.closed) return;
      this.shift();
      this.locate();
      hands.go({ plot: this.plot.node.dataset.name, ...this.shapes[0].place });
    });
  }

  /** Where a handle is on the axes. */
  at({ shape, at }) {
    return mapped(this.kind.affine(this.shapes[shape].place), at);
  }

  drag(handle, [x, y]) {
    this.kind.drag(this.shapes[handle.shape].place, handle, { x, y }, this.ends);
    this.took(false);
  }

  nudge(handle, way) {
    const [x, y] = this.axes().map(({ range }) => round(NUDGE * (range[1] - range[0])));
    this.kind.nudge(this.shapes[handle.shape].place, handle, way, { x, y }, this.ends);
    this.took(true);
  }

  /** The hand has moved something. */
  took(settled) {
    this.ours = true;
    this.follows();
    this.moved = this.touched = true;
    this.flush(settled);
  }

  /** The hand has let go, or, where it holds on, stands still: the page follows. */
  rest(gone = true) {
    if (!this.touched) return;
    this.touched = !gone;
    if (gone) {
      this.moved = true; // even when every place was sent: now the hand rests
      this.flush(true);
    } else if (!this.moved && this.sent === this.answered) {
      this.sent += 1;
      this.since = performance.now();
      this.inform();
    }
  }

  /** Sends the newest places unless a request is under way. */
  flush(settled) {
    if (settled) this.settled = true;
    const free = this.sent === this.answered || performance.now() - this.since > 1500;
    if (!this.moved || !free) return;
    const early = this.ask && !this.settled ? this.since + PACE - performance.now() : 0;
    if (early > 0) {
      clearTimeout(this.later);
      this.later = setTimeout(() => this.plot.closed || this.flush(false), early);
      return;
    }
    this.moved = false;
    this.sent += 1;
    this.since = performance.now();
    clearTimeout(this.pause);
    if (this.ask && !this.settled) this.question(this.sent);
    else this.inform();
  }

  /** Tells Python, which runs the page. */
  inform() {
    this.tell({ places: this.numbers(), request: this.sent, settled: Boolean(this.settled) });
    this.settled = false;
  }

  /** What Python is told of every shape. */
  numbers() {
    return this.shapes.map(({ place }) => this.kind.told.map((name) => place[name]));
  }

  /** Asks the route for what the views show of these places; where it cannot tell, the page runs. */
  async question(request) {
    const answer = await asked(this.ask, this.numbers());
    if (this.plot.closed) return;
    if (!answer) {
      if (request === this.sent) this.inform();
      return;
    }
    this.answered = Math.max(this.answered, request);
    this.pause = setTimeout(() => this.rest(false), STILL);
    for (const [name, shown] of Object.entries(answer)) {
      views.get(name)?.take(shown);
      if (typeof shown === "string") await new Promise(requestAnimationFrame); // a frame of the hand between two films
    }
    if (!this.plot.closed) this.flush(false);
  }

  /** Where the axes begin, px, asked once for a whole drag: asking makes the browser lay out the page.
   * Returned is where the shapes are, for a hand that thinks better of it. */
  taken() {
    const { left, top } = this.plot.node.querySelector(".nsewdrag").getBoundingClientRect();
    this.corner = [left, top];
    return this.places();
  }

  /** Everything where the hand has taken it. */
  back(places) {
    places.forEach((place, i) => Object.assign(this.shapes[i].place, place));
    this.follows();
    this.rest();
  }

  toPixels(point) {
    return this.axes().map((axis, i) => axis.d2p(point[i]) + this.corner[i]);
  }

  fromPixels(...pixels) {
    return this.axes().map((axis, i) => axis.p2d(pixels[i] - this.corner[i]));
  }

  /** Puts the handles where their shapes are. */
  locate() {
    const layout = this.plot.node._fullLayout;
    if (!layout || !this.shapes) return;
    for (const { node, spec } of this.handles) {
      const [x, y] = this.at(spec);
      const left = layout.xaxis._offset + layout.xaxis.d2p(x);
      // a peak that is cut off keeps its handle at the upper edge
      const top = layout.yaxis._offset + Math.min(Math.max(layout.yaxis.d2p(y), 0), layout.yaxis._length);
      node.className = `lv-handle lv-handle-${spec.moves}`;
      node.style.transform = `translate(${left}px, ${top}px)`;
      node.style.setProperty("--lv-colour", spec.colour);
      node.setAttribute("aria-label", spec.label);
      const [low, high, value] = this.kind.slider(this.shapes[spec.shape].place, spec, this.ends);
      node.setAttribute("aria-valuemin", low);
      node.setAttribute("aria-valuemax", high);
      node.setAttribute("aria-valuenow", value);
      node.dataset.value = value;
    }
  }

  close() {
    clearTimeout(this.pause);
    this.layer.remove();
  }
}

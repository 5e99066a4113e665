// Handles on a plot: what is dragged follows the pointer at once, Python confirms the exact numbers.
//
// Python sends each dragged curve in its own coordinates (u, v) with its places (loc, scale, height); on the axes it is
// the affine map x = loc + scale u, y = height v / scale. That map is all the browser knows of a density: while the
// hand moves, the drawn line itself is mapped, and Plotly draws anew only what Python has answered.
// One request is under way at a time; the newest waits. While the hand moves a route of the app answers, where the page
// offers one; when it rests, the page runs again. Until Python has answered the last request, what the hand did is what
// is shown, so nothing jumps on release.

import { hands, views } from "./bus.js";

const PACE = 66; // ms between two questions: what they answer is drawn between the frames of the hand
const STILL = 250; // ms without a move, then the page runs although the hand holds on
const NUDGE = 0.03; // of the visible axis at most, for one press of an arrow key; a tenth of it with Shift

/** The largest 1, 2 or 5 times a power of ten that is not above a positive size. */
function round(size) {
  const power = 10 ** Math.floor(Math.log10(size));
  return power * [5, 2, 1].find((factor) => factor * power <= size);
}

class Handle {
  constructor(hand, spec) {
    this.hand = hand;
    this.node = document.createElement("div");
    this.node.className = `lv-handle lv-handle-${spec.moves}`;
    this.node.tabIndex = 0;
    this.node.setAttribute("role", "slider");
    this.node.addEventListener("pointerdown", (event) => this.down(event));
    this.node.addEventListener("pointermove", (event) => this.move(event));
    this.node.addEventListener("pointerup", (event) => this.up(event));
    this.node.addEventListener("pointercancel", (event) => this.up(event));
    this.node.addEventListener("keydown", (event) => this.key(event));
    hand.layer.append(this.node);
  }

  down(event) {
    event.preventDefault();
    event.stopPropagation();
    this.node.focus({ preventScroll: true });
    this.node.setPointerCapture(event.pointerId);
    this.before = this.hand.taken();
    const { x } = this.hand.place(this.spec);
    this.offset = this.hand.toPixels(x) - event.clientX; // the handle stays under the point where it was taken
    this.dragged = true;
  }

  move(event) {
    if (!this.dragged) return;
    this.hand.to(this.spec, this.hand.fromPixels(event.clientX + this.offset), false);
  }

  up(event) {
    if (!this.dragged) return;
    this.dragged = false;
    this.node.releasePointerCapture(event.pointerId);
    this.hand.rest();
  }

  key(event) {
    if (event.key === "Escape" && this.dragged) {
      this.dragged = false;
      this.hand.back(this.before);
    }
    const way = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1 }[event.key];
    if (!way) return;
    event.preventDefault();
    event.stopPropagation();
    const by = way * (event.shiftKey ? 0.1 : 1) * round(NUDGE * this.hand.span());
    this.hand.to(this.spec, this.hand.place(this.spec).x + by, true);
  }
}

/** The handles of one plot; `tell` sends {loc, scale} of every curve to Python. */
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

  /** Takes Python's word: curves, their places and handles; kept back while the hand knows better. */
  update(spec, tell) {
    this.tell = tell;
    this.ask = spec.ask;
    if (!this.curves) this.sent = spec.answers; // Python may remember an earlier visit
    this.answered = Math.max(this.answered, spec.answers);
    // Python has not seen the last move yet, or the hand has not let go
    const ours = this.curves && (this.sent > this.answered || this.moved || this.handles.some((h) => h.dragged));
    const places = ours ? this.curves.map(({ loc, scale, height }) => ({ loc, scale, height })) : null;
    this.curves = spec.curves.map((curve, i) => ({ ...curve, ...places?.[i] }));
    this.ours = ours;
    this.follow();
    this.ends = spec.ends; // as far as Python's sliders go
    while (this.handles.length < spec.handles.length) this.handles.push(new Handle(this, spec.handles[this.handles.length]));
    while (this.handles.length > spec.handles.length) this.handles.pop().node.remove();
    this.handles.forEach((handle, i) => (handle.spec = spec.handles[i]));
    this.flush(false);
    if (!this.ours) hands.go(null); // Python's word is the newest
    this.locate();
  }

  /** Where no hand is at work, the curves are where the current frame has them. */
  follow() {
    if (this.ours || !this.curves) return;
    const index = this.plot.channel?.index ?? 0;
    for (const curve of this.curves) {
      const place = curve.places[Math.min(index, curve.places.length - 1)];
      [curve.loc, curve.scale, curve.height] = place;
    }
  }

  /** The figure with the dragged curves where the hand has put them. */
  dress(figure) {
    this.follow();
    for (const { trace, loc, scale, height, u, v } of this.curves ?? []) {
      figure.data[trace].x = u.map((ui) => loc + scale * ui);
      figure.data[trace].y = v.map((vi) => (height * vi) / scale);
    }
    this.dressed = this.curves?.map(({ loc, scale, height }) => ({ loc, scale, height }));
    return figure;
  }

  /** Plotly has drawn: the lines are where the figure was dressed, unless the hand has moved on since. */
  landed() {
    this.drawn = this.dressed;
    this.shift();
    this.locate();
  }

  /** Maps every drawn line to where the hand has its curve now. */
  shift() {
    const { xaxis, yaxis } = this.plot.node._fullLayout ?? {};
    this.curves.forEach((curve, i) => {
      const line = this.line(curve.trace);
      const was = this.drawn?.[i];
      if (!line || !was) return;
      const wider = curve.scale / was.scale;
      const higher = curve.height / was.height / wider;
      const across = xaxis.d2p(curve.loc) - wider * xaxis.d2p(was.loc);
      const up = yaxis.d2p(0) * (1 - higher);
      const still = across === 0 && wider === 1 && higher === 1;
      if (still) line.removeAttribute("transform");
      else line.setAttribute("transform", `matrix(${wider} 0 0 ${higher} ${across} ${up})`);
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
      const [{ loc, scale }] = this.curves;
      hands.go({ plot: this.plot.node.dataset.name, loc, scale });
    });
  }

  place({ curve, at }) {
    const { loc, scale, height } = this.curves[curve];
    return { x: loc + scale * at[0], y: (height * at[1]) / scale };
  }

  to({ curve, moves, at }, x, settled) {
    const c = this.curves[curve];
    this.ours = true;
    const [low, high, least, most] = this.ends;
    if (moves === "loc") c.loc = Math.min(Math.max(x - c.scale * at[0], low), high);
    else c.scale = Math.min(Math.max((x - c.loc) / at[0], least), most);
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
    const places = this.curves.map(({ loc, scale }) => ({ loc, scale }));
    this.tell({ places, request: this.sent, settled: Boolean(this.settled) });
    this.settled = false;
  }

  /** Asks the route for what the views show of these places; where it cannot tell, the page runs. */
  async question(request) {
    const at = this.curves.map(({ loc, scale }) => `${loc},${scale}`).join();
    const response = await fetch(`${this.ask}?at=${at}`).catch(() => null);
    const answer = response?.ok ? await response.json().catch(() => null) : null;
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

  axis() {
    return this.plot.node._fullLayout?.xaxis;
  }

  span() {
    const [low, high] = this.axis().range;
    return high - low;
  }

  /** Where the axes begin, px, asked once for a whole drag: asking makes the browser lay out the page.
   * Returned is where the curves are, for a hand that thinks better of it. */
  taken() {
    this.left = this.plot.node.querySelector(".nsewdrag").getBoundingClientRect().left;
    return this.curves.map(({ loc, scale }) => ({ loc, scale }));
  }

  /** Everything where the hand has taken it. */
  back(places) {
    places.forEach((place, i) => Object.assign(this.curves[i], place));
    this.follows();
    this.rest();
  }

  toPixels(x) {
    return this.left + this.axis().d2p(x);
  }

  fromPixels(pixels) {
    return this.axis().p2d(pixels - this.left);
  }

  /** Puts the handles where their curves are. */
  locate() {
    const layout = this.plot.node._fullLayout;
    if (!layout || !this.curves) return;
    for (const { node, spec } of this.handles) {
      const { x, y } = this.place(spec);
      const left = layout.xaxis._offset + layout.xaxis.d2p(x);
      // a peak that is cut off keeps its handle at the upper edge
      const top = layout.yaxis._offset + Math.min(Math.max(layout.yaxis.d2p(y), 0), layout.yaxis._length);
      node.style.transform = `translate(${left}px, ${top}px)`;
      node.style.setProperty("--lv-colour", spec.colour);
      node.setAttribute("aria-label", spec.label);
      const { loc, scale } = this.curves[spec.curve];
      const [low, high, least, most] = this.ends;
      node.setAttribute("aria-valuemin", spec.moves === "loc" ? low : least);
      node.setAttribute("aria-valuemax", spec.moves === "loc" ? high : most);
      node.setAttribute("aria-valuenow", spec.moves === "loc" ? loc : scale);
      node.dataset.value = spec.moves === "loc" ? loc : scale;
    }
  }

  close() {
    clearTimeout(this.pause);
    this.layer.remove();
  }
}

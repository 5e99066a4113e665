// Draws every figure of the app: Plotly.react on a node that stays, so zoom and hover survive each change.

import { Brush } from "./brush.js";
import { channel, hands, views } from "./bus.js";
import { fresh, load } from "./films.js";
import { film } from "./frames.js";
import { Hand } from "./hand.js";
import { Told } from "./told.js";

const CONFIG = { displayModeBar: false, responsive: false, doubleClick: "reset", showTips: false };
let loading;

/** plotly.js from the installed wheel, loaded once a page. */
function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("../plotly.min.js", import.meta.url).href;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("plotly.js did not load: reload the page"));
    document.head.append(script);
  });
  return loading;
}

/** Tells Python when the reader's theme changes: figures are made in the colours of one. */
function watchTheme(tell) {
  const app = document.querySelector("[data-testid=stApp]");
  const colour = () => getComputedStyle(app).backgroundColor;
  watchTheme.tell = tell;
  if (watchTheme.seen) return;
  watchTheme.seen = colour();
  new MutationObserver(() => {
    if (colour() === watchTheme.seen) return;
    watchTheme.seen = colour();
    watchTheme.tell("theme", watchTheme.seen);
  }).observe(app, { attributes: true, attributeFilter: ["class"] });
}

/** The nearest value on an axis, a hair inside: a mark beyond its end is not drawn. */
function within(axis, value) {
  const hair = 1e-3 * axis._length;
  return axis.p2d(Math.min(Math.max(axis.d2p(value), hair), axis._length - hair));
}

class Plot {
  constructor(parent) {
    this.node = document.createElement("div");
    this.node.className = "lv-plot";
    this.node.setAttribute("role", "img");
    parent.append(this.node);
    this.told = new Told(this.node);
    this.busy = false; // a react is under way
    this.held = false; // a pointer is down on the picture
    this.stale = false; // something changed meanwhile
    this.drawn = 0; // reacts so far, for tests and benchmarks
    this.resize = new ResizeObserver(() => this.fit());
    this.resize.observe(this.node);
    this.node.addEventListener("pointerdown", (event) => (this.held = !event.target.closest(".lv-hand")), true);
    this.release = () => {
      this.held = false;
      if (this.stale) this.draw();
    };
    window.addEventListener("pointerup", this.release);
    window.addEventListener("pointercancel", this.release);
    this.node.addEventListener("click", (event) => this.click(event));
  }

  /** Takes what Python sent; draws only what is new. */
  update({ data, setStateValue, setTriggerValue }) {
    this.tell = setTriggerValue;
    watchTheme(setTriggerValue);
    this.clickable = data.clickable;
    this.pickable = data.pickable;
    this.node.setAttribute("aria-label", data.alt);
    this.node.style.height = `${data.height}px`;
    this.square = data.square;
    this.node.style.maxHeight = data.square ? `calc(${data.square[0]}px + ${100 * data.square[1]}cqw)` : "";
    this.node.style.cursor = data.clickable ? "crosshair" : "";
    this.node.dataset.name = data.name;
    this.node.dataset.follows = data.channel ?? "";
    views.set(data.name, this);
    if (data.channel !== this.name) {
      this.leave?.();
      this.name = data.channel;
      this.channel = data.channel ? channel(data.channel) : null;
      this.leave = this.channel?.follow(() => this.draw());
    }
    const another = fresh(this, data);
    if (another)
      load(this, data, (made) => {
        this.frame = film(made);
        this.draw();
      });
    this.grasp(data.hand, setStateValue);
    if (data.brush) (this.brush ??= new Brush(this)).update(data.brush, (value) => setTriggerValue("brush", value));
    if (data.mark && !this.unmark) this.unmark = hands.follow(() => this.ring());
    this.mark = data.mark;
    if (data.hand && !another) this.draw();
    else this.ring();
  }

  /** Takes an answer to a hand: another film, or another place for the mark, until Python sends its own. */
  take(shown) {
    if (typeof shown !== "string") {
      if (this.mark) this.mark = { ...this.mark, at: shown };
      this.ring();
      return;
    }
    this.id = this.waits = null;
    this.frame = film(JSON.parse(shown));
    this.draw();
  }

  /** Where the mark is: with the hand on the other plot, in that plot's own units, else where Python has it. */
  marked() {
    const { plot, at, unit } = this.mark;
    const there = hands.index?.plot === plot ? [hands.index.loc, hands.index.scale / unit] : at;
    const { xaxis, yaxis } = this.node._fullLayout ?? {};
    return xaxis ? [within(xaxis, there[0]), within(yaxis, there[1])] : there;
  }

  /** Moves the mark alone; the landscape under it is not drawn again for that. */
  ring() {
    const full = this.mark && this.node._fullData?.at(this.mark.trace);
    const point = full && this.node.querySelector(`.trace${full.uid} .point`);
    if (!point) return;
    const [x, y] = this.marked();
    const { xaxis, yaxis } = this.node._fullLayout;
    point.setAttribute("transform", `translate(${xaxis.d2p(x)},${yaxis.d2p(y)})`);
    this.node.dataset.mark = `${x} ${y}`;
  }

  /** Handles, where the page wants some. */
  grasp(spec, tell) {
    if (!spec) {
      this.hand?.close();
      this.hand = null;
      return;
    }
    this.hand ??= new Hand(this);
    this.hand.update(spec, (value) => tell("hand", value));
  }

  async draw() {
    this.stale = true;
    if (!this.frame || this.busy || this.held) return; // no two reacts overlap, and none under a drag
    this.busy = true;
    try {
      const Plotly = await plotly();
      while (this.stale && !this.held && !this.closed) {
        this.stale = false;
        const figure = this.frame(this.channel?.index ?? 0);
        if (this.mark) this.put(figure.data.at(this.mark.trace));
        const { data, layout } = this.hand ? this.hand.dress(figure) : figure;
        const size = this.square ? { height: this.node.clientHeight } : {};
        await Plotly.react(this.node, data, { ...layout, ...size, autosize: true }, CONFIG);
        this.drawn += 1;
        this.node.dataset.drawn = this.drawn;
        this.node.dataset.frame = this.channel?.index ?? 0;
        this.told.update(figure);
        this.hand?.landed();
        this.brush?.locate();
        this.ring();
        if (!this.listening) this.listen();
      }
    } finally {
      this.busy = false;
      if (this.closed) this.purge();
    }
  }

  put(trace) {
    const [x, y] = this.marked();
    Object.assign(trace, { x: [x], y: [y] });
  }

  listen() {
    this.listening = true;
    this.node.on("plotly_relayout", () => this.hand?.locate());
    this.node.on("plotly_click", ({ points }) => {
      const point = points?.[0];
      if (this.pickable && point?.customdata !== undefined) this.tell?.("pick", { trace: point.curveNumber, value: point.customdata });
    });
  }

  /** Where on the axes a click fell, for pages that ask for it. */
  click(event) {
    const layout = this.node._fullLayout;
    if (!this.clickable || !layout || event.detail !== 1) return;
    const box = this.node.querySelector(".nsewdrag")?.getBoundingClientRect();
    if (!box) return;
    const x = layout.xaxis.p2d(event.clientX - box.left);
    const y = layout.yaxis.p2d(event.clientY - box.top);
    const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    if (inside) this.tell?.("spot", { x, y });
  }

  /** A react also takes the node's new size; a resize of its own might overlap with one. */
  fit() {
    if (this.node._fullLayout && this.node.clientWidth) this.draw();
  }

  close() {
    this.leave?.();
    this.hand?.close();
    this.brush?.close();
    this.told.close();
    this.unmark?.();
    this.resize.disconnect();
    window.removeEventListener("pointerup", this.release);
    window.removeEventListener("pointercancel", this.release);
    this.closed = true;
    if (views.get(this.node.dataset.name) === this) views.delete(this.node.dataset.name);
    this.node.remove();
    if (!this.busy) this.purge();
  }

  purge() {
    if (this.node._fullLayout) window.Plotly.purge(this.node);
  }
}

export default function (component) {
  const parent = component.parentElement;
  parent.lvPlot ??= new Plot(parent);
  parent.lvPlot.update(component);
  return () => {
    parent.lvPlot?.close();
    delete parent.lvPlot;
  };
}

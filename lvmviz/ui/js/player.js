// Plays, pauses, steps and scrubs a trace. Every view moves at once; Python hears of it when the hand rests.

import { channel } from "./bus.js";

const FRAMES_PER_SECOND = 20;
const LONG = 100; // frames: a film of more keeps its time, and a slow browser leaves some out
const MOST = 5; // frames left out at once
const SLOWEST = 2; // seconds a short trace takes at least, so that each half-step can be seen
const AGAIN = ".st-key-projector button, .st-key-fit button";
const SHARE = ".st-key-share button";
const ICONS = {
  first: "M5 5v14M19 5l-10 7 10 7z",
  back: "M15 5l-8 7 8 7",
  on: "M9 5l8 7-8 7",
  play: "M7 5l12 7-12 7z",
  pause: "M8 5v14M16 5v14",
};

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

class Player {
  constructor(parent) {
    this.node = document.createElement("div");
    this.node.className = "lv-player";
    parent.append(this.node);
    this.first = this.button("To the start", () => this.go(0, true), icon("first"));
    this.back = this.button("One step back (left arrow)", () => this.step(-1), icon("back"));
    this.playing = this.button("Play or pause (space)", () => this.toggle(), icon("play"));
    this.on = this.button("One step on (right arrow)", () => this.step(1), icon("on"));
    this.moves = document.createElement("span");
    this.moves.className = "lv-moves";
    this.node.append(this.moves);
    this.scrubber();
    this.keys = (event) => this.key(event);
    document.addEventListener("keydown", this.keys);
    // after the mouse has turned the projector mode on, or pressed Fit, space shall play, not press that again
    this.pressed = ({ detail, target }) => {
      if (detail > 0) target.closest?.(AGAIN)?.blur();
      if (this.timer && target.closest?.(SHARE)) this.toggle(); // the link has the step that is on screen
    };
    document.addEventListener("click", this.pressed);
  }

  button(label, act, content, into = this.node) {
    const made = document.createElement("button");
    made.type = "button";
    made.title = label;
    made.setAttribute("aria-label", label);
    made.append(content);
    made.addEventListener("click", (event) => {
      if (event.detail > 0) made.blur(); // after the mouse, space plays; after the keyboard the focus stays
      act();
    });
    into.append(made);
    return made;
  }

  scrubber() {
    const box = document.createElement("label");
    box.className = "lv-scrub";
    this.text = document.createElement("output");
    this.range = document.createElement("input");
    this.range.type = "range";
    this.range.min = 0;
    this.range.setAttribute("aria-label", "Position in the trace");
    this.range.addEventListener("input", () => this.go(Number(this.range.value), false));
    this.range.addEventListener("change", () => this.settle());
    box.append(this.text, this.range);
    this.node.append(box);
  }

  update({ data, setStateValue }) {
    this.tell = setStateValue;
    this.data = data;
    if (data.channel !== this.name) {
      this.leave?.();
      this.name = data.channel;
      this.channel = channel(data.channel);
      this.leave = this.channel.follow(() => this.show());
    }
    this.buttons(data.buttons);
    this.on.hidden = data.buttons.length > 0; // half-steps by their names lead on
    this.range.max = data.count - 1;
    this.revision = data.revision;
    if (data.revision !== this.channel.revision) {
      const opened = this.channel.revision && data.revision.split(":").at(-1) !== this.channel.revision.split(":").at(-1);
      if (opened) document.querySelector("[data-testid=stMain]")?.scrollTo({ top: 0 }); // a scene: show its picture
      this.channel.revision = data.revision; // another trace, or Python moved the position: follow it
      this.stop();
      this.channel.go(data.index);
      if (data.autoplay) {
        const pressed = document.activeElement;
        if (pressed.closest(AGAIN) && !pressed.matches(":focus-visible")) pressed.blur(); // by the mouse
        this.toggle();
      }
    } else this.grow(data.steps);
    this.steps = data.steps;
    this.show();
  }

  /** The same trace with more snapshots, or fewer old ones: stay at the step, or at the end. */
  grow(steps) {
    const before = this.steps ?? [];
    if (!steps.length || !before.length || String(steps) === String(before)) return;
    const { index } = this.channel;
    this.told = null; // the frames have other numbers now
    if (index >= before.length - 1) return this.channel.go(steps.length - 1);
    const after = steps.findIndex((step) => step > before[index]);
    this.channel.go(Math.max(0, (after < 0 ? steps.length : after) - 1));
  }

  buttons(wanted) {
    const drawn = wanted.map(({ label, colour }) => label + colour).join();
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.moves.replaceChildren();
    wanted.forEach((spec, i) => {
      const made = this.button(spec.help, () => this.press(i), document.createTextNode(spec.label), this.moves);
      made.style.color = spec.colour;
      made.dataset.move = spec.label;
    });
  }

  /** A half-step asked for by name: go where it leads, or say why it changes nothing. */
  press(i) {
    this.stop();
    const { next, refusal } = this.data.buttons[i];
    const target = next[this.channel.index];
    if (target === this.channel.index) return this.say(refusal[this.channel.index]);
    this.go(target, true);
  }

  step(by) {
    this.stop();
    this.go(this.channel.index + by, true);
  }

  go(index, settled) {
    this.said = null;
    this.channel.go(Math.max(0, Math.min(index, this.data.count - 1)));
    if (settled) this.settle();
  }

  toggle() {
    if (this.timer) {
      this.stop();
      return this.settle();
    }
    if (this.channel.index >= this.data.count - 1) this.go(0, false);
    const pause = 1000 * Math.max(1 / FRAMES_PER_SECOND, Math.min(0.5, SLOWEST / this.data.count));
    let due = performance.now() + pause;
    const tick = (now) => {
      if (now >= due) {
        const late = this.data.count > LONG ? Math.min(Math.floor((now - due) / pause), MOST) : 0;
        due = Math.max(due + (1 + late) * pause, now);
        this.go(this.channel.index + 1 + late, false);
        if (this.channel.index >= this.data.count - 1) {
          this.stop();
          return this.settle();
        }
      }
      this.timer = requestAnimationFrame(tick);
    };
    this.timer = requestAnimationFrame(tick);
    this.show();
  }

  stop() {
    if (this.timer) cancelAnimationFrame(this.timer);
    this.timer = null;
    this.show();
  }

  /** Tells Python where the hand came to rest. */
  settle() {
    if (this.told === this.channel.index + this.revision) return;
    this.told = this.channel.index + this.revision;
    this.tell("index", this.channel.index);
  }

  say(text) {
    this.said = text;
    this.show();
  }

  show() {
    if (!this.data) return;
    const { index } = this.channel;
    const last = this.data.count - 1;
    const at = Math.min(index, last);
    this.range.value = at;
    this.range.style.setProperty("--lv-at", `${last ? (100 * at) / last : 0}%`);
    this.range.setAttribute("aria-valuetext", this.data.labels[at]);
    this.text.textContent = this.said ?? `${at} of ${last} · ${this.data.labels[at]}`;
    this.text.classList.toggle("lv-said", Boolean(this.said));
    this.playing.replaceChildren(icon(this.timer ? "pause" : "play"));
    this.first.disabled = this.back.disabled = at === 0;
    this.on.disabled = at === last;
    // what only Python can draw is of another frame until it has: the style sheet makes it faint
    document.documentElement.classList.toggle("lv-ahead", at !== Math.min(this.data.index, last));
    this.node.dataset.index = at;
  }

  /** Space plays, arrows step; keys typed into a field or pressed on another control are left alone. */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.node.isConnected) return;
    const target = event.target;
    const busy = target.closest?.("input, textarea, select, [role=slider], [role=combobox], [role=listbox], [contenteditable], [role=dialog]");
    if (busy || (event.key === " " && target.closest?.("button, a, summary, [role=button], [role=radio]"))) return;
    const act = { " ": () => this.toggle(), ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1), Home: () => this.go(0, true),
      End: () => this.go(this.data.count - 1, true) }[event.key];
    const letter = this.data.buttons.findIndex(({ key }) => key === event.key.toLowerCase());
    if (!act && letter < 0) return;
    event.preventDefault();
    act ? act() : this.press(letter);
  }

  close() {
    this.stop();
    this.leave?.();
    document.removeEventListener("keydown", this.keys);
    document.removeEventListener("click", this.pressed);
    document.documentElement.classList.remove("lv-ahead");
    this.node.remove();
  }
}

export default function (component) {
  const parent = component.parentElement;
  parent.lvPlayer ??= new Player(parent);
  parent.lvPlayer.update(component);
  return () => {
    parent.lvPlayer?.close();
    delete parent.lvPlayer;
  };
}

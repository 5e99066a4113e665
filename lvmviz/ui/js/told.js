// Every picture as a table too, for who cannot see it: its words, and some points of each of its lines and marks.
// It is written when the picture rests, so that nothing that moves waits for it.

const REST = 400; // ms
const POINTS = 12; // of a line
const TRACES = 10;

function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? String(Number(value.toPrecision(4))) : null;
}

/** Some places of a trace, evenly, as [x, y] in words; none of a trace that is no line over two axes. */
function places({ x, y }) {
  const count = Math.min(x?.length ?? 0, y?.length ?? 0);
  const step = Math.max(1, (count - 1) / (POINTS - 1));
  const chosen = [...new Set(Array.from({ length: Math.min(count, POINTS) }, (_, i) => Math.round(i * step)))];
  return chosen.map((i) => [number(x[i]), number(y[i])]).filter(([a, b]) => a !== null && b !== null);
}

function plain(html) {
  return String(html ?? "").replace(/<br>/g, ", ").replace(/<[^>]*>/g, "").trim();
}

function element(tag, text, parent) {
  const made = document.createElement(tag);
  made.textContent = text;
  parent.append(made);
  return made;
}

function row(parent, tag, texts) {
  const made = element("tr", "", parent);
  for (const text of texts) element(tag, text, made);
}

export class Told {
  constructor(node) {
    this.node = node;
    this.box = document.createElement("div");
    this.box.className = "lv-told";
    node.after(this.box); // beside the picture: what is inside an image is not read
  }

  /** The figure that is drawn now; what it says is written once it has rested. */
  update(figure) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.write(figure), REST);
  }

  write({ data, layout }) {
    const table = document.createElement("table");
    element("caption", this.node.getAttribute("aria-label") ?? "", table);
    const words = (layout.annotations ?? []).map(({ text }) => plain(text)).filter(Boolean);
    row(element("thead", "", table), "th", ["line", plain(layout.xaxis?.title?.text) || "x", plain(layout.yaxis?.title?.text) || "y"]);
    const body = element("tbody", "", table);
    data.slice(0, TRACES).forEach((trace, i) => {
      for (const place of places(trace)) row(body, "td", [plain(trace.name) || `${i + 1}`, ...place]);
    });
    this.box.replaceChildren(table);
    if (words.length) element("p", words.join("; "), this.box);
  }

  close() {
    clearTimeout(this.timer);
    this.box.remove();
  }
}

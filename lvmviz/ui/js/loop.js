// The training loop as boxes in a row. Stepping happens here: no message is sent. Everything is put in as text.

const HIDDEN = "lv-later"; // boxes that the step has not reached yet

function made(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function box(content, i) {
  const node = made("li", `lv-box lv-tone-${content.tone}`);
  const head = made("div", "lv-box-head");
  head.append(made("span", "lv-box-number", `${i + 1}`), made("strong", "", content.title));
  node.append(head, made("div", "lv-box-told", content.told));
  if (content.image) {
    const image = made("img", "lv-box-image");
    image.src = content.image;
    image.alt = content.title;
    node.append(image);
  }
  const rows = made("dl", "lv-box-rows");
  for (const [name, value] of content.rows) {
    const row = made("div", name ? "" : "lv-box-alone");
    if (name) row.append(made("dt", "", name));
    row.append(made("dd", "", value));
    rows.append(row);
  }
  if (content.rows.length) node.append(rows);
  return node;
}

class Loop {
  constructor(parent) {
    this.node = made("div", "lv-loop");
    this.node.tabIndex = 0;
    this.node.setAttribute("role", "group");
    this.list = made("ol", "lv-boxes");
    const bar = made("div", "lv-loop-bar");
    this.back = this.button("‹", "One box back (left arrow)", () => this.go(this.at - 1));
    this.next = this.button("Next box", "The next box (right arrow)", () => this.go(this.at + 1));
    this.more = this.button("Next minibatch", "To the next minibatch's first box", () => this.leap());
    this.told = made("output", "lv-loop-told");
    this.told.setAttribute("aria-live", "polite");
    bar.append(this.back, this.next, this.more, this.told);
    this.node.append(this.list, bar);
    this.node.addEventListener("keydown", (event) => this.key(event));
    parent.append(this.node);
    this.at = 0; // boxes gone through, over all minibatches
  }

  button(text, label, act) {
    const node = made("button", "", text);
    node.type = "button";
    node.title = label;
    node.setAttribute("aria-label", label);
    node.addEventListener("click", act);
    return node;
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.target.closest("button") && [" ", "Enter"].includes(event.key)) event.stopPropagation();
    if (!step) return;
    event.preventDefault();
    event.stopPropagation(); // the player of the page has the same keys
    this.go(this.at + step);
  }

  update({ data }) {
    this.data = data;
    this.each = data.turns[0].length;
    if (data.place !== this.place) this.at = 0;
    this.place = data.place;
    this.node.setAttribute("aria-label", data.alt);
    if (data.id !== this.id) this.shown = null;
    this.id = data.id;
    this.show();
  }

  leap() {
    const turn = Math.floor(this.at / this.each) + 1;
    this.go((turn % this.data.turns.length) * this.each);
  }

  go(at) {
    this.at = Math.min(Math.max(at, 0), this.each * this.data.turns.length - 1);
    this.show();
  }

  show() {
    const turn = Math.floor(this.at / this.each);
    const step = this.at % this.each;
    if (turn !== this.shown) this.list.replaceChildren(...this.data.turns[turn].map(box));
    this.shown = turn;
    [...this.list.children].forEach((node, i) => {
      node.classList.toggle("lv-on", i === step);
      node.classList.toggle(HIDDEN, i > step);
      node.toggleAttribute("aria-current", i === step);
    });
    this.back.disabled = this.at === 0;
    this.next.disabled = this.at === this.each * this.data.turns.length - 1;
    const { title, told } = this.data.turns[turn][step];
    this.told.textContent = `minibatch ${turn + 1} of ${this.data.turns.length}, box ${step + 1} of ${this.each}: ${title}, ${told}`;
    this.node.dataset.at = this.at;
  }

  close() {
    this.node.remove();
  }
}

export default function (component) {
  const parent = component.parentElement;
  parent.lvLoop ??= new Loop(parent);
  parent.lvLoop.update(component);
  return () => {
    parent.lvLoop?.close();
    delete parent.lvLoop;
  };
}

// The cards under a page: each asks a question; its button tells Python which scene to open, and the stage is
// brought into view. One component for all of them: a page is drawn again at every touch.

function element(tag, text, parent, name = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  parent.append(made);
  return made;
}

class Cards {
  constructor(parent) {
    this.node = document.createElement("ul");
    this.node.className = "lv-cards";
    parent.append(this.node);
  }

  update({ data, setTriggerValue }) {
    this.tell = setTriggerValue;
    const told = JSON.stringify(data);
    if (told === this.told) return;
    const held = this.node.contains(document.activeElement) && document.activeElement.dataset.scene;
    this.told = told;
    this.node.replaceChildren();
    for (const card of data.cards) this.add(card, card.name === data.open);
    if (held) this.node.querySelector(`[data-scene="${CSS.escape(held)}"]`)?.focus();
  }

  add(card, open) {
    const item = element("li", "", this.node, "lv-card");
    item.dataset.card = card.name;
    element("strong", card.title, item);
    element("p", card.question, item);
    const button = element("button", open ? "Asked above ↑" : "Predict, then reveal →", item);
    button.type = "button";
    button.dataset.scene = card.name;
    button.setAttribute("aria-label", `${button.textContent.slice(0, -2)}: ${card.title}`);
    button.addEventListener("click", () => {
      this.tell("open", card.name);
      this.node.closest("[data-testid=stMain]")?.scrollTo({ top: 0, behavior: "smooth" });
    });
  }
}

export default function (component) {
  const parent = component.parentElement;
  parent.lvCards ??= new Cards(parent);
  parent.lvCards.update(component);
}

// A handle: what the pointer or the arrow keys do to it goes to its hand.

export class Handle {
  constructor(hand) {
    this.hand = hand;
    this.node = document.createElement("div");
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
    const [x, y] = this.hand.toPixels(this.hand.at(this.spec));
    this.offset = [x - event.clientX, y - event.clientY]; // the handle stays under the point where it was taken
    this.dragged = true;
  }

  move(event) {
    if (!this.dragged) return;
    this.hand.drag(this.spec, this.hand.fromPixels(event.clientX + this.offset[0], event.clientY + this.offset[1]));
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
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    event.stopPropagation();
    const [across, up] = way.map((part) => part * (event.shiftKey ? 0.1 : 1));
    this.hand.nudge(this.spec, { across, up });
  }
}

// One position per trace, shared by every view of it on the page: the player moves it, the views follow.

class Channel {
  constructor() {
    this.index = 0;
    this.revision = null; // which trace, and which of Python's own moves in it
    this.listeners = new Set();
  }

  go(index) {
    if (index === this.index) return;
    this.index = index;
    for (const listener of [...this.listeners]) listener(index);
  }

  follow(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** The plots and tables on the page, by their names: whoever hears an answer for one hands it over. */
export const views = new Map();

const channels = new Map();

/** What a hand on a plot is doing: other plots may show it too. */
export const hands = new Channel();

/** The channel of this name; made when it is first asked for. */
export function channel(name) {
  if (!channels.has(name)) channels.set(name, new Channel());
  return channels.get(name);
}

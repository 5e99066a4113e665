// Asks the server again: "poll" after a while, for what goes on there by itself; "fresh" when a poll has told
// that there is more to show than the page shows. Either ends as soon as Python draws it no more.

import { channel } from "./bus.js";

const LOST_MS = 5000; // an answer that has not come by then will not come: ask again
const SHARE = 3; // a draw comes so many times as long after the last as that took: a click waits for it

class Ticker {
  update({ data, setTriggerValue }) {
    this.ask = (value) => setTriggerValue("tick", value);
    this.leave?.();
    clearTimeout(this.timer);
    const news = channel(`news_${data.channel}`);
    if (data.after_ms !== undefined) {
      this.wait(data.after_ms, data.turn);
      news.go(data.told);
    } else {
      const now = performance.now();
      const asked = this.asked ?? now;
      this.due = asked + Math.max(data.apart_ms, SHARE * (now - asked));
      this.asked = undefined;
      this.leave = news.follow(() => this.hear(news, data.shown));
      this.hear(news, data.shown);
    }
  }

  wait(ms, value) {
    this.timer = setTimeout(() => {
      this.asked ??= performance.now();
      this.ask(value);
      this.wait(LOST_MS, value);
    }, ms);
  }

  hear(news, shown) {
    clearTimeout(this.timer);
    if (!news.index || news.index === shown) return;
    this.wait(Math.max(0, this.due - performance.now()), news.index);
  }

  close() {
    this.leave?.();
    clearTimeout(this.timer);
  }
}

export default function (component) {
  const parent = component.parentElement;
  parent.lvTicker ??= new Ticker();
  parent.lvTicker.update(component);
  return () => {
    parent.lvTicker?.close();
    delete parent.lvTicker;
  };
}

// What films hold: short ones come with the page, long ones from an address of their own (lvmviz/ui/films.py).
// One of middle length comes along once with its address, and is kept here for when Python only names that.
//
// A view that shows one has a `node`, a way to `tell` Python, the film's `id`, and `waits` while it is on its way.

const SOON_MS = 300;
const LATEST_MS = 10_000;
const PATIENCE = 2; // failures, after which the film is asked to come with the page
const ROOM = 20_000_000; // characters of films that are kept, the latest

const kept = new Map(); // by address

function keep(at, text) {
  kept.delete(at);
  kept.set(at, text);
  let room = 0;
  for (const [other, held] of [...kept].reverse()) if ((room += held.length) > ROOM) kept.delete(other);
}

/** Whether what Python sent has to be loaded: another film, or the one on its way, now with the page. */
export const fresh = (view, data) => data.id !== view.id || Boolean(view.waits && data.film);

/** Gives `take` what the film says: at once where it came along, else when it is here, unless the view has
 *  another by then; meanwhile its node is busy. Where it does not come, Python is told that it is "lost". */
export function load(view, data, take) {
  view.id = data.id;
  const waits = (view.waits = {});
  const text = data.film ?? kept.get(data.at);
  if (text && data.at) keep(data.at, text);
  view.node.setAttribute("aria-busy", !text);
  const here = (made) => {
    view.waits = null;
    view.node.setAttribute("aria-busy", false);
    take(made);
  };
  const wanted = () => view.waits === waits && !view.closed;
  if (text) here(JSON.parse(text));
  else fetched(data.at, wanted, () => view.tell("lost", data.at)).then((made) => wanted() && here(made));
}

async function fetched(at, wanted, lost) {
  for (let failed = 1, wait = SOON_MS; wanted(); failed += 1, wait = Math.min(2 * wait, LATEST_MS)) {
    try {
      const answer = await fetch(new URL(at, location.href));
      if (answer.ok) {
        const text = await answer.text();
        const made = JSON.parse(text); // a part of it, or a proxy's page, is none
        keep(at, text);
        return made;
      }
    } catch {
      // no answer, or no film: once more
    }
    if (wanted() && failed === PATIENCE) lost();
    await new Promise((done) => setTimeout(done, wait));
  }
  return null;
}

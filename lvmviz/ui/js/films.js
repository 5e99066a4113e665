// What films hold: short ones come with the page, long ones from an address of their own (lvmviz/ui/films.py).
//
// A view that shows one has a `node`, a way to `tell` Python, the film's `id`, and `waits` while it is on its way.

const SOON_MS = 300;
const LATEST_MS = 10_000;
const PATIENCE = 2; // failures, after which the film is asked to come with the page

/** Whether what Python sent has to be loaded: another film, or the one on its way, now with the page. */
export const fresh = (view, data) => data.id !== view.id || Boolean(view.waits && data.film);

/** Gives `take` what the film says: at once where it came along, else when it is here, unless the view has
 *  another by then; meanwhile its node is busy. Where it does not come, Python is told that it is "lost". */
export function load(view, data, take) {
  view.id = data.id;
  const waits = (view.waits = {});
  view.node.setAttribute("aria-busy", !data.film);
  const here = (made) => {
    view.waits = null;
    view.node.setAttribute("aria-busy", false);
    take(made);
  };
  const wanted = () => view.waits === waits && !view.closed;
  if (data.film) here(JSON.parse(data.film));
  else fetched(data.at, wanted, () => view.tell("lost", data.at)).then((made) => wanted() && here(made));
}

async function fetched(at, wanted, lost) {
  for (let failed = 1, wait = SOON_MS; wanted(); failed += 1, wait = Math.min(2 * wait, LATEST_MS)) {
    try {
      const answer = await fetch(new URL(at, location.href));
      if (answer.ok) return await answer.json(); // a part of it, or a proxy's page, is none
    } catch {
      // no answer, or no film: once more
    }
    if (wanted() && failed === PATIENCE) lost();
    await new Promise((done) => setTimeout(done, wait));
  }
  return null;
}

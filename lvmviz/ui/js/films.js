// What films hold: short ones come with the page, long ones from an address of their own (lvmviz/ui/films.py).

const SOON_MS = 300;
const LATEST_MS = 10_000;
const PATIENCE = 2; // failures, after which the film is asked to come with the page

/** Gives `take` what the film says: at once where it came along, else when it is here, if it is still `wanted`;
 *  meanwhile the node is busy. Where it does not come, `lost` is told, and it comes with the page. */
export function load(node, { film, at }, { wanted, take, lost }) {
  node.setAttribute("aria-busy", !film);
  if (film) take(JSON.parse(film));
  else fetched(at, wanted, lost).then((made) => {
    if (!made || !wanted()) return;
    node.setAttribute("aria-busy", false);
    take(made);
  });
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

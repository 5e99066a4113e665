// What films hold: short ones come with the page, long ones from an address of their own (lvmviz/ui/films.py).

const SOON_MS = 300;
const LATEST_MS = 10_000;

/** Gives `take` what the film says: at once where it came along, else when it is here, if it is still `wanted`;
 *  meanwhile the node is busy. Where the server has let go of it, `lost` has it made again. */
export function load(node, { film, at }, { wanted, take, lost }) {
  node.setAttribute("aria-busy", !film);
  if (film) take(JSON.parse(film));
  else fetched(at, wanted, lost).then((made) => {
    if (!wanted()) return;
    node.setAttribute("aria-busy", false);
    take(made);
  });
}

async function fetched(at, wanted, lost) {
  for (let wait = SOON_MS; wanted(); wait = Math.min(2 * wait, LATEST_MS)) {
    const answer = await fetch(new URL(at, location.href)).catch(() => null);
    if (answer?.ok) return answer.json();
    if (wanted()) lost();
    await new Promise((done) => setTimeout(done, wait));
  }
}

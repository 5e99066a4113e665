// An address of the app that answers a hand with what views show, without a run of the page.

import { views } from "./bus.js";

/** What the views show of these places, by their names; null where the address cannot tell. */
export async function asked(address, places) {
  const response = await fetch(`${address}?at=${places.join(";")}`).catch(() => null);
  return response?.ok ? response.json().catch(() => null) : null;
}

/** Hands an answer to the views. */
export function show(answer) {
  for (const [name, shown] of Object.entries(answer)) views.get(name)?.take(shown);
}

// What of the latent plane is large and stays while the pin moves: its picture, its points, the decoded tiles.
// It comes apart from the rest, once; the plane asks for it by its id.

import { fresh, load } from "./films.js";

const MOST = 6; // kept, so that going back to one is at once
const stills = new Map();

function slot(id) {
  if (!stills.has(id)) {
    const made = {};
    made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
    stills.set(id, made);
    if (stills.size > MOST) stills.delete(stills.keys().next().value);
  }
  return stills.get(id);
}

/** What came, or will come, under this id: { back, smooth, dots, tiles, side, height, width }. */
export const still = (id) => slot(id).promise;

/** A picture from its address. */
function picture(source) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("the latent plane's picture did not load: reload the page"));
    image.src = source;
  });
}

/** The grey values of every tile, one after the other. */
function unpack(image, { side, height, width }) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  const tiles = [];
  for (let row = 0; row < side; row++)
    for (let column = 0; column < side; column++) {
      const tile = new Uint8Array(height * width);
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++)
          tile[y * width + x] = data[4 * ((row * height + y) * image.width + column * width + x)];
      tiles.push(tile);
    }
  return tiles;
}

async function read({ back, smooth, dots, atlas }) {
  const [under, sprite] = await Promise.all([picture(back), picture(atlas.source)]);
  return { back: under, smooth, dots, ...atlas, tiles: unpack(sprite, atlas) };
}

export default function ({ data, parentElement, setTriggerValue }) {
  const place = slot(data.id);
  Object.assign(place, { node: parentElement, tell: setTriggerValue });
  if (fresh(place, data)) load(place, data, (made) => read(made).then(place.resolve, place.reject));
}

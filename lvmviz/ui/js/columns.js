// A linear map that the hand takes by its columns: (x, y) = (cx, cy) + u (a11, a21) + v (a12, a22).

export const fields = ["cx", "cy", "a11", "a21", "a12", "a22"];
export const told = fields;

export function affine({ cx, cy, a11, a21, a12, a22 }) {
  return [a11, a21, a12, a22, cx, cy];
}

const held = (value, [low, high]) => Math.min(Math.max(value, low), high);

/** The two numbers that a handle sets. */
const pair = ({ moves }) => ({ centre: ["cx", "cy"], first: ["a11", "a21"], second: ["a12", "a22"] })[moves];

/** The centre goes to the pointer; a column's tip is counted from the centre. */
export function drag(place, handle, { x, y }, ends) {
  const [across, up] = pair(handle);
  const from = handle.moves === "centre" ? [0, 0] : [place.cx, place.cy];
  place[across] = held(x - from[0], ends);
  place[up] = held(y - from[1], ends);
}

export function nudge(place, handle, { across, up }, step, ends) {
  const [first, second] = pair(handle);
  place[first] = held(place[first] + across * step.x, ends);
  place[second] = held(place[second] + up * step.y, ends);
}

export function slider(place, handle, [low, high]) {
  return [low, high, place[pair(handle)[0]]];
}

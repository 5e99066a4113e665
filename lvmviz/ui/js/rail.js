// A point that the hand slides along a curve: Python sends the curve's heights at evenly spaced places.

export const fields = ["x", "y"];
export const told = ["x"]; // the height follows

/** The affine map [a, b, c, d, e, f] of a place: the point itself. */
export function affine({ x, y }) {
  return [1, 0, 0, 1, x, y];
}

/** The height at a place, looked up between two neighbours; `ends` is the least, the most, then the heights. */
function height(x, [low, high, ...heights]) {
  const at = ((x - low) / (high - low)) * (heights.length - 1);
  const left = Math.min(Math.floor(at), heights.length - 2);
  return heights[left] + (at - left) * (heights[left + 1] - heights[left]);
}

/** Takes the point to where the pointer has it, as far as the curve goes. */
export function drag(place, handle, { x }, ends) {
  place.x = Math.min(Math.max(x, ends[0]), ends[1]);
  place.y = height(place.x, ends);
}

/** Takes the point a step further by an arrow key: right and up are more. */
export function nudge(place, handle, { across, up }, step, ends) {
  drag(place, handle, { x: place.x + (across + up) * step.x }, ends);
}

/** What a slider of this handle would say: its least, its most, its value. */
export function slider({ x }, handle, [low, high]) {
  return [low, high, x];
}

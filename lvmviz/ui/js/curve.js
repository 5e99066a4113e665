// A curve that the hand shifts and stretches: x = loc + scale u, y = height v / scale.

export const fields = ["loc", "scale", "height"];
export const told = ["loc", "scale"]; // what Python is told

/** The affine map [a, b, c, d, e, f] of a place: x = a u + c v + e, y = b u + d v + f. */
export function affine({ loc, scale, height }) {
  return [scale, 0, 0, height / scale, loc, 0];
}

/** Takes a handle to where the pointer has it, as far as the sliders go. */
export function drag(place, { moves, at }, { x }, [low, high, least, most]) {
  if (moves === "loc") place.loc = Math.min(Math.max(x - place.scale * at[0], low), high);
  else place.scale = Math.min(Math.max((x - place.loc) / at[0], least), most);
}

/** Takes a handle a step further by an arrow key: right and up are more. */
export function nudge(place, handle, { across, up }, { x: step }, ends) {
  const [a, , , , e] = affine(place);
  drag(place, handle, { x: e + a * handle.at[0] + (across + up) * step }, ends);
}

/** What a slider of this handle would say: its least, its most, its value. */
export function slider(place, { moves }, [low, high, least, most]) {
  return moves === "loc" ? [low, high, place.loc] : [least, most, place.scale];
}

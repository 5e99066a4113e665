// An ellipse that the hand moves, stretches and turns: (x, y) = (cx, cy) + R(angle) (first u, second v).

const DEGREE = Math.PI / 180;
const NUDGE = 5; // degrees, for one press of an arrow key

export const fields = ["cx", "cy", "first", "second", "angle"]; // of the axes: half lengths, and degrees from x to the first
export const told = fields;

export function affine({ cx, cy, first, second, angle }) {
  const [cos, sin] = [Math.cos(angle * DEGREE), Math.sin(angle * DEGREE)];
  return [first * cos, first * sin, -second * sin, second * cos, cx, cy];
}

const held = (value, low, high) => Math.min(Math.max(value, low), high);

/** From -180 to 180 degrees: a handle stays on its side of the centre. */
const turned = (angle) => angle - 360 * Math.round(angle / 360);

export function drag(place, { moves, at, turns }, { x, y }, ends) {
  const [left, right, bottom, top, least, most] = ends;
  if (moves === "centre") {
    place.cx = held(x, left, right);
    place.cy = held(y, bottom, top);
    return;
  }
  const [dx, dy] = [x - place.cx, y - place.cy];
  const reach = Math.hypot(...at);
  if (turns) {
    place[moves] = held(Math.hypot(dx, dy) / reach, least, most);
    place.angle = turned(Math.atan2(dy, dx) / DEGREE - (moves === "first" ? 0 : 90));
    return;
  }
  const [cos, sin] = [Math.cos(place.angle * DEGREE), Math.sin(place.angle * DEGREE)];
  const along = moves === "first" ? dx * cos + dy * sin : dy * cos - dx * sin;
  place[moves] = held(Math.abs(along) / reach, least, most);
}

/** The centre goes with the arrows; of an axis, right is longer and up turns it to the left. */
export function nudge(place, { moves, turns }, { across, up }, step, ends) {
  const [left, right, bottom, top, least, most] = ends;
  if (moves === "centre") {
    place.cx = held(place.cx + across * step.x, left, right);
    place.cy = held(place.cy + up * step.y, bottom, top);
    return;
  }
  place[moves] = held(place[moves] + across * step.x, least, most);
  if (turns) place.angle = turned(place.angle + NUDGE * up);
}

export function slider(place, { moves }, [left, right, , , least, most]) {
  return moves === "centre" ? [left, right, place.cx] : [least, most, place[moves]];
}

// Affine maps of the plane: [a, b, c, d, e, f] takes (u, v) to (a u + c v + e, b u + d v + f), as in SVG.

/** Where an affine map [a, b, c, d, e, f] takes (u, v). */
export const mapped = ([a, b, c, d, e, f], [u, v]) => [a * u + c * v + e, b * u + d * v + f];

/** First one affine map, then another. */
export function after([a, b, c, d, e, f], [g, h, i, j, k, l]) {
  return [a * g + c * h, b * g + d * h, a * i + c * j, b * i + d * j, a * k + c * l + e, b * k + d * l + f];
}

/** The map back. */
export function inverse([a, b, c, d, e, f]) {
  const det = a * d - b * c;
  return [d / det, -b / det, -c / det, a / det, (c * f - d * e) / det, (b * e - a * f) / det];
}

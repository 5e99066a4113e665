// Looks up frame t of a film that Python made (lvmviz/figures/film.py says what a move is).

function bytes(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

function floats(base64) {
  return new Float64Array(bytes(base64).buffer);
}

/** A function of a row's number that gives the values of a move, one for each of its keys. */
function rows(move) {
  const n = move.n;
  if (move.list) return (t) => [move.list[t]];
  if (move.f64) {
    const all = floats(move.f64);
    return (t) => [Array.from(all.subarray(t * n, t * n + n))];
  }
  if (move.rgb) {
    const all = bytes(move.rgb);
    return (t) => {
      const row = all.subarray(3 * t * n, 3 * (t + 1) * n);
      return [Array.from({ length: n }, (_, i) => `rgb(${row[3 * i]},${row[3 * i + 1]},${row[3 * i + 2]})`)];
    };
  }
  if (move.share) return shares(bytes(move.which), new Uint16Array(bytes(move.share).buffer), n, move.most);
  const all = floats(move.affine);
  return (t) => affine(all.subarray(6 * t, 6 * t + 6), move.u, move.v);
}

/** The largest shares of every point as words, such as "q(1) = 0.93", a line each. */
function shares(which, share, n, most) {
  return (t) => [Array.from({ length: n }, (_, i) => told(which, share, (t * n + i) * most, most))];
}

function told(which, share, start, most) {
  let text = "";
  for (let i = start; i < start + most; i += 1) {
    const q = share[i] / 65535;
    if (q >= 0.005) text += `<br>q(${which[i] + 1}) = ${q.toFixed(2)}`;
  }
  return text;
}

/** A function of frame t; neighbouring frames that are the same share a row. */
function reader(move) {
  const read = rows(move);
  return move.at ? (t) => read(move.at[t]) : read;
}

/** x = a0 + a1 u + a2 v and y = a3 + a4 u + a5 v for every point (u, v) of a curve. */
export function affine(a, u, v) {
  return [u.map((ui, i) => a[0] + a[1] * ui + a[2] * v[i]), u.map((ui, i) => a[3] + a[4] * ui + a[5] * v[i])];
}

function put(target, key, value) {
  const path = key.replaceAll("]", "").replaceAll("[", ".").split(".");
  const last = path.pop();
  for (const part of path) target = target[part] ??= {};
  target[last] = value;
}

function fresh(value) {
  // plotly compares data arrays by identity and fills in layouts: give it copies of the small things only
  if (Array.isArray(value)) return value.length && typeof value[0] === "object" ? value.map(fresh) : value;
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, fresh(part)]));
}

/** A function of t that gives the whole figure {data, layout} at frame t. */
export function film({ figure, count, moves }) {
  const readers = moves.map((move) => ({ ...move, read: reader(move) }));
  return (t) => {
    const made = { data: figure.data.map(fresh), layout: fresh(figure.layout) };
    const at = Math.max(0, Math.min(t, count - 1));
    for (const { trace, keys, read } of readers) {
      const target = trace === null ? made.layout : made.data[trace];
      read(at).forEach((value, i) => put(target, keys[i], value));
    }
    return made;
  };
}

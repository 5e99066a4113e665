// What stands on the latent plane: lines and words, drawn on its canvas.

const CLEAR = 3; // px between a word and its box

/** A line through places, or only its points; with `dots`, a disc at each, the first filled so. */
export function line(context, { x, y, colour, width, dash, fill, dots, joined }, toPixels, colours) {
  context.beginPath();
  x.forEach((value, i) => context.lineTo(...toPixels([value, y[i]])));
  context.setLineDash(dash);
  if (fill) {
    context.fillStyle = fill;
    context.fill();
  }
  context.strokeStyle = colour;
  context.lineWidth = width;
  if (joined) context.stroke();
  context.setLineDash([]);
  for (let i = 0; i < (dots ? x.length : 0); i++) {
    const [a, b] = toPixels([x[i], y[i]]);
    context.beginPath();
    context.arc(a, b, !joined || i % (x.length - 1) ? 3 : 5.5, 0, 2 * Math.PI);
    context.fillStyle = i === 0 ? dots : colours.bg;
    context.fill();
    context.stroke();
  }
}

/** A word on paper, in a box where it names a class. */
export function word(context, { at, text, ring, shift }, toPixels, colours) {
  const [x, y] = toPixels(at);
  context.font = `${ring ? "600 13" : "11"}px ${colours.font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const width = context.measureText(text).width / 2 + CLEAR;
  const high = y + (shift ?? 0);
  context.fillStyle = colours.bg;
  context.globalAlpha = 0.88;
  context.fillRect(x - width, high - 9, 2 * width, 18);
  context.globalAlpha = 1;
  if (ring) {
    context.strokeStyle = ring;
    context.lineWidth = 1.5;
    context.strokeRect(x - width, high - 9, 2 * width, 18);
  }
  context.fillStyle = ring ? colours.text : colours.muted;
  context.fillText(text, x, high + 0.5);
}

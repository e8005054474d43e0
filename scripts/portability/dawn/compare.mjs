// Comparison element by element: one wrong element fails, however many are right.

// How far `got` is from `want` at its worst element, as a share of `atol + rtol * |want|`: at most 1 passes. Infinite
// where the lengths differ, where there is nothing to compare, and for an element that is not finite.
export function compare(got, want, atol, rtol) {
  if (got.length !== want.length || want.length === 0) {
    return { share: Infinity, detail: `${got.length} elements where ${want.length} were expected` };
  }
  let worst = 0;
  let at = -1;
  for (let i = 0; i < want.length; i++) {
    const allowed = atol + rtol * Math.abs(want[i]);
    let share = 0;
    if (!Number.isFinite(got[i]) || !Number.isFinite(want[i]) || !Number.isFinite(allowed)) share = Infinity;
    // With no error allowed this is infinite, as it should be.
    else if (got[i] !== want[i]) share = Math.abs(got[i] - want[i]) / allowed;
    if (share > worst) {
      worst = share;
      at = i;
    }
  }
  const detail = at < 0 ? "all equal" : `worst at ${at}: ${got[at]} where ${want[at]} was expected`;
  return { share: worst, at, detail };
}

// Moves the first, the middle and the last element of a `got` that passes out of its tolerance, then to NaN. Returns a
// complaint unless `compare` blames that very element each time.
export function canary(got, want, atol, rtol) {
  for (const at of new Set([0, want.length >> 1, want.length - 1])) {
    const distance = 2 * (atol + rtol * Math.abs(want[at]));
    const moved = want[at] + (distance > 0 ? distance : Math.max(Math.abs(want[at]) * 2 ** -23, 1));
    for (const wrong of [moved, NaN]) {
      const corrupted = Float64Array.from(got);
      corrupted[at] = wrong;
      const found = compare(corrupted, want, atol, rtol);
      if (found.share <= 1 || found.at !== at) return `${wrong} at ${at} went unnoticed`;
    }
  }
  return null;
}

// How two runs of the same program differ: how many words do, and by how much the numbers that they hold.
export function difference(got, other, elements) {
  if (got.length !== other.length) return { different: Infinity, largest: Infinity };
  const different = got.reduce((sum, word, i) => sum + (word === other[i] ? 0 : 1), 0);
  if (different === 0) return { different, largest: 0 };
  const [ours, theirs] = [numbers(got, elements), numbers(other, elements)];
  let largest = 0;
  for (let i = 0; i < ours.length; i++) {
    if (ours[i] !== theirs[i]) largest = Math.max(largest, Math.abs(ours[i] - theirs[i]));
  }
  return { different, largest };
}

// The numbers that words hold: the kinds of `Elements` in src/cases/elements.rs.
export function numbers(words, elements) {
  const { buffer, byteOffset, byteLength } = words;
  switch (elements) {
    case "floats":
      return new Float32Array(buffer, byteOffset, words.length);
    case "words":
      return words;
    case "bytes":
      return new Uint8Array(buffer, byteOffset, byteLength);
    case "halves":
      return Float64Array.from(new Uint16Array(buffer, byteOffset, byteLength / 2), half);
    default:
      throw new Error(`elements that are not known: ${elements}`);
  }
}

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1024 + mantissa) * 2 ** (exponent - 25);
}

// Which words from `from` on are not `poison` any more; null where all are.
export function damage(place, words, from, poison) {
  let first = -1;
  let count = 0;
  for (let i = from; i < words.length; i++) {
    if (words[i] === poison) continue;
    if (first < 0) first = i;
    count += 1;
  }
  return count === 0 ? null : `${place}: ${count} words overwritten where nothing lies, the first is ${first} of ${words.length}`;
}

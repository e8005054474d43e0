// A program's results against what is expected of them, and against those of this library with wgpu.

import { canary, compare, damage, difference, numbers } from "./compare.mjs";

// The words of a result, piece for piece.
export function wordsAt(after, at) {
  const parts = at.map(([name, offset, bytes]) => after.get(name).subarray(offset / 4, (offset + bytes) / 4));
  if (parts.length === 1) return parts[0].slice();
  const words = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let end = 0;
  for (const part of parts) {
    words.set(part, end);
    end += part.length;
  }
  return words;
}

// Complaints about what lies outside the results, which must be as it was.
export function overruns(manifest, program, data, after) {
  const found = [];
  program.externals.forEach(({ given, updated }, index) => {
    const words = after.get(`external.${index}`);
    const before = data.words(given);
    if (!updated && before.some((word, i) => word !== words[i])) found.push(`input ${index} was changed`);
    found.push(damage(`input ${index}`, words, before.length, manifest.poison_behind));
  });
  program.arenas.forEach(({ owned }, index) => {
    const words = after.get(`arena.${index}`).slice();
    for (const [offset, bytes] of owned) words.fill(manifest.poison, offset / 4, (offset + bytes) / 4);
    found.push(damage(`arena ${index}`, words, 0, manifest.poison));
  });
  return found.filter((complaint) => complaint !== null);
}

// What a run left behind: its worst share, complaints, the words of its results, and how they differ from wgpu's.
export function judge(manifest, program, data, after, tryCanary) {
  const complaints = overruns(manifest, program, data, after);
  const verdict = { share: 0, complaints, results: [], compared: 0, different: 0, largest: 0 };
  for (const result of program.results) {
    const words = wordsAt(after, result.at);
    verdict.results.push(words);
    const got = numbers(words, result.elements);
    const want = data.numbers(result.expected);
    const [atol, rtol] = result.exact ? [0, 0] : [program.atol, program.rtol];
    const found = compare(got, want, atol, rtol);
    verdict.share = Math.max(verdict.share, found.share);
    if (found.share > 1) complaints.push(`${result.what}: ${found.detail}`);
    else if (tryCanary) {
      const unnoticed = canary(got, want, atol, rtol);
      if (unnoticed !== null) complaints.push(`the comparison is at fault: ${result.what}, ${unnoticed}`);
    }
    if (result.wgpu) {
      const { different, largest } = difference(words, data.words(result.wgpu), result.elements);
      verdict.compared += words.length;
      verdict.different += different;
      verdict.largest = Math.max(verdict.largest, largest);
    }
  }
  return verdict;
}

// Whether two runs left the same bits.
export function same(results, others) {
  return results.every((words, index) => {
    const other = others[index];
    return words.length === other.length && words.every((word, i) => word === other[i]);
  });
}

// The table that is printed of a device.

export function printTable({ device, kernels, seconds }) {
  const head = ["kernel", "programs", "worst share", "words as wgpu's", "largest difference", "result"];
  const rows = kernels.map((row) => [
    row.kernel,
    String(row.programs),
    row.programs > 0 ? percent(row.share) : "-",
    row.compared > 0 ? asWgpu(row) : "-",
    row.compared > 0 ? row.largest.toExponential(1) : "-",
    row.pass ? "pass" : "FAIL",
  ]);
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column].length)));
  const line = (row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ");
  console.log(`\n${device}, ${seconds.toFixed(0)} s`);
  for (const row of [head, ...rows]) console.log(line(row));
  console.log();
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

// All, or how many.
function asWgpu({ compared, different }) {
  return different === 0 ? "all" : `${((100 * (compared - different)) / compared).toFixed(2)} %`;
}

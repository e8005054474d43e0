// Runs impasto's kernels on Dawn.
//
// usage: node run.mjs subgroups              smallest and largest subgroup of the adapter, or nothing
//        node run.mjs FOLDER REPORT.json     what examples/export_cases wrote; exit code 1 where anything fails

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { largeDevice, smallDevice, subgroups } from "./device.mjs";
import { examine, readJson } from "./examine.mjs";
import { printTable } from "./table.mjs";

async function main([first, report]) {
  if (first === "subgroups") {
    const sizes = await subgroups();
    if (sizes) console.log(sizes.join(" "));
    return true;
  }
  const manifest = readJson(first, "manifest.json");
  const { version } = readJson(fileURLToPath(new URL("node_modules/webgpu/package.json", import.meta.url)));
  const devices = [];
  let adapter = null;
  for (const open of [largeDevice, smallDevice]) {
    const opened = await open();
    adapter ??= opened.info;
    console.log(`dawn: webgpu ${version} on ${adapter.model} (${adapter.description}): ${opened.name}`);
    const examined = await examine(opened, first, manifest);
    printTable(examined);
    devices.push(examined);
  }
  const pass = devices.every(({ failures }) => failures.length === 0);
  const shares = devices.flatMap(({ kernels }) => kernels.map(({ share }) => share));
  // No share is finite where a program could not run; JSON has no word for that.
  const finite = (key, value) => (value === Infinity ? "infinite" : value);
  const text = { adapter: adapter.model, driver: adapter.description, backend: `Dawn (webgpu ${version})`, devices, pass };
  writeFileSync(report, JSON.stringify(text, finite, 1));
  const compiled = devices.map(({ compiled }) => compiled).join(" + ");
  const programs = devices.map(({ programs }) => programs).join(" + ");
  const seconds = devices.reduce((sum, device) => sum + device.seconds, 0).toFixed(0);
  const worst = (100 * Math.max(...shares)).toFixed(1);
  console.log(
    `dawn: ${pass ? "passed" : "FAILED"}: ${compiled} kernels compiled, ${programs} programs run, ` +
      `worst share ${worst} % of the allowed error, ${seconds} s`,
  );
  return pass;
}

process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;

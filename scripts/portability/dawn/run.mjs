// Runs impasto's kernels on Dawn.
//
// usage: node run.mjs subgroups              smallest and largest subgroup of the adapter, or nothing
//        node run.mjs FOLDER REPORT.json     what examples/export_cases wrote; exit code 1 where anything fails

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { largeDevice, smallDevice, subgroups } from "./device.mjs";
import { compile, taken } from "./kernels.mjs";
import { judge, same } from "./judge.mjs";
import { replay } from "./programs.mjs";
import { printTable } from "./table.mjs";

function readJson(...path) {
  return JSON.parse(readFileSync(join(...path), "utf8"));
}

// The numbers of a case: `words` of 32 bits, `numbers` of 64.
function caseData(folder, name) {
  const bytes = readFileSync(join(folder, `${name}.bin`));
  // A copy of its own, so that it begins where numbers of 64 bits may.
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  return {
    words: ({ offset, bytes }) => new Uint32Array(buffer, offset, bytes / 4),
    numbers: ({ offset, bytes }) => new Float64Array(buffer, offset, bytes / 8),
  };
}

// Compiles and runs everything that a device may on it.
async function examine(opened, folder, manifest) {
  const { device, faults } = opened;
  const started = performance.now();
  const hasSubgroups = device.features.has("subgroups");
  const failures = [];
  const fail = (what, why) => {
    failures.push(`${what}: ${why}`);
    console.log(`FAILED  ${what}: ${why}`);
  };
  for (const what of await taken(device, hasSubgroups)) fail("Tint", `takes ${what}`);

  const pipelines = new Map();
  const rows = new Map();
  for (const kernel of manifest.kernels.filter(({ subgroups }) => hasSubgroups || !subgroups)) {
    const { built, errors, messages, seconds } = await compile(device, kernel);
    for (const message of [...errors, ...messages]) fail(kernel.name, message);
    if (built) pipelines.set(kernel.name, built);
    const row = { kernel: kernel.name, compiled: built !== null, messages, seconds };
    rows.set(kernel.name, { ...row, programs: 0, share: 0, compared: 0, different: 0, largest: 0, pass: true });
  }

  const kernels = new Map(manifest.kernels.map((kernel) => [kernel.name, kernel]));
  const canaries = new Set();
  let run = 0;
  for (const name of manifest.cases) {
    const theCase = readJson(folder, `${name}.json`);
    const data = caseData(folder, name);
    // What a program left behind, for the one that must leave the same.
    const left = [];
    for (const program of theCase.programs) {
      const used = [...new Set(program.dispatches.map(({ kernel }) => kernel))];
      left.push(null);
      if (!used.every((kernel) => pipelines.has(kernel))) continue;
      const what = `${theCase.name} by ${program.name}`;
      const { result, errors } = await replay(device, manifest, kernels, pipelines, theCase, program, data);
      errors.push(...faults.splice(0));
      let verdict = { share: Infinity, complaints: [], compared: 0, different: 0, largest: 0 };
      if (result !== null && errors.length === 0) {
        verdict = judge(manifest, program, data, result, !canaries.has(theCase.family));
        canaries.add(theCase.family);
        left[left.length - 1] = verdict.results;
        const before = program.same_as === null ? null : left[program.same_as];
        if (before && !same(verdict.results, before)) verdict.complaints.push("slices make a difference");
      }
      const complaints = [...errors, ...verdict.complaints];
      for (const complaint of complaints) fail(what, complaint);
      run += 1;
      for (const kernel of used) {
        const row = rows.get(kernel);
        row.programs += 1;
        row.share = Math.max(row.share, verdict.share);
        row.compared += verdict.compared;
        row.different += verdict.different;
        row.largest = Math.max(row.largest, verdict.largest);
        row.pass &&= complaints.length === 0;
      }
    }
  }

  for (const row of rows.values()) {
    const allowed = kernels.get(row.kernel).allowed;
    if (row.compiled && allowed && row.programs === 0) fail(row.kernel, "no program runs it");
    row.pass &&= row.compiled && row.messages.length === 0 && (row.programs > 0 || !allowed);
  }
  const seconds = (performance.now() - started) / 1000;
  const limits = {};
  for (const limit in device.limits) limits[limit] = device.limits[limit];
  device.destroy();
  return { device: opened.name, limits, compiled: pipelines.size, programs: run, kernels: [...rows.values()], failures, seconds };
}

async function main([first, report]) {
  if (first === "subgroups") {
    const sizes = await subgroups();
    if (sizes) console.log(sizes.join(" "));
    return true;
  }
  const manifest = readJson(first, "manifest.json");
  const { version } = readJson(import.meta.dirname ?? ".", "node_modules", "webgpu", "package.json");
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

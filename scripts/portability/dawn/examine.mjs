// Compiles and runs on a device everything that it may.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { same, judge } from "./judge.mjs";
import { compile, taken } from "./kernels.mjs";
import { replay } from "./programs.mjs";
import { unnoticed } from "./sentinels.mjs";

export function readJson(...path) {
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

// What is found on a device: how many kernels compile, how many programs run, a row for each kernel, and what failed.
export async function examine(opened, folder, manifest) {
  const started = performance.now();
  const { device } = opened;
  const failures = [];
  const fail = (what, why) => {
    failures.push(`${what}: ${why}`);
    console.log(`FAILED  ${what}: ${why}`);
  };
  for (const what of await taken(device)) fail("Tint", `does not mind ${what}`);
  for (const what of await unnoticed(device, manifest)) fail("sentinels", what);

  const { pipelines, rows } = await compileAll(device, manifest, fail);
  const seen = { pipelines, rows, left: [], canaries: new Set(), programs: 0 };
  for (const name of manifest.cases) {
    const theCase = readJson(folder, `${name}.json`);
    const data = caseData(folder, name);
    seen.left = [];
    for (const program of theCase.programs) await runOne(opened, manifest, theCase, program, data, seen, fail);
  }

  // Without subgroups, kernels that only help those with subgroups have nothing to do.
  const all = manifest.subgroups !== null && device.features.has("subgroups");
  for (const { name } of manifest.kernels.filter(({ allowed }) => all && allowed)) {
    const row = rows.get(name);
    if (!row.compiled || row.programs > 0) continue;
    fail(name, "no program runs it");
    row.pass = false;
  }
  const limits = {};
  for (const limit in device.limits) limits[limit] = device.limits[limit];
  device.destroy();
  return {
    device: opened.name,
    limits,
    compiled: pipelines.size,
    programs: seen.programs,
    kernels: [...rows.values()],
    failures,
    seconds: (performance.now() - started) / 1000,
  };
}

// Pipelines by name, and a row for each kernel that the device may compile.
async function compileAll(device, manifest, fail) {
  const pipelines = new Map();
  const rows = new Map();
  for (const kernel of manifest.kernels) {
    if (kernel.subgroups && !device.features.has("subgroups")) continue;
    const { built, errors, messages, seconds } = await compile(device, kernel);
    // A warning is one too many, too.
    for (const message of [...errors, ...messages]) fail(kernel.name, message);
    if (built) pipelines.set(kernel.name, built);
    rows.set(kernel.name, {
      kernel: kernel.name,
      compiled: built !== null,
      messages,
      seconds,
      programs: 0,
      share: 0,
      compared: 0,
      different: 0,
      largest: 0,
      pass: errors.length + messages.length === 0,
    });
  }
  return { pipelines, rows };
}

// Runs a program where the device has its kernels, and enters what comes of it into the rows of these.
async function runOne({ device, faults, sliced }, manifest, theCase, program, data, seen, fail) {
  const used = [...new Set(program.dispatches.map(({ kernel }) => kernel))];
  seen.left.push(null);
  const runs = used.every((kernel) => seen.pipelines.has(kernel)) && (sliced || program.same_as === null);
  if (!runs) return;
  seen.programs += 1;
  const kernels = new Map(manifest.kernels.map((kernel) => [kernel.name, kernel]));
  const { result, errors } = await replay(device, manifest, kernels, seen.pipelines, theCase, program, data);
  const complaints = [...errors, ...faults.splice(0)];
  let verdict = { share: Infinity, compared: 0, different: 0, largest: 0 };
  if (complaints.length === 0) {
    verdict = judge(manifest, program, data, result, !seen.canaries.has(theCase.family));
    complaints.push(...verdict.complaints);
    seen.canaries.add(theCase.family);
    seen.left[seen.left.length - 1] = verdict.results;
    const whole = program.same_as === null ? null : seen.left[program.same_as];
    if (whole && !same(verdict.results, whole)) complaints.push("slices make a difference");
  }
  for (const complaint of complaints) fail(`${theCase.name} by ${program.name}`, complaint);
  for (const kernel of used) {
    const row = seen.rows.get(kernel);
    row.programs += 1;
    row.share = Math.max(row.share, verdict.share);
    row.compared += verdict.compared;
    row.different += verdict.different;
    row.largest = Math.max(row.largest, verdict.largest);
    row.pass &&= complaints.length === 0;
  }
}

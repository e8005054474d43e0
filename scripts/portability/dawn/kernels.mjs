// Compiles kernels, and shaders that must be refused.

import { scoped } from "./device.mjs";

// Tint wants the extension named; naga, which the files are written for, refuses that line.
const SUBGROUPS = "enable subgroups;\n";

export function text(kernel) {
  return (kernel.subgroups ? SUBGROUPS : "") + kernel.wgsl;
}

function layoutEntries(kernel) {
  const entry = (binding, buffer) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer });
  return [
    entry(0, { type: "uniform", hasDynamicOffset: true }),
    entry(1, { type: "uniform" }),
    ...kernel.written.map((written, index) =>
      entry(kernel.first_storage_binding + index, { type: written ? "storage" : "read-only-storage" }),
    ),
  ];
}

// Pipeline and bind group layout of a kernel, with everything that the compiler says of it.
export async function compile(device, kernel) {
  const started = performance.now();
  const messages = [];
  const { result, errors } = await scoped(device, async () => {
    const module = device.createShaderModule({ label: kernel.name, code: text(kernel) });
    for (const { type, lineNum, linePos, message } of (await module.getCompilationInfo()).messages) {
      messages.push(`${type} at ${lineNum}:${linePos}: ${message}`);
    }
    const layout = device.createBindGroupLayout({ label: kernel.name, entries: layoutEntries(kernel) });
    const pipeline = await device.createComputePipelineAsync({
      label: kernel.name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main", constants: Object.fromEntries(kernel.constants) },
    });
    return { layout, pipeline };
  });
  return { built: errors.length === 0 ? result : null, errors, messages, seconds: (performance.now() - started) / 1000 };
}

const HEAD = `@group(0) @binding(0) var<storage, read_write> y: array<u32>;
var<workgroup> shared_word: u32;
@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) lane: u32) {
`;

// What the uniformity analysis is here for: a device that takes one of these proves nothing with the others.
const WRONG = [
  ["a barrier that some threads miss", `if (lane < 9u) { workgroupBarrier(); } y[lane] = lane; }`],
  ["a barrier behind a value of the workgroup's memory", `if (shared_word > 0u) { workgroupBarrier(); } y[lane] = lane; }`],
  ["a barrier behind a value of a buffer that is written", `if (y[0] > 0u) { workgroupBarrier(); } y[lane] = lane; }`],
  ["a shuffle that some lanes miss", `if (lane < 9u) { y[lane] = subgroupShuffle(lane, 1u); } }`, true],
  ["a loop of shuffles that lanes leave one by one", `for (var i = lane; i < 64u; i++) { y[i] = subgroupAdd(lane); } }`, true],
];

// Which of the wrong shaders the device takes, or refuses for another reason; none, if all is well.
export async function taken(device) {
  const found = [];
  for (const [what, body, needsSubgroups = false] of WRONG) {
    if (needsSubgroups && !device.features.has("subgroups")) continue;
    const code = (needsSubgroups ? SUBGROUPS : "") + HEAD + body;
    const { errors } = await scoped(device, async () => device.createShaderModule({ code }).getCompilationInfo());
    if (!errors.some((error) => error.includes("uniform control flow"))) found.push(what);
  }
  return found;
}

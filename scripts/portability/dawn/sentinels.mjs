// A kernel that is wrong on purpose: what runs and judges the programs must see it.

import { compile } from "./kernels.mjs";
import { judge } from "./judge.mjs";
import { replay } from "./programs.mjs";

// y[i] = x[i + reach] for i in 0..count.
const WRONG = {
  name: "wrong",
  wgsl: `
    override WORKGROUP: u32 = 64u;
    override FOLD: u32 = 32768u;
    struct Slice { first: u32, end: u32 }
    @group(0) @binding(0) var<uniform> slice: Slice;
    struct Params { count: u32, reach: u32 }
    @group(0) @binding(1) var<uniform> params: Params;
    @group(0) @binding(2) var<storage, read> x: array<f32>;
    @group(0) @binding(3) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(WORKGROUP)
    fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
      let i = (slice.first + group.y * FOLD + group.x) * WORKGROUP + lane;
      if (i < params.count) { y[i] = x[i + params.reach]; }
    }`,
  subgroups: false,
  constants: [
    ["WORKGROUP", 64],
    ["FOLD", 32768],
  ],
  first_storage_binding: 2,
  written: [false, true],
  params_bytes: 16,
};

const ELEMENTS = 105;
const GUARD = 4096;

// Complaints about what went unnoticed; none, if all is well.
export async function unnoticed(device, manifest) {
  const { built } = await compile(device, WRONG);
  const kernels = new Map([[WRONG.name, WRONG]]);
  const pipelines = new Map([[WRONG.name, built]]);
  const floats = Float32Array.from({ length: ELEMENTS }, (_, i) => 1 + i);
  const data = { words: () => new Uint32Array(floats.buffer), numbers: () => Float64Array.from(floats) };
  const run = async (count, reach) => {
    const bytes = 4 * ELEMENTS;
    const program = {
      atol: 0,
      rtol: 0,
      arenas: [{ bytes: 8192, owned: [[0, bytes]] }],
      externals: [{ given: { bytes }, guard: GUARD, updated: false }],
      dispatches: [
        {
          kernel: WRONG.name,
          params: new Uint8Array(Uint32Array.of(count, reach).buffer),
          bindings: [
            ["external.0", 0, bytes + GUARD],
            ["arena.0", 0, bytes + GUARD],
          ],
        },
      ],
      slices: [
        [0, 0, 1],
        [0, 1, 4],
      ],
      passes: true,
      results: [{ what: "output", at: [["arena.0", 0, bytes]], elements: "floats", exact: false, expected: {}, wgpu: null }],
    };
    const { result, errors } = await replay(device, manifest, kernels, pipelines, { repeats: 1 }, program, data);
    return [...errors, ...judge(manifest, program, data, result, true).complaints];
  };
  const found = [];
  const right = await run(ELEMENTS, 0);
  if (right.length > 0) found.push(`a right kernel is called wrong: ${right.join("; ")}`);
  for (const [count, reach, what, sign] of [
    [ELEMENTS - 1, 0, "an element that is not written", "output"],
    [ELEMENTS + 1, 0, "an element too many", "arena 0"],
    [ELEMENTS, 1, "an element read from behind the input", "output"],
  ]) {
    const complaints = await run(count, reach);
    if (complaints.length !== 1 || !complaints[0].startsWith(sign)) {
      found.push(`${what} went unnoticed: ${complaints.join("; ")}`);
    }
  }
  return found;
}

// Replays a program as the library does: uniform blocks and slice table are written once, and every slice is a dispatch
// with a dynamic offset into the table.

import { scoped } from "./device.mjs";

const UNUSED_BYTES = 16;

// Workgroup counts for `workgroups` in one line, folded.
export function fold(workgroups, width) {
  return [Math.min(workgroups, width), Math.ceil(workgroups / width), 1];
}

export function roundUp(bytes, alignment) {
  return Math.ceil(bytes / alignment) * alignment;
}

// All uniform blocks behind each other, with where each begins and its bytes; and the table of slices.
export function uniforms(manifest, kernels, program) {
  const blocks = [];
  let end = 0;
  for (const { kernel } of program.dispatches) {
    const bytes = kernels.get(kernel).params_bytes;
    blocks.push({ offset: end, bytes });
    end = roundUp(end + bytes, manifest.alignment);
  }
  const params = new Uint8Array(Math.max(end, UNUSED_BYTES));
  program.dispatches.forEach((dispatch, index) => params.set(dispatch.params, blocks[index].offset));
  const stride = roundUp(UNUSED_BYTES, manifest.alignment);
  const table = new Uint32Array((program.slices.length * stride) / 4);
  program.slices.forEach(([, first, end], index) => table.set([first, end], (index * stride) / 4));
  return { params, blocks, table, stride };
}

// Runs a program and returns the words of its buffers by name, with what the device says of it.
export async function replay(device, manifest, kernels, pipelines, theCase, program, data) {
  const buffers = new Map();
  const created = [];
  const make = (name, size, usage) => {
    const buffer = device.createBuffer({ label: name, size, usage });
    created.push(buffer);
    return buffer;
  };
  const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const filled = (name, words) => {
    const buffer = make(name, words.byteLength, storage);
    device.queue.writeBuffer(buffer, 0, words);
    buffers.set(name, buffer);
  };

  const outcome = await scoped(device, async () => {
    program.arenas.forEach(({ bytes }, index) =>
      filled(`arena.${index}`, new Uint32Array(bytes / 4).fill(manifest.poison)),
    );
    program.externals.forEach(({ given, guard }, index) => {
      const words = new Uint32Array((given.bytes + guard) / 4).fill(manifest.poison_behind);
      words.set(data.words(given));
      filled(`external.${index}`, words);
    });
    for (const name of ["unread", "unwritten"]) filled(name, new Uint32Array(UNUSED_BYTES / 4).fill(manifest.poison));

    const { params, blocks, table, stride } = uniforms(manifest, kernels, program);
    const uniform = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    const blocksBuffer = make("params", params.byteLength, uniform);
    device.queue.writeBuffer(blocksBuffer, 0, params);
    const tableBuffer = make("slices", table.byteLength, uniform);
    device.queue.writeBuffer(tableBuffer, 0, table);

    const bound = program.dispatches.map((dispatch, index) => {
      const { layout, pipeline } = pipelines.get(dispatch.kernel);
      const entries = [
        { binding: 0, resource: { buffer: tableBuffer, offset: 0, size: UNUSED_BYTES } },
        { binding: 1, resource: { buffer: blocksBuffer, offset: blocks[index].offset, size: blocks[index].bytes } },
        ...dispatch.bindings.map(([name, offset, size], binding) => ({
          binding: kernels.get(dispatch.kernel).first_storage_binding + binding,
          resource: { buffer: buffers.get(name), offset, size },
        })),
      ];
      return { pipeline, group: device.createBindGroup({ label: dispatch.kernel, layout, entries }) };
    });

    for (let repeat = 0; repeat < theCase.repeats; repeat++) {
      const encoder = device.createCommandEncoder();
      let pass = null;
      program.slices.forEach(([dispatch, first, end], index) => {
        pass ??= encoder.beginComputePass();
        pass.setPipeline(bound[dispatch].pipeline);
        pass.setBindGroup(0, bound[dispatch].group, [index * stride]);
        pass.dispatchWorkgroups(...fold(end - first, manifest.fold));
        if (program.passes) {
          pass.end();
          pass = null;
        }
      });
      pass?.end();
      device.queue.submit([encoder.finish()]);
    }

    const encoder = device.createCommandEncoder();
    const copies = [...buffers].map(([name, buffer]) => {
      const copy = make(`${name}, read`, buffer.size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
      encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
      return [name, copy];
    });
    device.queue.submit([encoder.finish()]);
    const after = new Map();
    for (const [name, copy] of copies) {
      await copy.mapAsync(GPUMapMode.READ);
      after.set(name, new Uint32Array(copy.getMappedRange().slice(0)));
      copy.unmap();
    }
    return after;
  });
  for (const buffer of created) buffer.destroy();
  return outcome;
}

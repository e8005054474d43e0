// Dawn's adapter, and devices on it.

import { create, globals } from "webgpu";

Object.assign(globalThis, globals);

// As long as somebody holds it, Dawn lives.
const gpu = create([]);

// An adapter makes one device.
async function adapter() {
  const found = await gpu.requestAdapter();
  if (!found) {
    throw new Error("Dawn finds no adapter; install a Vulkan driver (scripts/ensure-vulkan.sh)");
  }
  return found;
}

// Smallest and largest subgroup, or null.
export async function subgroups() {
  const { features, info } = await adapter();
  return features.has("subgroups") ? [info.subgroupMinSize, info.subgroupMaxSize] : null;
}

// Everything that the adapter has of limits, and subgroups where it has them. Programs run whole and in slices.
export async function largeDevice() {
  const found = await adapter();
  const requiredLimits = {};
  for (const name in found.limits) requiredLimits[name] = found.limits[name];
  const requiredFeatures = found.features.has("subgroups") ? ["subgroups"] : [];
  return { ...(await opened("the adapter's limits", found, { requiredFeatures, requiredLimits })), sliced: true };
}

// What every WebGPU device has. Slices make no difference there that they do not make on the other.
export async function smallDevice() {
  return { ...(await opened("default limits, no feature", await adapter(), {})), sliced: false };
}

async function opened(name, found, descriptor) {
  const device = await found.requestDevice(descriptor);
  const faults = [];
  device.addEventListener("uncapturederror", (event) => faults.push(event.error.message));
  device.lost.then((info) => {
    if (info.reason !== "destroyed") faults.push(`the device was lost: ${info.message}`);
  });
  const { vendor, architecture, device: model, description } = found.info;
  return { name, device, faults, info: { vendor, architecture, model, description }, limits: device.limits };
}

// Runs `work`, and returns what it makes with the complaints of the device about it.
export async function scoped(device, work) {
  const kinds = ["validation", "internal", "out-of-memory"];
  for (const kind of kinds) device.pushErrorScope(kind);
  let result = null;
  const errors = [];
  try {
    result = await work();
  } catch (error) {
    errors.push(error.message);
  }
  for (const _ of kinds) {
    const error = await device.popErrorScope();
    if (error) errors.unshift(error.message.trim());
  }
  return { result, errors };
}

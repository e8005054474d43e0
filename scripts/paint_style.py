#!/usr/bin/env python3
"""Paint assets/brush-strokes.png: a night sky in thick, curved brush strokes, from nothing but a seed.

usage: paint_style.py OUT.png        needs numpy and pillow; takes about half a minute

A stream function gives the directions (strokes run along its level lines) and, with a palette, the colours. Strokes go
on in layers, from a wide brush to a narrow one. Each is a ribbon along a streamline that leaves colour, streaked by its
bristles, and paint of some height; at the end a light from the upper left falls on the whole relief.
"""

import sys

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 512, 384
# Everything is painted at twice the size, so that bristles are finer than a pixel of the result.
SCALE = 2
SEED = 20
# Distance of two points of a stroke's path, in pixels of the canvas.
STEP = 4.0

# Brush width and strokes per layer; widths and lengths are in pixels of the result.
LAYERS = [
    # (width, length, strokes, colour jitter)
    (38, 150, 260, 0.05),
    (23, 110, 620, 0.08),
    (15, 84, 1250, 0.11),
    (10, 60, 900, 0.16),
]


def rgb(text):
    return np.array([int(text[i : i + 2], 16) for i in (0, 2, 4)]) / 255.0


# Dark to light; the sky's bands run through these.
SKY = np.array([rgb(c) for c in ("0b1440", "12246b", "1b3f9c", "2a66bd", "4f95cf", "9cc7d8", "efe6c4")])
# Centre to rim of a star.
STAR = np.array([rgb(c) for c in ("fff3c9", "fbd65a", "f3a42a", "e5741f", "e9c56a", "dfe3c6", "7fb3d3")])
HILL = np.array([rgb(c) for c in ("0a1230", "12303f", "1d5146", "3f7a4a", "93983a", "d6a23a", "d9752a")])

# x, y, radius of the disc, strength of the swirl, in units of the picture's height.
STARS = [
    (1.07, 0.235, 0.125, 1.00),
    (0.40, 0.335, 0.060, -1.15),
    (0.185, 0.105, 0.048, 0.45),
    (0.735, 0.110, 0.040, -0.40),
    (0.735, 0.510, 0.046, 0.60),
    (1.255, 0.520, 0.040, -0.45),
    (0.085, 0.540, 0.038, 0.45),
]


def palette(colours, t):
    """Colours at t in 0..1, linear between the entries."""
    t = np.clip(t, 0, 1) * (len(colours) - 1)
    i = np.minimum(t.astype(int), len(colours) - 2)
    f = (t - i)[..., None]
    return colours[i] * (1 - f) + colours[i + 1] * f


def horizon(x):
    """Height of the hills' outline at x."""
    return 0.775 + 0.060 * np.sin(3.1 * x + 0.6) + 0.028 * np.sin(8.3 * x + 1.9)


def stream(x, y):
    """The sky's stream function: a wind to the right, waving, with a vortex at each star."""
    psi = y + 0.035 * np.sin(5.2 * x + 3.0 * y) + 0.022 * np.sin(9.5 * x - 5.0 * y + 1.0)
    for cx, cy, radius, strength in STARS:
        reach = 2.6 * radius
        psi = psi + 1.1 * strength * reach * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * reach**2))
    return psi


def direction(x, y):
    """Unit direction of the brush at x, y."""
    e = 1e-3
    dx = (stream(x, y + e) - stream(x, y - e)) / (2 * e)
    dy = -(stream(x + e, y) - stream(x - e, y)) / (2 * e)
    # Discs of the stars: strokes circle the centre.
    for cx, cy, radius, strength in STARS:
        d = np.hypot(x - cx, y - cy) + 1e-6
        inside = 1 / (1 + np.exp((d - 1.35 * radius) / (0.12 * radius)))
        n = np.hypot(dx, dy) + 1e-9
        sign = -np.sign(strength)
        dx = dx / n * (1 - inside) - sign * inside * (y - cy) / d
        dy = dy / n * (1 - inside) + sign * inside * (x - cx) / d
    # Hills: strokes follow the outline, and roll more the lower they are.
    ground = 1 / (1 + np.exp(-(y - horizon(x)) / 0.006))
    slope = (horizon(x + e) - horizon(x - e)) / (2 * e)
    roll = slope * (1 + 2.5 * (y - horizon(x)) / 0.2) + 0.30 * np.sin(11 * x + 14 * y)
    n = np.hypot(dx, dy) + 1e-9
    m = np.hypot(1, roll)
    dx = dx / n * (1 - ground) + ground / m
    dy = dy / n * (1 - ground) + ground * roll / m
    n = np.hypot(dx, dy) + 1e-9
    return dx / n, dy / n


def colour(x, y, jitter):
    """What the painter sees at x, y: the colour that a stroke there is given."""
    psi = stream(x, y)
    bands = 0.5 + 0.5 * np.sin(34 * psi + 2.0 * np.sin(3 * x))
    wide = 0.5 + 0.5 * np.sin(9 * psi + 4.0 * x)
    t = 0.06 + 0.66 * bands**1.3 * (0.25 + 0.75 * wide) + 0.14 * y + jitter
    near = np.zeros_like(x)
    for cx, cy, radius, _ in STARS:
        d = np.hypot(x - cx, y - cy) / radius
        near = np.maximum(near, np.exp(-((d / 2.6) ** 2)))
    result = palette(SKY, t + 0.42 * near * (0.35 + 0.65 * bands))
    for cx, cy, radius, _ in STARS:
        d = np.hypot(x - cx, y - cy) / radius + 1.2 * jitter
        glow = 1 / (1 + np.exp((d - 1.75) / 0.10))
        # Rings of light and dark paint around the disc.
        ring = 0.06 * np.sin(9 * d)
        star = palette(STAR, d / 2.0 + ring)
        result = result * (1 - glow[..., None]) + star * glow[..., None]
    depth = (y - horizon(x)) / 0.22
    fields = 0.5 + 0.5 * np.sin(13 * depth + 5.0 * x + 2.0 * np.sin(4 * x))
    hill = palette(HILL, 0.06 + 0.72 * fields * (0.35 + 0.65 * np.sin(2.2 * x + 0.3) ** 2) + 1.4 * jitter)
    # A dark edge keeps sky and hills apart.
    hill = hill * (1 - 0.75 * np.exp(-((depth / 0.09) ** 2)))[..., None]
    ground = (depth > 0)[..., None]
    return np.where(ground, hill, result)


def streamline(x, y, length, rng):
    """Points, STEP apart, along the flow through x, y, which lies in the middle; in pixels of the canvas."""
    step = STEP / (HEIGHT * SCALE)
    half = max(2, int(length / HEIGHT / step / 2))
    # A hand is never quite on the line.
    tilt = rng.normal(0, 0.10)
    sides = []
    for sign in (-1, 1):
        px, py, points = x, y, []
        for _ in range(half):
            dx, dy = direction(px, py)
            dx, dy = dx - tilt * dy, dy + tilt * dx
            px, py = px + sign * step * dx, py + sign * step * dy
            points.append((px, py))
        sides.append(points)
    points = sides[0][::-1] + [(x, y)] + sides[1]
    return np.array(points) * HEIGHT * SCALE


def noise(rows, columns, smooth, rng):
    """Bristle noise in 0..1, rows across the brush, smoothed along the columns."""
    n = rng.random((rows, columns + 2 * smooth))
    kernel = np.hanning(2 * smooth + 3)[1:-1]
    n = np.apply_along_axis(lambda r: np.convolve(r, kernel / kernel.sum(), "valid"), 1, n)
    return (n - n.min()) / (np.ptp(n) + 1e-9)


def sample(table, v, u):
    """Bilinear look-up, v and u in 0..1."""
    r, c = np.clip(v, 0, 1) * (table.shape[0] - 1), np.clip(u, 0, 1) * (table.shape[1] - 1)
    i, j = np.minimum(r.astype(int), table.shape[0] - 2), np.minimum(c.astype(int), table.shape[1] - 2)
    f, g = r - i, c - j
    top = table[i, j] * (1 - g) + table[i, j + 1] * g
    bottom = table[i + 1, j] * (1 - g) + table[i + 1, j + 1] * g
    return top * (1 - f) + bottom * f


def lay(canvas, relief, path, width, paint, second, rng):
    """Put one stroke on the canvas: colours and height of the paint."""
    half = width * SCALE / 2
    left, top = np.floor(path.min(0) - half - 2).astype(int)
    right, bottom = np.ceil(path.max(0) + half + 2).astype(int)
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, canvas.shape[1]), min(bottom, canvas.shape[0])
    if left >= right or top >= bottom:
        return
    ys, xs = np.mgrid[top:bottom, left:right] + 0.5
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    # The nearest point of the path gives the place along (u) and across (v) the ribbon.
    nearest, best = np.zeros(xs.shape, int), np.full(xs.shape, np.inf)
    for k, (px, py) in enumerate(path):
        d = (xs - px) ** 2 + (ys - py) ** 2
        closer = d < best
        nearest[closer], best[closer] = k, d[closer]
    ox, oy = xs - path[nearest, 0], ys - path[nearest, 1]
    tx, ty = tangent[nearest, 0], tangent[nearest, 1]
    along = (nearest * STEP + ox * tx + oy * ty) / (len(path) * STEP)
    v = (ty * ox - tx * oy) / half
    # The brush comes down and lifts: full in the middle, narrower at both ends.
    profile = np.clip(np.minimum((along + 0.03) / 0.10, (1.03 - along) / 0.22), 0, 1) ** 0.5
    v = v / np.maximum(profile, 0.05)
    across = (v + 1) / 2

    bristles = max(6, int(width * 0.9))
    streaks = noise(bristles, 12, 4, rng)
    fine = noise(bristles * 2, 24, 3, rng)
    s = 0.65 * sample(streaks, across, along) + 0.35 * sample(fine, across, along)
    # Bristles run dry one by one towards the end.
    dry = np.clip((along - 0.55) / 0.45, 0, 1) * 0.75
    cover = 1 / (1 + np.exp(-(s - dry * 0.9 + 0.10) / 0.05))
    edge = 1 / (1 + np.exp(np.clip((np.abs(v) - 0.93 + 0.14 * (s - 0.5)) * half / 0.9, -50, 50)))
    ends = (along > -0.02) & (along < 1.02)
    alpha = np.where(ends, edge * np.maximum(cover, 0.05), 0.0)

    # Two paints on one brush: the second shows in some bristles and on one side.
    mix = np.clip((sample(streaks[::-1], across, along) - 0.52) * 3 + 0.30 * v, 0, 1) * 0.75
    tone = 1 + 0.34 * (s - 0.5)
    stroke = (paint * (1 - mix[..., None]) + second * mix[..., None]) * tone[..., None]
    # Paint is pushed to the sides and piles up where the brush lifts.
    ridge = 0.55 + 0.45 * np.clip(np.abs(v), 0, 1) ** 4 + 0.35 * np.clip((along - 0.8) / 0.2, 0, 1)
    body = (0.40 + 0.60 * s) * ridge * half**0.65

    area = (slice(top, bottom), slice(left, right))
    canvas[area] = canvas[area] * (1 - alpha[..., None]) + stroke * alpha[..., None]
    relief[area] = relief[area] * (1 - alpha) + (0.30 * relief[area] + body) * alpha


def light(canvas, relief):
    """Shade the relief with a light from the upper left, with a little gloss."""
    gy, gx = np.gradient(relief)
    strength = 0.60
    n = np.stack([-gx * strength, -gy * strength, np.ones_like(gx)], -1)
    n /= np.linalg.norm(n, axis=-1, keepdims=True)
    lamp = np.array([-0.50, -0.62, 0.60])
    lamp /= np.linalg.norm(lamp)
    diffuse = n @ lamp / lamp[2]
    half_way = lamp + np.array([0, 0, 1.0])
    half_way /= np.linalg.norm(half_way)
    gloss = np.clip(n @ half_way, 0, 1) ** 40
    flat = half_way[2] ** 40
    shade = 1 + 0.60 * np.clip(diffuse - 1, -0.9, 0.9)
    return canvas * shade[..., None] + 0.10 * np.clip(gloss - flat, 0, 1)[..., None]


def paints(x, y, jitter, rng):
    """The two colours on the brush for a stroke at x, y; the second is the lighter, as a rule."""
    shifts = np.array([rng.normal(0, jitter), rng.normal(0.13, 2 * jitter)])
    return colour(np.full(2, x), np.full(2, y), shifts)


def paint():
    rng = np.random.default_rng(SEED)
    h, w = HEIGHT * SCALE, WIDTH * SCALE
    aspect = WIDTH / HEIGHT
    ys, xs = np.mgrid[0:h, 0:w] / h
    # The first wash: nothing of the canvas stays bare.
    canvas = colour(xs, ys, 0 * xs - 0.08) * 0.85
    relief = np.zeros((h, w))
    for width, length, strokes, jitter in LAYERS:
        # A jittered grid, in random order, covers evenly without showing itself.
        columns = int(np.sqrt(strokes * aspect))
        rows = max(1, strokes // columns)
        cells = [(i, j) for j in range(rows) for i in range(columns)]
        rng.shuffle(cells)
        for i, j in cells:
            x = (i + rng.random()) / columns * (aspect + 0.10) - 0.05
            y = (j + rng.random()) / rows * 1.10 - 0.05
            first, second = paints(x, y, jitter, rng)
            star, radius = min((np.hypot(x - cx, y - cy) / r, r * HEIGHT) for cx, cy, r, _ in STARS)
            size = width * rng.uniform(0.8, 1.2)
            reach = length * rng.uniform(0.7, 1.25)
            if star < 2.0:
                # Small things are painted with small brushes.
                size, reach = min(size, 0.34 * radius + 3), min(reach, 1.7 * radius)
            path = streamline(x, y, reach, rng)
            lay(canvas, relief, path, size, first, second, rng)
    # The hearts of the stars last: short strokes around each disc, from its rim inwards.
    for cx, cy, radius, _ in STARS:
        for ring in (0.95, 0.6, 0.28, 0.05):
            count = int(3 + 6 * ring)
            for k in range(count):
                angle = 2 * np.pi * (k + rng.uniform(-0.2, 0.2)) / count + 5 * ring
                x, y = cx + ring * radius * np.cos(angle), cy + ring * radius * np.sin(angle)
                first, second = paints(x, y, 0.04, rng)
                path = streamline(x, y, (0.35 + 0.9 * ring) * radius * HEIGHT, rng)
                lay(canvas, relief, path, min(11, 0.30 * radius * HEIGHT + 2), first, second, rng)
    result = np.clip(light(canvas, relief), 0, 1)
    # Down to size by plain averages of SCALE x SCALE.
    result = result.reshape(HEIGHT, SCALE, WIDTH, SCALE, 3).mean((1, 3))
    return Image.fromarray((result * 255 + 0.5).astype(np.uint8))


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    paint().save(sys.argv[1], optimize=True)

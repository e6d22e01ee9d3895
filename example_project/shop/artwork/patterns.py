"""Ornaments and figures. Each takes a canvas and five colours."""

from math import cos, pi, sin

from shop.artwork.canvas import Canvas, mix
from shop.artwork.palettes import Palette


def draw_tiles(canvas: Canvas, colours: Palette) -> None:
    columns = 4
    side = 1 / columns
    canvas.rectangle((0, 0), (1, canvas.ratio), colours[0])
    for row in range(round(canvas.ratio / side) + 1):
        for column in range(columns):
            first, second = canvas.random.sample(list(colours), 2)
            x, y = column * side, row * side
            canvas.rectangle((x, y), (x + side, y + side), first)
            kind = canvas.random.randrange(4)
            corner = canvas.random.randrange(4)
            centre = (x + side * (corner % 2), y + side * (corner // 2))
            if kind < 2:
                start = (0, 90, 270, 180)[corner]
                canvas.slice(centre, side, (start, start + 90), second)
            if kind == 1:
                start = (0, 90, 270, 180)[corner]
                canvas.slice(centre, side * 0.5, (start, start + 90), first)
            if kind == 2:
                canvas.disc((x + side / 2, y + side / 2), side * 0.34, second)
            if kind == 3:
                canvas.polygon([(x, y), (x + side, y), (x, y + side)], second)


def draw_rings(canvas: Canvas, colours: Palette) -> None:
    ground, second, far, near, light = colours
    canvas.gradient(ground, second)
    centre = (0.5, canvas.ratio * 0.47)
    for step in range(13):
        share = step / 12
        colour = mix(near, far, share) if step % 2 else mix(light, second, share * 0.7)
        canvas.disc(
            (centre[0], centre[1] + share * 0.1), 0.44 * (1 - share * 0.94), colour
        )


def draw_leaves(canvas: Canvas, colours: Palette) -> None:
    ground, second, far, near, light = colours
    canvas.gradient(ground, second)
    for stem, (x, lean) in enumerate([(0.24, -0.12), (0.76, 0.12), (0.5, 0.0)]):
        colour = (far, mix(far, near, 0.6), near)[stem]
        path = [
            (
                x + lean * (t / 20) ** 2 + 0.02 * sin(t / 3),
                canvas.ratio * (1.02 - 0.036 * t),
            )
            for t in range(21)
        ]
        canvas.line(path, colour, 0.008)
        for index in range(4, 20, 2):
            size = 0.125 * (1.15 - index / 26)
            px, py = path[index]
            for side in (-1, 1):
                centre = (px + side * size * 0.8, py - size * 0.45)
                canvas.ellipse(centre, (size, size * 0.33), colour, side * 32)
    for _ in range(9):
        spot = (
            canvas.random.uniform(0.08, 0.92),
            canvas.ratio * canvas.random.uniform(0.28, 0.9),
        )
        canvas.disc(spot, canvas.random.uniform(0.012, 0.024), light)


def draw_arches(canvas: Canvas, colours: Palette) -> None:
    ground, second, far, near, light = colours
    canvas.gradient(ground, second)
    shades = [
        mix(light, far, 0.1),
        far,
        mix(far, near, 0.5),
        near,
        mix(near, "#000000", 0.35),
        light,
    ]
    for step, colour in enumerate(shades):
        wide = 0.42 - step * 0.068
        top = canvas.ratio * 0.3 + step * 0.085
        canvas.disc((0.5, top + wide), wide, colour)
        canvas.rectangle((0.5 - wide, top + wide), (0.5 + wide, canvas.ratio), colour)
    canvas.polygon(
        [
            (0.42, canvas.ratio),
            (0.58, canvas.ratio),
            (0.56, canvas.ratio * 0.86),
            (0.44, canvas.ratio * 0.86),
        ],
        mix(light, near, 0.2),
    )


def draw_cutouts(canvas: Canvas, colours: Palette) -> None:
    canvas.gradient(colours[0], mix(colours[0], colours[1], 0.5))
    for index in range(7):
        colour = colours[1 + index % 4]
        x = (0.22, 0.75, 0.5, 0.2, 0.8, 0.35, 0.66)[index]
        y = canvas.ratio * (0.26, 0.3, 0.5, 0.66, 0.64, 0.86, 0.88)[index]
        arms = canvas.random.choice((5, 6, 7))
        size, phase = canvas.random.uniform(0.13, 0.2), canvas.random.uniform(0, pi)
        points = []
        for step in range(120):
            angle = step / 120 * 2 * pi
            reach = size * (0.62 + 0.38 * abs(cos(angle * arms / 2 + phase)) ** 0.8)
            points.append((x + reach * cos(angle), y + reach * 1.15 * sin(angle)))
        canvas.polygon(points, colour)


def draw_stairs(canvas: Canvas, colours: Palette) -> None:
    ground, second, far, near, light = colours
    canvas.gradient(ground, second)
    canvas.disc((0.74, canvas.ratio * 0.26), 0.12, light)
    steps = 8
    for step in range(steps):
        x, y = step / steps * 0.86, canvas.ratio * (0.96 - 0.068 * step)
        canvas.polygon(
            [(x, y), (x + 0.3, y - 0.05), (x + 0.4, y + 0.01), (x + 0.1, y + 0.06)],
            mix(light, far, 0.15),
        )
        canvas.polygon(
            [
                (x, y),
                (x + 0.1, y + 0.06),
                (x + 0.1, canvas.ratio + 0.1),
                (x, canvas.ratio + 0.1),
            ],
            far,
        )
        canvas.polygon(
            [
                (x + 0.1, y + 0.06),
                (x + 0.4, y + 0.01),
                (x + 0.4, canvas.ratio + 0.1),
                (x + 0.1, canvas.ratio + 0.1),
            ],
            near,
        )


def draw_bars(canvas: Canvas, colours: Palette) -> None:
    ground, second, far, near, light = colours
    canvas.gradient(ground, second)
    count, middle = 23, canvas.ratio * 0.55
    for bar in range(count):
        x = 0.08 + bar * 0.84 / count
        swell = sin(bar / (count - 1) * pi) ** 1.3
        tall = 0.03 + swell * (
            0.14 + 0.16 * abs(sin(bar * 1.7)) + 0.05 * canvas.random.random()
        )
        colour = (
            mix(far, light, bar / count)
            if bar % 2
            else mix(near, light, bar / count * 0.6)
        )
        canvas.rounded((x, middle - tall), (x + 0.024, middle + tall), 0.012, colour)


def draw_sunset(canvas: Canvas, colours: Palette) -> None:
    ground, second, far, near, light = colours
    canvas.gradient(ground, second)
    bands = [light, mix(light, far, 0.5), far, mix(far, near, 0.5), near]
    for step, colour in enumerate(bands):
        radius = 0.52 - step * 0.082
        canvas.slice((0.5, canvas.ratio * 0.68), radius, (180, 360), colour)
    for step, colour in enumerate(reversed(bands)):
        y = canvas.ratio * 0.7 + step * 0.05
        canvas.rectangle((0, y), (1, y + 0.03), colour)

"""Landscapes, towns and skies. Each takes a canvas and five colours."""

from math import pi, sin

from shop.artwork.canvas import Canvas, mix
from shop.artwork.palettes import Palette


def draw_hills(canvas: Canvas, colours: Palette) -> None:
    ground, second, far, near, light = colours
    bottom = canvas.ratio
    canvas.gradient(ground, second)
    canvas.glow((0.64, bottom * 0.46), 0.55, light, 0.45)
    canvas.disc((0.64, bottom * 0.46), 0.155, light)
    for layer in range(5):
        base = bottom * (0.56 + 0.095 * layer)
        _draw_ridge(canvas, base, 0.055 + 0.012 * layer, mix(far, near, layer / 4))


def draw_peaks(canvas: Canvas, colours: Palette) -> None:
    ground, second, far, near, light = colours
    bottom = canvas.ratio
    canvas.gradient(ground, second)
    canvas.disc((0.3, bottom * 0.3), 0.1, light)
    for layer, (x, top, spread) in enumerate(
        [
            (0.78, 0.36, 0.62),
            (0.2, 0.45, 0.55),
            (0.56, 0.52, 0.6),
            (0.95, 0.66, 0.6),
            (0.1, 0.72, 0.6),
        ]
    ):
        body = mix(far, near, layer / 4)
        tip, foot = (x, bottom * top), bottom * 1.02
        canvas.polygon([tip, (x - spread, foot), (x + spread, foot)], body)
        canvas.polygon(
            [tip, (x + 0.06, foot), (x + spread, foot)], mix(body, "#000000", 0.18)
        )
        snow = bottom * (top + 0.075)
        canvas.polygon(
            [
                tip,
                (x - 0.075, snow),
                (x - 0.02, snow - 0.03),
                (x + 0.02, snow + 0.01),
                (x + 0.075, snow),
            ],
            mix(light, body, 0.12 * layer),
        )


def draw_waves(canvas: Canvas, colours: Palette) -> None:
    ground, second, far, near, light = colours
    canvas.gradient(ground, second)
    canvas.disc((0.5, canvas.ratio * 0.36), 0.2, light)
    radius, rows = 0.125, 0
    y = canvas.ratio * 0.5
    while y < canvas.ratio + radius:
        offset = radius if rows % 2 else 0.0
        for column in range(-1, 6):
            centre = (column * radius * 2 + offset, y)
            for ring, colour in enumerate(
                (light, near, light, far, light, mix(far, near, 0.5))
            ):
                canvas.disc(centre, radius * (1 - ring * 0.155), colour)
        y += radius * 0.55
        rows += 1


def draw_skyline(canvas: Canvas, colours: Palette) -> None:
    ground, second, far, near, light = colours
    bottom = canvas.ratio
    canvas.gradient(ground, second)
    canvas.glow((0.7, bottom * 0.36), 0.5, light, 0.4)
    canvas.disc((0.7, bottom * 0.36), 0.12, light)
    for layer in range(3):
        body, x = mix(far, near, layer / 2), -0.02
        while x < 1:
            wide = canvas.random.uniform(0.07, 0.15)
            top = bottom * (0.48 + 0.11 * layer) + canvas.random.uniform(-0.12, 0.1)
            canvas.rectangle((x, top), (x + wide, bottom), body)
            if canvas.random.random() < 0.3:
                canvas.line(
                    [(x + wide / 2, top), (x + wide / 2, top - 0.09)], body, 0.006
                )
            if layer:
                _light_windows(canvas, (x, top), wide, mix(light, body, 0.15))
            x += wide + canvas.random.uniform(0, 0.02)


def _light_windows(
    canvas: Canvas, corner: tuple[float, float], wide: float, colour: str
) -> None:
    y = corner[1] + 0.022
    while y < canvas.ratio:
        x = corner[0] + 0.014
        while x < corner[0] + wide - 0.016:
            if canvas.random.random() < 0.3:
                canvas.rectangle((x, y), (x + 0.01, y + 0.014), colour)
            x += 0.022
        y += 0.034


def draw_forest(canvas: Canvas, colours: Palette) -> None:
    ground, second, far, near, light = colours
    bottom = canvas.ratio
    canvas.gradient(ground, second)
    canvas.disc((0.33, bottom * 0.34), 0.13, light)
    for layer in range(4):
        colour = mix(far, near, layer / 3)
        base = bottom * (0.62 + 0.13 * layer)
        x = canvas.random.uniform(-0.1, 0.0)
        while x < 1.1:
            tall = canvas.random.uniform(0.22, 0.36) * (0.7 + 0.25 * layer)
            _draw_fir(canvas, (x, base), tall, colour)
            x += tall * canvas.random.uniform(0.24, 0.42)
        canvas.rectangle((0, base - 0.02), (1, bottom), colour)


def _draw_fir(
    canvas: Canvas, foot: tuple[float, float], tall: float, colour: str
) -> None:
    x, y = foot
    for tier in range(4):
        top = y - tall * (0.34 + 0.22 * tier)
        wide = tall * (0.26 - 0.05 * tier)
        canvas.polygon(
            [
                (x, top - tall * 0.2),
                (x - wide, top + tall * 0.2),
                (x + wide, top + tall * 0.2),
            ],
            colour,
        )


def draw_road(canvas: Canvas, colours: Palette) -> None:
    ground, second, far, near, light = colours
    bottom, horizon = canvas.ratio, canvas.ratio * 0.58
    canvas.gradient(ground, second, end=horizon)
    canvas.glow((0.5, horizon), 0.6, light, 0.6)
    canvas.disc((0.5, horizon - 0.06), 0.2, light)
    for band in range(5):
        y = horizon - 0.03 - band * 0.042
        canvas.rectangle(
            (0.28, y), (0.72, y + 0.018 - band * 0.003), mix(second, ground, band / 6)
        )
    canvas.gradient(far, near, start=horizon)
    canvas.polygon(
        [(0.485, horizon), (0.515, horizon), (0.98, bottom), (0.02, bottom)],
        mix(near, "#000000", 0.45),
    )
    for dash in range(7):
        top, end = (dash / 7) ** 2, ((dash + 0.5) / 7) ** 2
        y1, y2 = horizon + (bottom - horizon) * top, horizon + (bottom - horizon) * end
        w1, w2 = 0.002 + 0.02 * top, 0.002 + 0.02 * end
        canvas.polygon(
            [(0.5 - w1, y1), (0.5 + w1, y1), (0.5 + w2, y2), (0.5 - w2, y2)], light
        )


def draw_beam(canvas: Canvas, colours: Palette) -> None:
    ground, second, far, near, light = colours
    bottom = canvas.ratio
    canvas.gradient(ground, second)
    source = (0.3, bottom * 0.36)
    canvas.polygon([source, (1.05, bottom * 0.2), (1.05, bottom * 0.5)], light, 0.32)
    canvas.polygon([source, (1.05, bottom * 0.27), (1.05, bottom * 0.43)], light, 0.4)
    canvas.polygon([source, (-0.05, bottom * 0.3), (-0.05, bottom * 0.42)], light, 0.28)
    canvas.polygon(
        [
            (0.245, bottom * 0.39),
            (0.355, bottom * 0.39),
            (0.4, bottom * 0.8),
            (0.2, bottom * 0.8),
        ],
        mix(light, far, 0.25),
    )
    for stripe in range(3):
        y = bottom * (0.45 + stripe * 0.12)
        canvas.polygon(
            [
                (0.235 - stripe * 0.013, y),
                (0.365 + stripe * 0.013, y),
                (0.373 + stripe * 0.013, y + bottom * 0.05),
                (0.227 - stripe * 0.013, y + bottom * 0.05),
            ],
            near,
        )
    canvas.rectangle((0.25, bottom * 0.335), (0.35, bottom * 0.385), light)
    canvas.rectangle((0.225, bottom * 0.383), (0.375, bottom * 0.395), near)
    canvas.polygon(
        [(0.3, bottom * 0.295), (0.235, bottom * 0.337), (0.365, bottom * 0.337)], near
    )
    for layer in range(3):
        _draw_ridge(
            canvas,
            bottom * (0.8 + 0.06 * layer),
            0.02,
            mix(far, mix(near, "#000000", 0.5), layer / 2),
        )


def draw_stars(canvas: Canvas, colours: Palette) -> None:
    ground, second, far, near, light = colours
    canvas.gradient(ground, second)
    canvas.glow((0.6, canvas.ratio * 0.45), 0.75, far, 0.55)
    canvas.glow((0.3, canvas.ratio * 0.6), 0.5, near, 0.4)
    for _ in range(170):
        spot = (canvas.random.random(), canvas.random.random() * canvas.ratio)
        canvas.disc(
            spot,
            canvas.random.choice((0.0014, 0.002, 0.0028)),
            mix(light, second, canvas.random.random() * 0.6),
        )
    chain = [
        (0.16, 0.3),
        (0.33, 0.24),
        (0.45, 0.36),
        (0.62, 0.33),
        (0.72, 0.46),
        (0.9, 0.42),
    ]
    points = [(x, canvas.ratio * (y + 0.08)) for x, y in chain]
    canvas.line(points, mix(light, second, 0.45), 0.0035)
    canvas.line(
        [points[2], (0.38, canvas.ratio * 0.58)], mix(light, second, 0.45), 0.0035
    )
    for point in [*points, (0.38, canvas.ratio * 0.58)]:
        canvas.glow(point, 0.06, light, 0.8)
        canvas.disc(point, 0.011, light)


def draw_eclipse(canvas: Canvas, colours: Palette) -> None:
    ground, second, far, near, light = colours
    canvas.gradient(ground, second)
    centre = (0.5, canvas.ratio * 0.42)
    canvas.glow(centre, 0.85, far, 0.75)
    canvas.glow(centre, 0.52, light, 0.95)
    canvas.disc(centre, 0.262, light)
    canvas.disc((centre[0] + 0.006, centre[1] + 0.008), 0.256, near)
    for layer in range(3):
        _draw_ridge(
            canvas,
            canvas.ratio * (0.78 + 0.07 * layer),
            0.03,
            mix(second, near, 0.4 + 0.3 * layer),
        )


def _draw_ridge(canvas: Canvas, base: float, height: float, colour: str) -> None:
    waves = [
        (canvas.random.uniform(0.7, 2.4), canvas.random.uniform(0, 2 * pi))
        for _ in range(3)
    ]
    points = [(0.0, canvas.ratio)]
    for step in range(81):
        x = step / 80
        lift = sum(
            sin(x * pi * rate * 2 + phase) / (k + 1)
            for k, (rate, phase) in enumerate(waves)
        )
        points.append((x, base - lift * height))
    canvas.polygon([*points, (1.0, canvas.ratio)], colour)

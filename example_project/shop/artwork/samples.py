"""Sample goods of the demonstration shop: simple furniture in two tones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from shop.artwork.canvas import Canvas, mix
from shop.artwork.palettes import PALETTES


def draw_sample(name: str, byline: str, art: Mapping[str, Any]) -> Image.Image:
    """Return the picture of a sample product on a grid of squared paper."""
    colours = PALETTES[art.get("palette", "blueprint")]
    canvas = Canvas(640, 1.0, colours[0], seed=name)
    canvas.gradient(colours[0], colours[1])
    for step in range(1, 20):
        tone = mix(colours[1], colours[2], 0.16 if step % 5 else 0.34)
        canvas.line([(step / 20, 0), (step / 20, 1)], tone, 0.0015)
        canvas.line([(0, step / 20), (1, step / 20)], tone, 0.0015)
    canvas.ellipse((0.5, 0.84), (0.3, 0.035), mix(colours[1], colours[3], 0.25))
    _SHAPES[art.get("motif", "lamp")](canvas, colours[2], colours[3])
    canvas.rounded(
        (0.05, 0.05), (0.05 + 0.02 * len(byline) + 0.05, 0.115), 0.032, colours[3]
    )
    canvas.text(
        (0.078, 0.071), byline.upper(), 0.024, "#ffffff", tracking=0.12, weight=0.03
    )
    return canvas.finish()


def _draw_lamp(canvas: Canvas, far: str, near: str) -> None:
    canvas.polygon([(0.38, 0.22), (0.62, 0.22), (0.72, 0.48), (0.28, 0.48)], far)
    canvas.polygon(
        [(0.52, 0.22), (0.62, 0.22), (0.72, 0.48), (0.56, 0.48)], mix(far, near, 0.35)
    )
    canvas.rectangle((0.488, 0.48), (0.512, 0.8), near)
    canvas.rounded((0.36, 0.79), (0.64, 0.845), 0.027, near)


def _draw_chair(canvas: Canvas, far: str, near: str) -> None:
    for x in (0.33, 0.63):
        canvas.polygon(
            [
                (x, 0.6),
                (x + 0.035, 0.6),
                (x + 0.05 * (1 if x > 0.5 else -1) + 0.03, 0.85),
                (x + 0.05 * (1 if x > 0.5 else -1) + 0.005, 0.85),
            ],
            near,
        )
    canvas.rounded((0.33, 0.17), (0.67, 0.52), 0.06, far)
    canvas.rounded((0.37, 0.21), (0.63, 0.48), 0.04, mix(far, "#ffffff", 0.25))
    canvas.rounded((0.29, 0.53), (0.71, 0.62), 0.04, mix(far, near, 0.4))


def _draw_mug(canvas: Canvas, far: str, near: str) -> None:
    canvas.ring((0.66, 0.55), 0.12, near, 0.036)
    canvas.rounded((0.29, 0.34), (0.65, 0.84), 0.05, far)
    canvas.rounded((0.29, 0.34), (0.38, 0.84), 0.045, mix(far, "#ffffff", 0.28))
    canvas.ellipse((0.47, 0.35), (0.18, 0.035), mix(far, near, 0.7))
    for x in (0.4, 0.47, 0.54):
        canvas.line(
            [(x, 0.28), (x + 0.02, 0.24), (x - 0.01, 0.2), (x + 0.01, 0.15)],
            mix(far, "#ffffff", 0.4),
            0.008,
        )


def _draw_plant(canvas: Canvas, far: str, near: str) -> None:
    for turn, x, y in (
        (-70, 0.43, 0.36),
        (70, 0.57, 0.36),
        (-48, 0.36, 0.42),
        (48, 0.64, 0.42),
        (90, 0.5, 0.33),
        (-22, 0.34, 0.5),
        (22, 0.66, 0.5),
    ):
        canvas.ellipse((x, y), (0.16, 0.045), mix(near, far, abs(turn) / 90), turn)
    canvas.polygon([(0.34, 0.58), (0.66, 0.58), (0.61, 0.85), (0.39, 0.85)], near)
    canvas.rounded((0.32, 0.55), (0.68, 0.63), 0.02, mix(near, far, 0.3))


def _draw_clock(canvas: Canvas, far: str, near: str) -> None:
    canvas.disc((0.5, 0.5), 0.33, near)
    canvas.disc((0.5, 0.5), 0.29, "#ffffff")
    for x, y in ((0.5, 0.25), (0.5, 0.75), (0.25, 0.5), (0.75, 0.5)):
        canvas.disc((x, y), 0.015, far)
    canvas.line([(0.5, 0.5), (0.62, 0.38)], near, 0.02)
    canvas.line([(0.5, 0.5), (0.42, 0.3)], far, 0.012)
    canvas.disc((0.5, 0.5), 0.024, near)


def _draw_shelf(canvas: Canvas, far: str, near: str) -> None:
    for x in (0.2, 0.77):
        canvas.rectangle((x, 0.17), (x + 0.03, 0.85), near)
    for y in (0.34, 0.58, 0.8):
        x = 0.25
        while x < 0.7:
            wide, tall = (
                canvas.random.uniform(0.025, 0.05),
                canvas.random.uniform(0.09, 0.15),
            )
            if canvas.random.random() < 0.75:
                canvas.rectangle(
                    (x, y - tall),
                    (x + wide, y),
                    mix(far, "#ffffff", canvas.random.uniform(0, 0.55)),
                )
            x += wide + 0.006
        canvas.rectangle((0.2, y), (0.8, y + 0.022), near)


_SHAPES: dict[str, Callable[[Canvas, str, str], None]] = {
    "lamp": _draw_lamp,
    "chair": _draw_chair,
    "mug": _draw_mug,
    "plant": _draw_plant,
    "clock": _draw_clock,
    "shelf": _draw_shelf,
}

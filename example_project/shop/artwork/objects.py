"""The things a shop sells, as pictures: a motif with its typography and its edges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image, ImageDraw

from shop.artwork.canvas import Canvas, mix
from shop.artwork.motifs import MOTIFS
from shop.artwork.palettes import PALETTES, Palette
from shop.artwork.samples import draw_sample

_DARK = {"plum", "night", "neon", "ember", "frost", "absinthe", "lagoon"}


def draw_product(name: str, byline: str, art: Mapping[str, Any]) -> Image.Image:
    """Return the picture of a product, always the same for the same arguments."""
    return _OBJECTS[art.get("object", "book")](name, byline, art)


def _draw_book(name: str, byline: str, art: Mapping[str, Any]) -> Image.Image:
    canvas, colours, ink = _begin(name, art, pixels=620, ratio=1.5)
    paper = colours[4]
    layout = art.get("layout", "top")
    if layout == "band":
        canvas.rectangle((0, 0.42), (1, 0.9), paper)
        canvas.rectangle((0.06, 0.445), (0.94, 0.452), colours[3])
        canvas.rectangle((0.06, 0.868), (0.94, 0.875), colours[3])
        canvas.title(
            (0.5, 0.53), name, 0.8, colours[3], align=0.5, lines=3, largest=0.105
        )
        canvas.text(
            (0.5, 0.8),
            byline.upper(),
            0.033,
            colours[2],
            tracking=0.16,
            align=0.5,
            weight=0.02,
        )
    elif layout == "label":
        canvas.rounded((0.14, 0.2), (0.86, 0.66), 0.02, paper)
        end = canvas.title(
            (0.5, 0.27), name, 0.6, colours[3], align=0.5, lines=3, largest=0.095
        )
        canvas.text(
            (0.5, max(0.56, end + 0.02)),
            byline.upper(),
            0.028,
            colours[2],
            tracking=0.14,
            align=0.5,
            weight=0.02,
        )
    elif layout == "bottom":
        canvas.sink(0.72, colours[3])
        top = canvas.title(
            (0.08, 1.36), name, 0.84, paper, lines=3, largest=0.15, upwards=True
        )
        canvas.text(
            (0.082, top - 0.07),
            byline.upper(),
            0.036,
            paper,
            tracking=0.14,
            weight=0.02,
        )
    else:
        end = canvas.title((0.08, 0.11), name, 0.84, ink, lines=3, largest=0.15)
        canvas.text(
            (0.082, end + 0.02), byline.upper(), 0.036, ink, tracking=0.14, weight=0.02
        )
    canvas.grain(5)
    canvas.shade(0.0, 0.02, "#000000", 0.28)
    canvas.shade(0.035, 0.02, "#ffffff", 0.22)
    canvas.shade(0.035, 0.075, "#000000", 0.2)
    return _round(canvas.finish(), 0.008)


def _draw_poster(name: str, byline: str, art: Mapping[str, Any]) -> Image.Image:
    canvas, colours, ink = _begin(name, art, pixels=620, ratio=1.48)
    light = colours[4]
    if art.get("layout") == "top":
        end = canvas.title(
            (0.5, 0.12),
            name.upper(),
            0.84,
            ink,
            align=0.5,
            lines=2,
            largest=0.17,
            tracking=0.06,
        )
        canvas.text(
            (0.5, end + 0.01), byline.upper(), 0.028, ink, tracking=0.3, align=0.5
        )
        foot = 1.36
    else:
        canvas.sink(0.75, colours[3], 0.94)
        top = canvas.title(
            (0.5, 1.29),
            name.upper(),
            0.86,
            light,
            align=0.5,
            lines=2,
            largest=0.17,
            tracking=0.06,
            upwards=True,
        )
        canvas.text(
            (0.5, top - 0.06), byline.upper(), 0.028, light, tracking=0.3, align=0.5
        )
        foot = 1.34
    _write_credits(canvas, foot, mix(light, colours[3], 0.3))
    canvas.grain(6)
    return canvas.finish()


def _write_credits(canvas: Canvas, y: float, colour: str) -> None:
    names = [
        "MARA VOSS",
        "T. ILIC",
        "ANSELM KRUG",
        "L. FERRARI",
        "NOA BERG",
        "P. DUVAL",
        "S. OKAFOR",
    ]
    canvas.random.shuffle(names)
    canvas.text((0.5, y), "   ".join(names[:4]), 0.02, colour, tracking=0.12, align=0.5)
    canvas.text(
        (0.5, y + 0.034), "   ".join(names[4:]), 0.02, colour, tracking=0.12, align=0.5
    )


def _draw_case(name: str, byline: str, art: Mapping[str, Any]) -> Image.Image:
    canvas, colours, _ink = _begin(name, art, pixels=620, ratio=1.26)
    canvas.sink(0.62, colours[3], 0.94)
    top = canvas.title(
        (0.08, 1.12),
        name.upper(),
        0.84,
        colours[4],
        lines=2,
        largest=0.135,
        tracking=0.03,
        upwards=True,
    )
    canvas.text((0.083, top - 0.055), byline.upper(), 0.028, colours[4], tracking=0.22)
    shell = art.get("shell", "#1d4fa3")
    canvas.rectangle((0, 0), (1, 0.105), shell)
    canvas.rectangle((0, 0.1), (1, 0.106), mix(shell, "#000000", 0.4))
    canvas.text(
        (0.5, 0.038),
        art.get("band", "HD DISC"),
        0.038,
        "#ffffff",
        tracking=0.4,
        align=0.5,
        weight=0.03,
    )
    canvas.shade(0.0, 0.05, "#ffffff", 0.2)
    canvas.shade(1.0, 0.97, "#000000", 0.25)
    canvas.polygon(
        [(0.5, 0), (0.8, 0), (0.34, canvas.ratio), (0.04, canvas.ratio)],
        "#ffffff",
        0.05,
    )
    return _round(canvas.finish(), 0.028)


def _draw_card(name: str, byline: str, art: Mapping[str, Any]) -> Image.Image:
    canvas, colours, _ink = _begin(name, art, pixels=700, ratio=0.64)
    canvas.rectangle((0, 0.4), (1, 0.64), colours[3])
    canvas.title((0.07, 0.455), name, 0.62, colours[4], lines=2, largest=0.072)
    canvas.text(
        (0.93, 0.475), art.get("value", ""), 0.11, colours[4], align=1.0, weight=0.02
    )
    canvas.grain(5)
    return _round(canvas.finish(), 0.045)


def _draw_sleeve(name: str, byline: str, art: Mapping[str, Any]) -> Image.Image:
    canvas, colours, ink = _begin(name, art, pixels=620, ratio=1.0)
    if art.get("layout") == "bottom":
        canvas.sink(0.55, colours[3])
        canvas.title(
            (0.07, 0.93), name, 0.86, colours[4], lines=2, largest=0.12, upwards=True
        )
        canvas.text((0.07, 0.06), byline.upper(), 0.034, ink, tracking=0.2, weight=0.03)
    else:
        canvas.title((0.07, 0.08), name, 0.7, ink, lines=2, largest=0.12)
        canvas.text(
            (0.93, 0.915),
            byline.upper(),
            0.034,
            colours[4],
            tracking=0.2,
            align=1.0,
            weight=0.03,
        )
    canvas.grain(6)
    canvas.shade(1.0, 0.985, "#000000", 0.25)
    sleeve = canvas.finish()
    picture = Image.new("RGBA", (820, 640), (0, 0, 0, 0))
    record = _draw_record(colours, art.get("vinyl", "#17171a"))
    picture.paste(record, (212, 22), record)
    picture.paste(sleeve, (0, 10))
    return picture


def _draw_record(colours: Palette, vinyl: str) -> Image.Image:
    canvas = Canvas(596, 1.0, vinyl, seed=vinyl)
    for groove in range(24):
        canvas.ring(
            (0.5, 0.5),
            0.49 - groove * 0.0125,
            mix(vinyl, "#ffffff", 0.05 + 0.05 * (groove % 3)),
            0.002,
        )
    for start in (300, 118):
        for spread in range(0, 12, 2):
            canvas.shine((0.5, 0.5), 0.485, (start + spread, start + 24 - spread))
    canvas.disc((0.5, 0.5), 0.17, colours[2])
    canvas.ring((0.5, 0.5), 0.13, colours[4], 0.004)
    canvas.disc((0.5, 0.5), 0.016, "#ffffff")
    record = canvas.finish()
    mask = Image.new("L", (1192, 1192), 0)
    ImageDraw.Draw(mask).ellipse((4, 4, 1188, 1188), fill=255)
    record.putalpha(mask.resize(record.size, Image.Resampling.LANCZOS))
    return record


def _begin(
    name: str, art: Mapping[str, Any], *, pixels: int, ratio: float
) -> tuple[Canvas, Palette, str]:
    palette = art.get("palette", "dawn")
    colours = PALETTES[palette]
    canvas = Canvas(pixels, ratio, colours[0], seed=name)
    MOTIFS[art.get("motif", "hills")](canvas, colours)
    return canvas, colours, colours[4] if palette in _DARK else colours[3]


def _round(picture: Image.Image, radius: float) -> Image.Image:
    width, height = picture.size
    mask = Image.new("L", (width * 4, height * 4), 0)
    ImageDraw.Draw(mask).rounded_rectangle(
        (0, 0, width * 4 - 1, height * 4 - 1), radius * width * 4, fill=255
    )
    picture.putalpha(mask.resize(picture.size, Image.Resampling.LANCZOS))
    return picture


_OBJECTS: dict[str, Callable[[str, str, Mapping[str, Any]], Image.Image]] = {
    "book": _draw_book,
    "poster": _draw_poster,
    "case": _draw_case,
    "card": _draw_card,
    "sleeve": _draw_sleeve,
    "sample": draw_sample,
}

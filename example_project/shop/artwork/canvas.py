"""A picture being drawn, in coordinates from 0 to 1, whatever its size."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from random import Random
from zlib import crc32

from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFont

Point = tuple[float, float]
Colour = str

# Drawn at twice the size and reduced at the end: Pillow's shapes have hard edges.
_SCALE = 2
_WRITTEN_OUT = {
    "ß": "ss",
    "œ": "oe",
    "Œ": "OE",
    "æ": "ae",
    "Æ": "AE",
    "–": "-",
    "—": "-",
}


class Canvas:
    """Width and height are in units of the width: a square has the height 1."""

    def __init__(self, pixels: int, ratio: float, ground: Colour, *, seed: str) -> None:
        self.width = pixels * _SCALE
        self.height = round(pixels * _SCALE * ratio)
        self.ratio = ratio
        self.image = Image.new("RGB", (self.width, self.height), ground)
        self.random = Random(crc32(seed.encode()))

    def finish(self) -> Image.Image:
        """Return the picture in its final size."""
        size = (self.width // _SCALE, self.height // _SCALE)
        return self.image.resize(size, Image.Resampling.LANCZOS)

    def gradient(
        self, top: Colour, bottom: Colour, *, start: float = 0, end: float | None = None
    ) -> None:
        """Fill a horizontal band with a vertical gradient."""
        first, last = self._px(start), self._px(self.ratio if end is None else end)
        size = (self.width, max(1, last - first))
        mask = Image.linear_gradient("L").resize(size)
        band = Image.composite(
            Image.new("RGB", size, bottom), Image.new("RGB", size, top), mask
        )
        self.image.paste(band, (0, first))

    def glow(
        self, centre: Point, radius: float, colour: Colour, strength: float = 1.0
    ) -> None:
        """Let light fall off from `centre`."""
        size = self._px(radius * 2)
        mask = ImageChops.invert(Image.radial_gradient("L")).resize((size, size))
        mask = mask.point(
            [round(max(0, (v - 75) / 180) ** 1.6 * 255 * strength) for v in range(256)]
        )
        corner = (self._px(centre[0] - radius), self._px(centre[1] - radius))
        self.image.paste(Image.new("RGB", (size, size), colour), corner, mask)

    def polygon(
        self, points: Sequence[Point], colour: Colour, alpha: float = 1.0
    ) -> None:
        self._shape(
            alpha,
            colour,
            lambda pen, fill: pen.polygon(self._points(points), fill=fill),
        )

    def rectangle(
        self, first: Point, last: Point, colour: Colour, alpha: float = 1.0
    ) -> None:
        box = self._points((first, last))
        self._shape(alpha, colour, lambda pen, fill: pen.rectangle(box, fill=fill))

    def rounded(self, first: Point, last: Point, radius: float, colour: Colour) -> None:
        pen = ImageDraw.Draw(self.image)
        pen.rounded_rectangle(
            self._points((first, last)), self._px(radius), fill=colour
        )

    def disc(
        self, centre: Point, radius: float, colour: Colour, alpha: float = 1.0
    ) -> None:
        box = self._box(centre, radius)
        self._shape(alpha, colour, lambda pen, fill: pen.ellipse(box, fill=fill))

    def ring(
        self, centre: Point, radius: float, colour: Colour, thickness: float
    ) -> None:
        pen = ImageDraw.Draw(self.image)
        pen.ellipse(
            self._box(centre, radius), outline=colour, width=max(1, self._px(thickness))
        )

    def slice(
        self, centre: Point, radius: float, angles: tuple[float, float], colour: Colour
    ) -> None:
        ImageDraw.Draw(self.image).pieslice(
            self._box(centre, radius), *angles, fill=colour
        )

    def shine(self, centre: Point, radius: float, angles: tuple[float, float]) -> None:
        """Let a slice gleam a little; several of them add up."""
        box = self._box(centre, radius)
        self._shape(
            0.028, "#ffffff", lambda pen, fill: pen.pieslice(box, *angles, fill=fill)
        )

    def line(self, points: Sequence[Point], colour: Colour, thickness: float) -> None:
        pen = ImageDraw.Draw(self.image)
        pen.line(
            self._points(points),
            fill=colour,
            width=max(1, self._px(thickness)),
            joint="curve",
        )

    def ellipse(
        self, centre: Point, radii: Point, colour: Colour, turn: float = 0
    ) -> None:
        """Draw a filled ellipse, turned by degrees around its centre."""
        side = self._px(max(radii) * 2)
        tile = Image.new("L", (side, side), 0)
        middle, x, y = side // 2, self._px(radii[0]), self._px(radii[1])
        ImageDraw.Draw(tile).ellipse(
            (middle - x, middle - y, middle + x, middle + y), fill=255
        )
        tile = tile.rotate(turn, Image.Resampling.BICUBIC)
        corner = (self._px(centre[0]) - middle, self._px(centre[1]) - middle)
        self.image.paste(Image.new("RGB", tile.size, colour), corner, tile)

    def grain(self, strength: int = 8) -> None:
        """Add the unevenness of printed paper."""
        noise = Image.effect_noise((self.width // 2, self.height // 2), strength)
        noise = noise.resize(self.image.size).convert("RGB")
        self.image = ImageChops.add(self.image, noise, scale=1.0, offset=-128)

    def shade(self, left: float, right: float, colour: Colour, alpha: float) -> None:
        """Let `colour` fade out from the edge `left` to `right`."""
        first, last = sorted((self._px(left), self._px(right)))
        mask = (
            Image.linear_gradient("L")
            .rotate(90)
            .resize((max(1, last - first), self.height))
        )
        if left < right:
            mask = mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        mask = mask.point([round(v * alpha) for v in range(256)])
        self.image.paste(Image.new("RGB", mask.size, colour), (first, 0), mask)

    def sink(self, start: float, colour: Colour, alpha: float = 0.9) -> None:
        """Let the picture sink into `colour` from `start` down, for text to be read."""
        first = self._px(start)
        size = (self.width, self.height - first)
        mask = Image.linear_gradient("L").resize(size)
        mask = mask.point([round(min(1.0, v / 150) * 255 * alpha) for v in range(256)])
        self.image.paste(Image.new("RGB", size, colour), (0, first), mask)

    def text(
        self,
        at: Point,
        text: str,
        size: float,
        colour: Colour,
        *,
        weight: float = 0.0,
        tracking: float = 0.0,
        align: float = 0.0,
    ) -> None:
        """Write a line, its capitals' top at `at`; `align` 0.5 centres, 1 ends it."""
        font = ImageFont.load_default(self._px(size))
        stroke = round(self._px(size) * weight)
        x = self._px(at[0]) - align * self._px(
            self.measure(text, size, tracking=tracking)
        )
        y = self._px(at[1]) - font.getbbox("H")[1]
        pen = ImageDraw.Draw(self.image)
        for letter, accents in _split(text):
            pen.text(
                (x, y),
                letter,
                font=font,
                fill=colour,
                stroke_width=stroke,
                stroke_fill=colour,
            )
            for accent in accents:
                self._accent(pen, accent, letter, (x, y), font, stroke, colour)
            x += font.getlength(letter) + self._px(size) * tracking

    def measure(self, text: str, size: float, *, tracking: float = 0.0) -> float:
        """Return the width of a line."""
        letters = _split(text)
        font = ImageFont.load_default(self._px(size))
        length = sum(font.getlength(letter) for letter, _ in letters)
        return (length + self._px(size) * tracking * (len(letters) - 1)) / self.width

    def title(
        self,
        at: Point,
        text: str,
        width: float,
        colour: Colour,
        *,
        largest: float = 0.13,
        lines: int = 4,
        weight: float = 0.028,
        tracking: float = 0.0,
        align: float = 0.0,
        leading: float = 1.12,
        upwards: bool = False,
    ) -> float:
        """Write a title as large as fits, broken into lines; return where it ends."""
        size, rows = largest, [text]
        while size > 0.03:
            rows = self._wrap(text, size, width, tracking)
            widest = max(self.measure(row, size, tracking=tracking) for row in rows)
            if len(rows) <= lines and widest <= width:
                break
            size *= 0.94
        y = at[1] - len(rows) * size * leading if upwards else at[1]
        for row in rows:
            self.text(
                (at[0], y),
                row,
                size,
                colour,
                weight=weight,
                tracking=tracking,
                align=align,
            )
            y += size * leading
        return at[1] - len(rows) * size * leading if upwards else y

    def _wrap(self, text: str, size: float, width: float, tracking: float) -> list[str]:
        rows: list[str] = []
        for word in text.split():
            longer = f"{rows[-1]} {word}" if rows else word
            if rows and self.measure(longer, size, tracking=tracking) <= width:
                rows[-1] = longer
            else:
                rows.append(word)
        return rows

    def _accent(self, pen, accent, letter, at, font, stroke, colour) -> None:  # type: ignore[no-untyped-def]
        # Pillow's own font has no accented letters, so the accents are drawn.
        left, top, right, bottom = font.getbbox(letter)
        unit = (font.getbbox("H")[3] - font.getbbox("H")[1]) / 14 + stroke * 0.6
        x, y = at[0] + (left + right) / 2, at[1] + top - unit * 2.1
        if accent == "\u0308":
            for side in (-1, 1):
                cx = x + side * unit * 1.9
                pen.ellipse((cx - unit, y - unit, cx + unit, y + unit), fill=colour)
        elif accent == "\u0327":
            y = at[1] + bottom
            pen.line(
                (x, y, x - unit, y + unit * 2), fill=colour, width=round(unit * 1.3)
            )
        else:
            shape = {"\u0301": (-1, 1, 1.5, -1), "\u0300": (-1.5, -1, 1, 1)}.get(accent)
            strokes = [shape] if shape else [(-2, 1, 0, -1), (0, -1, 2, 1)]
            for x1, y1, x2, y2 in strokes:
                ends = (x + x1 * unit, y + y1 * unit, x + x2 * unit, y + y2 * unit)
                pen.line(ends, fill=colour, width=round(unit * 1.4))

    def _shape(self, alpha, colour, draw) -> None:  # type: ignore[no-untyped-def]
        if alpha >= 1:
            draw(ImageDraw.Draw(self.image), colour)
            return
        mask = Image.new("L", self.image.size, 0)
        draw(ImageDraw.Draw(mask), round(255 * alpha))
        self.image.paste(Image.new("RGB", self.image.size, colour), (0, 0), mask)

    def _px(self, value: float) -> int:
        return round(value * self.width)

    def _points(self, points: Sequence[Point]) -> list[tuple[int, int]]:
        return [(self._px(x), self._px(y)) for x, y in points]

    def _box(self, centre: Point, radius: float) -> list[tuple[int, int]]:
        x, y = centre
        return self._points(((x - radius, y - radius), (x + radius, y + radius)))


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour between two others; `share` 0 is the first."""
    pairs = zip(
        ImageColor.getrgb(first)[:3], ImageColor.getrgb(second)[:3], strict=True
    )
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _split(text: str) -> list[tuple[str, list[str]]]:
    letters: list[tuple[str, list[str]]] = []
    for character in "".join(_WRITTEN_OUT.get(c, c) for c in text):
        base, *accents = unicodedata.normalize("NFD", character)
        letters.append((base, accents))
    return letters

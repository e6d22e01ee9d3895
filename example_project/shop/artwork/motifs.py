"""What can be shown on a cover, by name."""

from collections.abc import Callable

from shop.artwork import patterns, scenes
from shop.artwork.canvas import Canvas
from shop.artwork.palettes import Palette

MOTIFS: dict[str, Callable[[Canvas, Palette], None]] = {
    "hills": scenes.draw_hills,
    "peaks": scenes.draw_peaks,
    "waves": scenes.draw_waves,
    "skyline": scenes.draw_skyline,
    "forest": scenes.draw_forest,
    "road": scenes.draw_road,
    "beam": scenes.draw_beam,
    "stars": scenes.draw_stars,
    "eclipse": scenes.draw_eclipse,
    "tiles": patterns.draw_tiles,
    "rings": patterns.draw_rings,
    "leaves": patterns.draw_leaves,
    "arches": patterns.draw_arches,
    "cutouts": patterns.draw_cutouts,
    "stairs": patterns.draw_stairs,
    "bars": patterns.draw_bars,
    "sunset": patterns.draw_sunset,
}

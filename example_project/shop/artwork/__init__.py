"""Product pictures, drawn rather than downloaded: covers, posters, cases, sleeves."""

from shop.artwork.objects import draw_product

__all__ = ["draw_product"]

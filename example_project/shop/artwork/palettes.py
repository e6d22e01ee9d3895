"""Five colours each: ground, second ground, far, near, light."""

Palette = tuple[str, str, str, str, str]

PALETTES: dict[str, Palette] = {
    "dawn": ("#f7d9b5", "#f2a477", "#c8664f", "#5b2a3c", "#fff3dc"),
    "moss": ("#dfe5cf", "#b8c8a0", "#7d9a6a", "#2c4633", "#f6efd2"),
    "sea": ("#cfe6e8", "#8fc3cb", "#3f8a9b", "#123f56", "#fdf4df"),
    "plum": ("#4a2545", "#8a3f5f", "#c9637a", "#2a1330", "#ffd9b8"),
    "ochre": ("#f3dfae", "#e8b75a", "#c9762c", "#6b2f1a", "#fff6e0"),
    "slate": ("#dbe0e6", "#a9b6c4", "#64788f", "#22303f", "#f4f6f8"),
    "berry": ("#f6dadd", "#e79aa6", "#c24a63", "#5c1730", "#fff4ef"),
    "mint": ("#e4f2e7", "#b4dcc4", "#58a98b", "#1d5a50", "#fff3c9"),
    "brick": ("#f2e3d3", "#dd8f6b", "#b5482f", "#3b1c1a", "#fbf1e4"),
    "night": ("#0b1026", "#1b2a57", "#3f5aa6", "#060915", "#f4e7b5"),
    "neon": ("#160b2e", "#3b1463", "#e5367c", "#0d0620", "#5fe3f0"),
    "ember": ("#1a0d0c", "#5a1a12", "#d8481f", "#120706", "#ffc46b"),
    "frost": ("#0e2433", "#2b5a73", "#7fb0c4", "#081722", "#eef7fa"),
    "dust": ("#f0c987", "#d9803f", "#a2492a", "#31160f", "#fff0c9"),
    "absinthe": ("#0c1f1a", "#1d4a3a", "#59a36b", "#06110e", "#e6f2a2"),
    "blush": ("#fbe3d6", "#f3b9a4", "#e2725b", "#43343c", "#fffaf2"),
    "signal": ("#f4efe2", "#efe2c2", "#d62f27", "#17171b", "#f3b61f"),
    "seventies": ("#f3e2bd", "#e9c46a", "#e76f2c", "#4b2e1e", "#fff7e1"),
    "lagoon": ("#063b46", "#0f6a73", "#37b3a5", "#04262e", "#ffd98a"),
    "violet": ("#e9e1f6", "#b9a2e0", "#7a53b8", "#2b1a4d", "#fdf0d2"),
    "blueprint": ("#eef1fb", "#dfe5fa", "#5b6fd6", "#28337a", "#ffffff"),
}

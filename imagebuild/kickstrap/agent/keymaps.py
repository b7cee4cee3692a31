"""X layouts of console keymaps. Debian derives its console's keymap from the X layout, so a kickstart
that names only a keymap needs its layout. Pure.

Most keymaps have the name of the layout. The others are those of systemd's table for the same purpose
(kbd-model-map of systemd 252).
"""

from __future__ import annotations

_LAYOUTS = {
    "be-latin1": "be", "br-abnt2": "br", "cf": "ca", "croat": "hr", "cz-lat2": "cz (qwerty)", "de-latin1": "de",
    "de-latin1-nodeadkeys": "de (nodeadkeys)", "dk-latin1": "dk", "dvorak": "us (dvorak)", "et": "ee",
    "fr-latin1": "fr", "fr-latin9": "fr (latin9)", "fr-pc": "fr", "fr_CH": "ch (fr)", "fr_CH-latin1": "ch (fr)",
    "hu101": "hu (qwerty)", "is-latin1": "is", "it-ibm": "it", "it2": "it", "jp106": "jp", "ko": "kr",
    "la-latin1": "latam", "pl2": "pl", "pt-latin1": "pt", "sg": "ch (de_nodeadkeys)",
    "sg-latin1": "ch (de_nodeadkeys)", "slovene": "si", "sr-cy": "rs", "sr-latin": "rs (latin)", "sv-latin1": "se",
    "trq": "tr", "uk": "gb", "us-acentos": "us (intl)",
}  # fmt: skip


def layout(keymap: str) -> str:
    """The X layout of a console keymap, with its variant in parentheses."""
    return _LAYOUTS.get(keymap, keymap)

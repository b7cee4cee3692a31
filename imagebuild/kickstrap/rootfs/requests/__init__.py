"""Stands in for ``requests`` inside the installer, where nothing is loaded over HTTP.

pykickstart's loader imports it, and the real one takes seconds to import under emulation.
"""


def get(url: str, **_: object) -> object:
    """Refuse: the kickstart and what it includes are local files here."""
    from .exceptions import RequestException

    raise RequestException(f"the installer cannot load {url}: it reads local files only")

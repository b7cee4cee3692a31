"""A placeholder for ``requests`` inside the installer, where nothing is loaded over HTTP.

pykickstart's loader imports ``requests``, and the real one takes seconds to import under emulation.
"""


def get(url: str, **_: object) -> object:
    """Refuse the request: the kickstart and its includes are local files."""
    from .exceptions import RequestException

    raise RequestException(f"the installer cannot load {url}: it reads only local files")

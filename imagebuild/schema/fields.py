"""The types of a recipe's fields: each rejects invalid values and says what it expected."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, GetJsonSchemaHandler, PlainSerializer, PlainValidator, StrictInt
from pydantic_core import CoreSchema

from imagebuild.schema.document import WrittenInt

_SIZE_UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}


@dataclass(frozen=True)
class Kind:
    """How the manual names a type and writes a value of it.

    ``schema`` is its JSON Schema, or a function that returns it, if pydantic's schema is not
    suitable.
    """

    words: str
    written: Callable[[Any], str] = str
    schema: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = field(default=None, hash=False)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Called by pydantic; imagebuild.schema.json_schema removes the mark again."""
        return {**handler(core), KIND: self} if self.schema is None else self.own_schema()

    def own_schema(self) -> dict[str, Any]:
        """``schema``, marked with this kind."""
        own = self.schema() if callable(self.schema) else self.schema
        return {**(own or {}), KIND: self}


KIND = "x-kind"
"""The key that holds a value's Kind in its JSON Schema while the schema is generated."""


def shown(value: object) -> str:
    """A wrong value as an error message shows it: short, and on one line."""
    if isinstance(value, WrittenInt):
        return value.written
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:50]}…{text[-1]}"


_FORBIDDEN = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")
"""Unicode's categories Cc, Zl, Zp and Cs."""


def forbidden_character(text: str) -> str | None:
    """The first character that is not allowed in a single-line field.

    These are control characters, line and paragraph separators, and surrogates.
    """
    found = _FORBIDDEN.search(text)
    return found[0] if found else None


def text(value: object) -> str:
    """Accept one line of text; a number is taken as it was written."""
    if isinstance(value, WrittenInt):
        value = value.written
    if isinstance(value, bool):
        raise ValueError(f"expected text, found {shown(value)}; quote it if it is meant as text")
    if not isinstance(value, str):
        raise ValueError(f"expected text, found {shown(value)}")
    bad = forbidden_character(value)
    if bad == "\n":
        raise ValueError("expected a single line, found text with a line break")
    if bad is not None:
        raise ValueError(f"the character U+{ord(bad):04X} is not allowed here: it is invisible and can end a line")
    return value


@dataclass(frozen=True)
class matching:  # noqa: N801 - used as a function
    """A validator for text that matches ``pattern`` completely; ``expected`` describes the pattern
    in words.
    """

    pattern: str
    expected: str

    def __call__(self, value: object) -> str:
        line = text(value)
        if not re.fullmatch(self.pattern, line):
            raise ValueError(f"expected {self.expected}, found {shown(line)}")
        return line

    @property
    def json_schema(self) -> dict[str, Any]:
        """The same as JSON Schema; a number is taken as it was written."""
        return {"type": ["string", "number"], "pattern": f"^(?:{self.pattern})$"}


def byte_size(value: object) -> int:
    """The bytes of a size with a binary unit: ``4GiB``, ``1.5GiB``, ``512MiB``."""
    if type(value) is int:
        return value
    line = text(value)
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)", line)
    expected = "a size with a unit, such as 4GiB or 512MiB"
    if match is None:
        raise ValueError(f"expected {expected}, found {shown(line)}")
    number, unit = match.groups()
    if unit not in _SIZE_UNITS:
        meant = next((u for u in _SIZE_UNITS if unit[:1].upper() == u[0]), None)
        hint = f"did you mean {number}{meant}?" if meant else "the units are KiB, MiB, GiB and TiB"
        raise ValueError(f"expected {expected}, found {shown(value)}; {hint}")
    size = Fraction(number) * _SIZE_UNITS[unit]
    if size.denominator != 1 or size % 512:
        raise ValueError(f"{line} is not a multiple of 512 bytes")
    return int(size)


def duration(value: object) -> int:
    """The seconds of a time such as ``90s``, ``30m``, ``1h30m``."""
    if type(value) is int:
        return value
    line = text(value)
    match = re.fullmatch(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?", line)
    if match is None or not line:
        raise ValueError(f"expected a time with a unit, such as 30m, 90s or 1h30m, found {shown(value)}")
    return sum(int(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True))


def sized(low: int, high: int, parse: Callable[[object], int], unit: Callable[[int], str]) -> Callable[[object], int]:
    """``parse`` with inclusive limits; ``unit`` formats a limit for messages."""

    def check(value: object) -> int:
        number = parse(value)
        if not low <= number <= high:
            raise ValueError(f"expected {unit(low)} to {unit(high)}, found {shown(value)}")
        return number

    return check


def size_text(size: int) -> str:
    """A size in the largest unit without a fraction."""
    for unit, factor in reversed(_SIZE_UNITS.items()):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size} bytes"


def duration_text(seconds: int) -> str:
    """Seconds as they are written in a recipe."""
    parts = [(seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    return "".join(f"{n}{u}" for n, u in parts if n) or "0s"


def whole_number(value: object) -> int:
    """A whole number, not in quotes."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected a whole number, found {shown(value)}")
    return int(value)


def ipv4(value: object) -> IPv4Address:
    """One IPv4 address."""
    if isinstance(value, IPv4Address):
        return value
    try:
        return IPv4Address(text(value))
    except ValueError as error:
        raise ValueError(f"expected an IPv4 address such as 192.0.2.10, found {shown(value)}") from error


def netmask(value: object) -> IPv4Address:
    """An IPv4 netmask in dotted form."""
    mask = ipv4(value)
    bits = f"{int(mask):032b}"
    if "01" in bits or "1" not in bits:
        raise ValueError(f"expected a netmask such as 255.255.255.0, found {shown(value)}")
    return mask


def any_ip(value: object) -> IPv4Address | IPv6Address:
    """An IPv4 or IPv6 address without a zone."""
    if isinstance(value, IPv4Address | IPv6Address):
        return value
    try:
        return ip_address(text(value).replace("%", " "))  # no zones
    except ValueError as error:
        raise ValueError(f"expected an IP address such as 192.0.2.53 or 2001:db8::53, found {shown(value)}") from error


def url(value: object) -> str:
    """An http or https address without a password in it."""
    line = text(value)
    expected = "a URL such as http://mirror.example/debian"
    try:
        parts = urlsplit(line)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"expected {expected}, found {shown(line)}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s\"'\\]", line):
        raise ValueError(f"expected {expected}, found {shown(line)}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL must not contain a user name or password: it would appear in logs and manifests")
    return line.rstrip("/")


def place(value: object) -> str:
    """A URL as :func:`url` accepts it, or the path of a file or folder."""
    line = text(value)
    if "://" in line:
        return url(line)
    if not line.strip() or "\0" in line:
        raise ValueError(f"expected a URL or the path of a file, found {shown(line)}")
    return line


def file_path(value: object) -> str:
    """The path of a file, relative to the recipe's folder."""
    line = text(value)
    if not line.strip() or "://" in line:
        raise ValueError(f"expected the path of a file, found {shown(line)}")
    return line


def kickstart_syntax(value: object) -> str:
    """A kickstart syntax, by pykickstart's name for it."""
    # takes a tenth of a second, and few recipes set a syntax
    from imagebuild.schema.light_pykickstart import versionMap

    line = text(value)
    if line not in versionMap:
        near = difflib.get_close_matches(line, versionMap, n=1)
        raise ValueError(
            f"expected a syntax version of pykickstart such as RHEL9 or F43, found {shown(line)}"
            + (f"; did you mean {near[0]}?" if near else "")
        )
    return line


def variable(value: Any) -> str | int | bool | tuple[str, ...]:
    """A variable's value of any type. Raises ValueError."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, list | tuple):
        return tuple(text(item) for item in value)
    if isinstance(value, str):
        return text(value)
    raise ValueError(f"expected text, a whole number, true, false or a list of text values, found {shown(value)}")


def _as_text(value: object) -> Any:
    return str(value)


_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"

SIZE = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?[KMGT]iB$"}
_TIME = {"type": "string", "pattern": "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$", "minLength": 2}

Text = Annotated[str, BeforeValidator(text), Kind("text", schema={"type": ["string", "number"]})]
Name = Annotated[
    str,
    BeforeValidator(
        matching(
            r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}",
            "a name of letters, digits, '.', '_' and '-' (at most 63, beginning with a letter or digit)",
        )
    ),
    Kind("name"),
]
Version = Annotated[
    str, BeforeValidator(matching(r"[0-9A-Za-z][0-9A-Za-z._-]{0,30}", "a version such as 13 or 9.4")), Kind("version")
]
Codename = Annotated[
    str, BeforeValidator(matching(r"[a-z][a-z0-9-]{0,30}", "the name of a suite such as trixie")), Kind("name")
]
Osinfo = Annotated[
    str, BeforeValidator(matching(r"[a-z0-9][a-z0-9._-]*", "a short osinfo id such as debian13")), Kind("id")
]
HostName = Annotated[
    str,
    BeforeValidator(matching(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*", "a host name such as web1.example.org")),
    Kind("host name"),
]
DeviceName = Annotated[
    str,
    BeforeValidator(matching(r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,15}", "an interface such as eth0")),
    Kind("interface"),
]
Language = Annotated[
    str,
    BeforeValidator(
        matching(r"[A-Za-z]{1,8}(?:_[A-Z]{2})?(?:\.[A-Za-z0-9-]+)?(?:@[a-z]+)?", "a locale such as C.UTF-8")
    ),
    Kind("locale"),
]
Keyboard = Annotated[
    str, BeforeValidator(matching(r"[A-Za-z0-9_-]{1,40}", "a keyboard layout such as us or de")), Kind("layout")
]
Timezone = Annotated[
    str,
    BeforeValidator(matching(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,2}", "a time zone such as UTC or Europe/Paris")),
    Kind("time zone"),
]
KernelArgument = Annotated[
    str,
    BeforeValidator(
        matching(
            r"[A-Za-z0-9_.,:=/@+%~^*!?\[\]-]{1,256}",
            "one kernel argument such as console=ttyS0,115200n8 (no space, quote, backslash or shell character)",
        )
    ),
    Kind("word"),
]
PackageName = Annotated[
    str,
    BeforeValidator(
        matching(r"@?\^?[A-Za-z0-9][A-Za-z0-9+._-]{0,127}", "the name of a package such as openssh-server")
    ),
    Kind("package"),
]
Component = Annotated[
    str, BeforeValidator(matching(r"[a-z][a-z0-9-]*", "a component such as main or contrib")), Kind("name")
]
TemplateName = Annotated[
    str,
    BeforeValidator(
        matching(
            r"(?!.*(?:^|/)\.\.?(?:/|$))[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*\.ks\.j2",
            "the name of a kickstart template that ends in .ks.j2, such as debian.ks.j2",
        )
    ),
    Kind("template"),
]
VariableName = Annotated[
    str,
    BeforeValidator(matching(r"[a-z][a-z0-9_]*", "a variable name of lower-case letters, digits and '_'")),
    Kind("name"),
]
EnvironmentName = Annotated[
    str, BeforeValidator(matching(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable")), Kind("name")
]
PATHS = ("path", "URL or path")
"""The kinds whose values are relative to the file in which they are written."""
Url = Annotated[str, BeforeValidator(url), Kind("URL", schema={"type": "string", "pattern": "^https?://"})]
Place = Annotated[str, BeforeValidator(place), Kind("URL or path", schema={"type": "string", "minLength": 1})]
FilePath = Annotated[str, BeforeValidator(file_path), Kind("path", schema={"type": "string", "minLength": 1})]
Sha256 = Annotated[str, BeforeValidator(matching(r"[0-9a-f]{64}", "a SHA-256 of 64 digits 0-9a-f")), Kind("SHA-256")]
Syntax = Annotated[
    str,
    BeforeValidator(kickstart_syntax),
    Kind("name", schema={"type": "string", "pattern": r"^(FC[0-9]|F[0-9]+|RHEL[0-9]+|DEVEL)$"}),
]
Ipv4 = Annotated[IPv4Address, BeforeValidator(ipv4), PlainSerializer(_as_text, return_type=str), Kind("IPv4 address")]
Netmask = Annotated[IPv4Address, BeforeValidator(netmask), PlainSerializer(_as_text, return_type=str), Kind("netmask")]
AnyIp = Annotated[
    IPv4Address | IPv6Address, BeforeValidator(any_ip), PlainSerializer(_as_text, return_type=str), Kind("IP address")
]
Whole = Annotated[StrictInt, BeforeValidator(whole_number), Kind("number")]
DiskSize = Annotated[
    int, BeforeValidator(sized(256 * 1024**2, 64 * 1024**4, byte_size, size_text)), Kind("size", size_text, SIZE)
]
MemorySize = Annotated[
    int, BeforeValidator(sized(256 * 1024**2, 16 * 1024**4, byte_size, size_text)), Kind("size", size_text, SIZE)
]
Timeout = Annotated[
    int, BeforeValidator(sized(10, 7 * 86400, duration, duration_text)), Kind("time", duration_text, _TIME)
]

Variable = Annotated[
    str | int | bool | tuple[str, ...],
    PlainValidator(variable),
    PlainSerializer(lambda value: list(value) if isinstance(value, tuple) else value, return_type=Any),
    Kind("text, number, true, false or [text, …]"),
]

DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
"""A package name according to Debian Policy 5.6.1."""

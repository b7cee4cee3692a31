"""Messages: the lengths of a header and a body (32 bits each, big endian), the header as JSON, the body."""

import json
import struct
from typing import IO, Any, Dict, Optional, Tuple

LENGTHS = struct.Struct(">II")
LARGEST_HEADER = 1 << 20
LARGEST_BODY = 256 << 20


class BrokenMessage(Exception):
    """The peer does not speak this protocol."""


def packed(header: Dict[str, Any], body_length: int = 0) -> bytes:
    """What is sent before a body."""
    text = json.dumps(header).encode("ascii")
    return LENGTHS.pack(len(text), body_length) + text


def lengths(data: bytes) -> Tuple[int, int]:
    """The lengths of a header and a body. Raises BrokenMessage if they cannot be right."""
    header, body = LENGTHS.unpack(data)
    if header > LARGEST_HEADER or body > LARGEST_BODY:
        raise BrokenMessage("a message has an impossible length")
    return header, body


def header_of(data: bytes) -> Dict[str, Any]:
    """A header. Raises BrokenMessage."""
    try:
        found = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError):
        raise BrokenMessage("a message has no valid header") from None
    if not isinstance(found, dict):
        raise BrokenMessage("a message has no valid header")
    return found


def received(stream: IO[bytes]) -> Optional[Tuple[Dict[str, Any], bytes]]:
    """The next message of a stream; None at its end. Raises BrokenMessage."""
    start = stream.read(LENGTHS.size)
    if len(start) < LENGTHS.size:
        return None
    header_length, body_length = lengths(start)
    header, body = stream.read(header_length), stream.read(body_length)
    if len(header) < header_length or len(body) < body_length:
        return None
    return header_of(header), body


def sent(stream: IO[bytes], header: Dict[str, Any], body: bytes = b"") -> None:
    """Send a message."""
    stream.write(packed(header, len(body)))
    stream.write(body)
    stream.flush()

"""The agent's source as one text: what is sent to a host's Python, which keeps nothing of it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_MODULES = (
    "framing", "folder", "readback", "codec", "clusters", "oldimages", "rebuild", "requests", "__main__",
)  # fmt: skip
"""In this order: each imports only those before it."""
_LOADER = """\
import sys, types
def load(name, text):
    module = types.ModuleType("imagebuild_agent" + name)
    module.__package__ = "imagebuild_agent"
    module.__path__ = []
    sys.modules[module.__name__] = module
    exec(compile(text, "agent" + name, "exec"), module.__dict__)
    return module
package = load("", "")
"""


@cache
def agent_source() -> bytes:
    """Python source that starts the agent, in ASCII."""
    folder = files("imagebuild.publish") / "agent"
    lines = [_LOADER]
    for name in _MODULES:
        text = (folder / f"{name}.py").read_text(encoding="utf-8")
        lines.append(f"package.{name.strip('_')} = load({'.' + name!r}, {text!a})\n")
    return "".join(lines).encode("ascii")


def bootstrap() -> list[str]:
    """The words after Python's name: it runs what it reads first from its standard input."""
    return ["-I", "-u", "-c", f"import sys;exec(sys.stdin.buffer.read({len(agent_source())}))"]

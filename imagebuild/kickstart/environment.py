"""The Jinja2 environment of kickstart templates: strict, sandboxed, and every value passes through
the encoder.

Jinja2's autoescape distinguishes the templates' own text (Markup) from values (str). Only the
encoder differs: it writes kickstart tokens, not HTML. So everything in Jinja2 that escapes HTML is
removed or replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension
from jinja2.filters import FILTERS
from jinja2.loaders import split_template_path
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from imagebuild.host.looked_at import note_place
from imagebuild.kickstart.compiled_templates import CompiledTemplates
from imagebuild.kickstart.encode import finalize, ini
from imagebuild.kickstart.quotes import NoValueInQuotes
from imagebuild.schema.findings import did_you_mean

_FILTERS = (
    "abs", "capitalize", "default", "dictsort", "first", "format", "indent", "int", "items", "last", "length", "list",
    "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "select", "selectattr", "sort",
    "string", "sum", "trim", "unique", "upper",
)  # fmt: skip
_GLOBALS = ("dict", "namespace", "range")


class Values(SimpleNamespace):
    """A group of values for templates: ``locale`` with ``locale.language``.

    It is not a mapping, so a variable may be called ``items``.
    """

    def __init__(self, label: str, values: Mapping[str, Any]) -> None:
        super().__init__(**values)
        self._label = label

    def told_absent(self, name: str) -> str:
        """The message for a name that is not defined here."""
        known = [key for key in vars(self) if not key.startswith("_")]
        hint = did_you_mean(name, known) or "nothing is defined there"
        return f"{self._label}.{name} is not defined; {hint}"


class _Undefined(StrictUndefined):
    """Names similar values in its message."""

    @property
    def _undefined_message(self) -> str:
        if isinstance(self._undefined_obj, Values) and isinstance(self._undefined_name, str):
            return self._undefined_obj.told_absent(self._undefined_name)
        return super()._undefined_message


class _Generator(CodeGenerator):
    """Makes ``~`` join to plain text, which is then encoded as a whole."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - Jinja2's name
        self.write("str_join((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class _NotedLoader(FileSystemLoader):
    """Notes each place where a template is looked for: one that appears in an earlier folder is used."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        for folder in self.searchpath:
            note_place(Path(folder, *split_template_path(template)))
        return super().get_source(environment, template)


class KickstartEnvironment(ImmutableSandboxedEnvironment):
    """The environment of all kickstart templates; ``folders`` are searched in order."""

    code_generator_class = _Generator
    intercepted_binops = frozenset({"+", "%", "*"})

    def __init__(self, folders: Sequence[Path], extensions: Sequence[type[Extension]] = ()) -> None:
        kind = " ".join(f"{one.__module__}.{one.__name__}" for one in extensions)
        super().__init__(
            bytecode_cache=CompiledTemplates(kind),
            loader=_NotedLoader([str(folder) for folder in folders], followlinks=True),
            undefined=_Undefined,
            autoescape=True,
            finalize=_finalize,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            extensions=[NoValueInQuotes, *extensions],
        )
        self.filters = {name: FILTERS[name] for name in _FILTERS} | {"join": _join, "ini": ini}
        self.globals = {name: self.globals[name] for name in _GLOBALS}

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Jinja2's answer for a group of values, which has no methods, is known without its questions."""
        return not attr.startswith("_") if type(obj) is Values else super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Use plain text: Markup's own operators would escape HTML."""
        left, right = (str(side) if isinstance(side, Markup) else side for side in (left, right))
        return super().call_binop(context, operator, left, right)


@pass_context
def _finalize(_context: Context, value: object) -> Markup:
    # pass_context defers the call to run time; otherwise Jinja2 would escape constants as HTML while compiling.
    return finalize(value)


def _join(values: Iterable[object], separator: str = "") -> str:
    """Join texts and numbers into one value."""
    return str(separator).join(str(value) for value in values)

"""Write a file from a Jinja2 template on the build host.

The template can use only the names in ``variables``; using any other name is an error. Pass a
recipe's own variables by name: ``variables: {domain: "${domain}"}``. Templates cannot include
others, and run in Jinja2's sandbox.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import Field, JsonValue

from imagebuild.customise.host_inputs import HostPath
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import HOST_PATH, GuestPath, Mode, Owner, owner_ids
from imagebuild.customise.view import LARGEST_TEXT
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(BaseParams):
    source: HostPath = Field(description=f"the template: {HOST_PATH}")
    path: GuestPath = Field(description="path of the file in the guest")
    variables: dict[str, JsonValue] = Field(default={}, description="variables for the template, by name")
    mode: Mode = Field(default=0o644, description='permission bits, such as "0640"')
    owner: Owner | None = Field(default=None, description="user, or user:group, by name or number")


def apply(guest: Guest, params: Params) -> None:
    owner = owner_ids(guest, params.owner) if params.owner else None
    guest.create(params.path, _rendered(guest, params), mode=params.mode, owner=owner)


def _rendered(guest: Guest, params: Params) -> str:
    source = guest.supplies.path(params.source)
    if not source.is_file() or source.stat().st_size > LARGEST_TEXT:
        raise GuestError(f"{source} is not a template: expected a file of at most {LARGEST_TEXT} bytes")
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    try:
        return environment.from_string(source.read_text(encoding="utf-8")).render(params.variables)
    except TemplateSyntaxError as error:
        raise GuestError(f"{source}:{error.lineno}: {error.message}") from error
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise GuestError(f"{source}:{_line(error)}: {error}") from error


def _line(error: BaseException) -> int:
    """The line of the template where an error was raised. Jinja2 inserts frames for the template
    into the traceback."""
    at, line = error.__traceback__, 0
    while at is not None:
        line = at.tb_lineno if at.tb_frame.f_code.co_filename == "<template>" else line
        at = at.tb_next
    return line

"""Write a file from a Jinja2 template.

The template is a text or a file of the build host. It can use only the names in ``variables``;
using any other name is an error. Pass a recipe's own variables by name:
``variables: {domain: "${domain}"}``. Templates cannot include others, and run in Jinja2's sandbox.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import Field, JsonValue

from imagebuild.customise import content
from imagebuild.customise.content import ContentParams
from imagebuild.customise.host_inputs import HostPath
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import GuestPath, Mode, Owner, owner_ids
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE


class Params(ContentParams):
    path: GuestPath = Field(description="path of the file in the guest")
    text: str | None = Field(default=None, description="the template")
    file: HostPath | None = Field(default=None, description=content.FILE)
    variables: dict[str, JsonValue] = Field(default={}, description="variables for the template, by name")
    mode: Mode = Field(default=0o644, description='permission bits, such as "0640"')
    owner: Owner | None = Field(default=None, description="user, or user:group, by name or number")


def apply(guest: Guest, params: Params) -> None:
    owner = owner_ids(guest, params.owner) if params.owner else None
    guest.create(params.path, _rendered(guest, params), mode=params.mode, owner=owner)


def _rendered(guest: Guest, params: Params) -> str:
    template, source = content.text(guest, params), content.name(guest, params)
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    try:
        return environment.from_string(template).render(params.variables)
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

"""The section ``farm`` of ``imagebuild.yaml``: where builds on several machines are handed out."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from imagebuild.project.farm_address import checked
from imagebuild.project.nightly import Count
from imagebuild.schema import fields as f
from imagebuild.schema.findings import Finding, Refused
from imagebuild.schema.section import Section, without_none, without_nothing


def _scheduler(value: object) -> str:
    return checked(f.text(value))


def _ledger(value: object) -> str:
    line = f.text(value)
    if ":" in line.partition("://")[2].rpartition("@")[0] or "password=" in line:
        raise ValueError("this file must not contain a password; use PGPASSWORD or ~/.pgpass")
    return line


SchedulerAddress = Annotated[
    str, BeforeValidator(_scheduler), f.Kind("address", schema={"type": "string", "pattern": "^(tls|tcp)://"})
]
LedgerPlace = Annotated[str, BeforeValidator(_ledger), f.Kind("URL or path", schema={"type": "string", "minLength": 1})]

Labels = Annotated[tuple[f.Name, ...], BeforeValidator(without_nothing)]


class Farm(Section):
    """A scheduler of dask.distributed, how it is reached, and the ledger of all builds there."""

    insecure: bool = Field(
        default=False,
        description="Accept `tcp://` to other machines: whoever reaches the scheduler can run programs on all workers.",
    )
    scheduler: SchedulerAddress | None = Field(
        None, description="The scheduler: `tls://host:8786`, or `tcp://127.0.0.1:8786` on this machine."
    )
    ca: f.FilePath | None = Field(
        None, description="The certificate of the authority that has signed all others; relative to this file's folder."
    )
    certificate: f.FilePath | None = Field(
        None, description="This machine's certificate; relative to this file's folder."
    )
    key: f.FilePath | None = Field(
        None, description="The private key of `certificate`; relative to this file's folder."
    )
    ledger: LedgerPlace | None = Field(
        None,
        description="The ledger: `postgresql://[user@]host/database`, or a file that all workers can lock."
        " Default: `ledger.sqlite` in the store.",
    )
    tries: Count = Field(3, description="How many workers may die of one build.")
    labels: Annotated[dict[f.Name, Labels], BeforeValidator(without_none)] = Field(
        default_factory=dict,
        description="For each image that not all workers can build, the labels that a worker must have"
        " (`imagebuild worker --label`).",
    )
    nightly: bool = Field(default=False, description="Whether `imagebuild nightly` builds on the farm.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        files = {"ca": self.ca, "certificate": self.certificate, "key": self.key}
        given = [name for name, value in files.items() if value is not None]
        if given and len(given) < len(files):
            lacking = next(name for name in files if name not in given)
            raise Refused([Finding((given[0],), f"TLS needs ca, certificate and key, and {lacking} is missing")])
        if self.nightly and self.scheduler is None:
            raise Refused([Finding(("nightly",), "this needs the address of a scheduler")])
        return self

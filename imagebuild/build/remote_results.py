"""The results that a build takes from a remote store, and gives to it.

The remote store helps, and nothing depends on it: the first time that it cannot be used, a build says so
once, and goes on without it.
"""

from __future__ import annotations

import os
import queue
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from imagebuild.errors import HostError, ImageBuildError, Interrupted, from_os
from imagebuild.log import logger
from imagebuild.progress import SILENT, SILENT_REPORTER, Progress, Reporter
from imagebuild.recipe import host_inputs
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.remote.entry_record import RemoteRecord
from imagebuild.remote.opening import RemoteSettings, open_remote
from imagebuild.remote.remote_store import RemoteStore
from imagebuild.schema.section import MIB
from imagebuild.step import Step
from imagebuild.store.entry import EntryFacts
from imagebuild.store.store import Store

T = TypeVar("T")
WITH_SECRETS = frozenset({"installed", "layer", "customised", "artifact"})
"""The kinds of results that secrets of the recipe are in."""
_IN_ADDRESS = re.compile(r"://[^/@\s]+@")
_NICE = 10
"""How much the sending yields to the build: see nice(2)."""


def has_address_with_user(step: Step) -> bool:
    """Whether an input of a step may contain a password, as in a mirror's address: records contain the inputs."""
    return any(_IN_ADDRESS.search(value) for value in step.inputs.values())


class RemoteResults:
    """The remote store of one build, if it has one. ``label`` is the recipe's name.

    With ``secret``, results that contain the recipe's secrets stay on this host. With ``replace``, nothing
    is taken, and what is made replaces what is there. Several threads may use it.
    """

    def __init__(
        self,
        remote: RemoteStore | None = None,
        label: str = "",
        reporter: Reporter = SILENT_REPORTER,
        *,
        secret: bool = False,
        replace: bool = False,
    ) -> None:
        self._remote, self._label, self._reporter = remote, label, reporter
        self._secret, self._replace = secret, replace
        self._usable = remote is not None
        self._turn = threading.Lock()
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._sender: threading.Thread | None = None
        self._sending: Progress = SILENT

    def pull(self, step: Step, store: Store, progress: Progress) -> bool:
        """Fetch the result of a step to a store; False if there is none, or none can be had."""
        remote, before = self._asked(step), self._received
        if remote is None or not self._tried(lambda: remote.pull(step.kind, step.fingerprint, store, progress)):
            return False
        progress.summary(f"from the remote store, {(self._received - before) / MIB:.0f} MiB", "remote")
        return True

    def has(self, step: Step) -> bool:
        """Whether the remote store has the result of a step, as far as it can be asked."""
        remote = self._asked(step)
        return remote is not None and bool(self._tried(lambda: remote.look(step.kind, step.fingerprint)))

    def find(self, step: Step) -> RemoteRecord | None:
        """The record of the result of a step; None if there is none, or none can be had."""
        remote = self._asked(step)
        return None if remote is None else self._tried(lambda: remote.find(step.kind, step.fingerprint))

    def _asked(self, step: Step) -> RemoteStore | None:
        """The remote store, if it is asked for the result of a step."""
        return None if self._replace or not self._is_shared(step.kind) else self._remote

    def fetch(self, record: RemoteRecord, folder: Path, progress: Progress) -> bool:
        """Fetch the files of an entry into a folder; False if they cannot be had."""
        remote, before = self._remote, self._received
        if remote is None:
            return False

        def fetched() -> bool:
            remote.fetch(record, folder, progress)
            return True

        if not self._tried(fetched):
            return False
        progress.summary(f"from the remote store, {(self._received - before) / MIB:.0f} MiB", "remote")
        return True

    @property
    def _received(self) -> int:
        return 0 if self._remote is None else self._remote.received.total

    def push_later(self, step: Step, store: Store) -> None:
        """Send the entry of a step in a store while the build goes on."""
        self._later(
            step,
            lambda remote: remote.push(step.kind, step.fingerprint, store, self._sending, replace=self._replace),
        )

    def put_later(self, step: Step, folder: Path, facts: Callable[[], EntryFacts]) -> None:
        """Send the result of a step that is in a folder, which ``facts`` describe when they are needed."""
        self._later(
            step,
            lambda remote: remote.put(
                step.kind, step.fingerprint, folder, facts(), self._sending, replace=self._replace
            ),
        )

    def _later(self, step: Step, push: Callable[[RemoteStore], None]) -> None:
        remote = self._remote
        if remote is None or not remote.pushes or not self._is_shared(step.kind):
            return
        if has_address_with_user(step):
            return
        self._waiting.put(lambda: push(remote))
        with self._turn:
            if self._sender is None:
                self._sender = threading.Thread(target=self._send, daemon=True, name="push")
                self._sender.start()

    def _send(self) -> None:
        with suppress(OSError):  # of this thread only, and of those that it starts
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while (push := self._waiting.get()) is not None:
            self._tried(push)

    def finish(self) -> None:
        """Wait until everything is sent, or the remote store cannot be used any more."""
        if self._sender is None:
            return
        self._waiting.put(None)
        self._sender.join(0.2)  # mostly there is nothing left to send
        if self._sender.is_alive():
            with self._reporter.step(self._label, "push") as progress:
                progress.update("sending to the remote store")
                self._sending = progress
                while self._sender.is_alive():
                    self._sender.join(1.0)
                sent = 0 if self._remote is None else self._remote.sent.total
                progress.summary(f"{sent / MIB:.0f} MiB sent to the remote store")

    def _is_shared(self, kind: str) -> bool:
        return not (self._secret and kind in WITH_SECRETS)

    def _tried(self, work: Callable[[], T]) -> T | None:
        """What ``work`` returns; None if the remote store cannot be used, or was not before."""
        if not self._usable:
            return None
        try:
            return work()
        except HostError as error:
            self._give_up(error)
        except ImageBuildError as error:  # about this result only
            self._warn(error)
        except OSError as error:
            self._give_up(from_os(error))
        return None

    def _give_up(self, error: ImageBuildError) -> None:
        with self._turn:
            if not self._usable:
                return
            self._usable = False
        self._warn(error, "; the build goes on without it")

    def _warn(self, error: ImageBuildError, more: str = "") -> None:
        logger.warning("%s", error.message)
        hint = f" ({error.hint})" if error.hint else ""
        self._reporter.note(self._label, f"warning: {error.message}{more}{hint}")


@contextmanager
def remote_results(
    settings: RemoteSettings | None, recipe: Recipe, reporter: Reporter, *, replace: bool
) -> Iterator[RemoteResults]:
    """The remote store of a build, if it has one; the end of the block waits until everything is sent, also
    if the build has failed, but not if it was interrupted.
    """
    if settings is None:
        yield RemoteResults()
        return
    with open_remote(settings) as remote:
        secret = host_inputs.has_secrets(recipe)
        results = RemoteResults(remote, recipe.name, reporter, secret=secret, replace=replace)
        try:
            yield results
        except Interrupted:
            raise
        except ImageBuildError:
            results.finish()
            raise
        results.finish()

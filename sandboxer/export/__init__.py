"""Policies in the languages of others, and back: one module for each format, and its name here.

An exporter has SUMMARY and `write(policy, situation, host=..., may_narrow=...)`, an importer SUMMARY and `read(data, file,
name)`; both return a Translation: the text, and what it did not keep word for word.
"""

from __future__ import annotations

import sys
from typing import Protocol

from sandboxer.controls.seccomp.rules import Situation
from sandboxer.export.notes import Translation
from sandboxer.model.host import Host
from sandboxer.model.policy import Policy

EXPORTERS = {"oci-seccomp": "oci_seccomp", "apparmor": "apparmor", "selinux": "selinux"}
IMPORTERS = {"oci-seccomp": "oci_import"}


class Exporter(Protocol):
    """The module of a format that policies are written in."""

    SUMMARY: str

    def write(self, policy: Policy, situation: Situation, *, host: Host, may_narrow: bool = False) -> Translation:
        """The text of a policy, for one machine and set of capabilities. Raises: ProfileError for what it cannot say.

        host: this machine, with the facts of the paths that the policy mentions, for formats that speak of files.
        """


class Importer(Protocol):
    """The module of a format that policies are read from."""

    SUMMARY: str

    def read(self, data: bytes, file: str, name: str) -> Translation:
        """The policy file that a text of others means. Raises: ProfileError for what is wrong or cannot be said."""


def load_exporter(name: str) -> Exporter:
    """The exporter of a format. Raises: KeyError."""
    return _load(EXPORTERS[name])  # type: ignore[return-value]


def load_importer(name: str) -> Importer:
    """The importer of a format. Raises: KeyError."""
    return _load(IMPORTERS[name])  # type: ignore[return-value]


def _load(module: str) -> object:
    path = f"{__name__}.{module}"
    __import__(path)
    return sys.modules[path]

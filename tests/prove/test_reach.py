"""What a probe of the network expects, with and without a label that refuses to make sockets."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from sandboxer.kernel.probe import probe
from sandboxer.model.host import Host
from sandboxer.prove.reach import reachable_network
from sandboxer.prove.subject import make_subject
from sandboxer.run.prepare import resolve_request
from sandboxer.run.request import Request
from tests.prove.pretend import seen

HEAD = "kind: profile\nname: mine\ndescription: of a test\nextends: [python]\n"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("", "a route to 192.0.2.1"),
        ("apparmor: {profile: generate, mode: complain}", "a route to 192.0.2.1"),
        ("apparmor: {profile: generate}\nnetwork: {mode: loopback}", "a route to 192.0.2.1"),
        ("apparmor: {profile: generate}", "a socket under the label: EACCES"),
        ("selinux: {type: generate}", "a socket under the label: EACCES"),
        ("selinux: {type: generate}\nnetwork: {mode: loopback}", "a route to 192.0.2.1"),
    ],
)
def test_label_of_a_box_without_a_network_is_what_refuses_a_socket(more: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"{HEAD}{more}\n")
    request = Request(str(tmp_path / "mine.yaml"))
    subject = make_subject(
        request,
        resolve_request(request),
        replace(probe(), apparmor_problem="", selinux_problem="", selinux_context=Host().selinux_context),
    )
    (found,) = reachable_network(subject)
    assert found.why_not == ""
    answers = [(-errno.EACCES,)] * 3
    assert says in found.trials[0].judge(seen(*answers)).words
    owners = {step.control for step in subject.plan.inside if found.owns(step)}
    assert bool({"apparmor", "selinux"} & owners) == ("label" in says)

"""The reader of compiled AppArmor policies, against texts whose meaning is plain."""

from __future__ import annotations

import pytest

from sandboxer.verify.apparmor import Automaton, May, Unreadable, read_file_rules
from tests.controls.lsm.apparmor.parser import compiled


def rules(*lines: str) -> Automaton:
    body = "".join(f"  {line},\n" for line in lines)
    return read_file_rules(compiled(f"abi <abi/3.0>,\nprofile one {{\n{body}}}\n".encode()))


@pytest.mark.parametrize(
    ("letters", "may"),
    [
        ("r", May.R),
        ("w", May.W | May.A),
        ("a", May.A),
        ("k", May.K),
        ("l", May.L),
        ("m", May.M),
        ("ix", May.X | May.M),
        ("mrwlkix", May.M | May.R | May.W | May.A | May.L | May.K | May.X),
    ],
)
def test_each_letter_is_its_permission(letters: str, may: May) -> None:
    """Whoever executes a program under the same label may map it too: the parser adds that."""
    found = rules(f"/srv/** {letters}")
    assert found.at(b"/srv/a/b") == may
    assert found.at(b"/srv/") == found.at(b"/srvx") == May(0)


def test_denial_wins_over_a_grant() -> None:
    found = rules("/srv/** rw", "deny /srv/a w", "audit deny /srv/b rw")
    assert [found.at(path).letters for path in (b"/srv/a", b"/srv/b", b"/srv/c")] == ["r", "", "wr"]


def test_patterns_mean_what_the_language_says() -> None:
    found = rules("/a/* r", "/b/?[0-9]{x,yz} r", "/c/** r")
    assert all(found.at(path) for path in (b"/a/x", b"/b/q7x", b"/b/q7yz", b"/c/d/e"))
    assert not any(found.at(path) for path in (b"/a/x/y", b"/b/q7", b"/b/7x", b"/b/q7y", b"/c/"))


@pytest.mark.parametrize("policy", [b"", b"aadfa\x00\x06", b"\x1b\x5e\x78\x3d"])
def test_bytes_without_an_automaton_are_refused_and_a_policy_is_read(policy: bytes) -> None:
    with pytest.raises(Unreadable):
        read_file_rules(policy)
    assert rules("/a r").at(b"/a")

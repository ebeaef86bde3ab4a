"""Needs of live tests: met, unmet, unknown."""

from __future__ import annotations

import pytest

from sandboxer.model.host import Host
from tests.live import needs as needs_module
from tests.live.needs import needs, unmet

ROOT = Host(uid=0, capabilities=(1 << 41) - 1, landlock_abi=4, kernel=(6, 1))


@pytest.mark.parametrize(
    "need", ["root", "userns", "landlock>=4", "landlock>3", "kernel>=5.15", "kernel>=6.1", "overlay", "timens"]
)
def test_need_that_the_host_meets_is_met(need: str) -> None:
    assert unmet((need,), ROOT) == []


@pytest.mark.parametrize("need", ["landlock>=5", "kernel>=6.2", "newuidmap", "landlock==3"])
def test_need_that_the_host_lacks_is_named(need: str) -> None:
    assert unmet(("userns", need), ROOT) == [need]


def test_need_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(KeyError):
        unmet(("luck",), ROOT)


def test_unmet_need_fails_where_skips_are_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs_module, "this_host", lambda: Host(landlock_abi=0))
    monkeypatch.setenv("SANDBOXER_NO_SKIP", "1")

    @needs("landlock>=1")
    def test() -> None: ...

    with pytest.raises(pytest.fail.Exception, match="landlock>=1"):
        test()


def test_need_that_the_machine_may_lack_is_skipped_and_any_other_beside_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs_module, "this_host", lambda: Host(landlock_abi=0))
    monkeypatch.setenv("SANDBOXER_NO_SKIP", "1")
    monkeypatch.setenv("SANDBOXER_MAY_LACK", "v1 groups,landlock>=1")

    @needs("landlock>=1")
    def old() -> None: ...

    @needs("landlock>=1", "newuidmap")
    def broken() -> None: ...

    (mark,) = old.pytestmark  # type: ignore[attr-defined]
    assert (mark.name, mark.kwargs) == ("skip", {"reason": "this machine lacks: landlock>=1"})
    with pytest.raises(pytest.fail.Exception, match="newuidmap"):
        broken()


def test_met_need_leaves_the_test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs_module, "this_host", lambda: ROOT)

    def test() -> None: ...

    assert needs("root", "landlock>=1")(test) is test

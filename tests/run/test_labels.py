"""A plan meets what root has loaded of AppArmor: asked once the plan is known, and told with the command that loads it."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from sandboxer.compile.cache import PlanCache
from sandboxer.errors import HostError
from sandboxer.kernel.lsm import apparmor as kernel
from sandboxer.kernel.lsm.apparmor import Noted
from sandboxer.kernel.stamp import stamp
from sandboxer.model.host import Host
from sandboxer.model.op import SetExecLabel
from sandboxer.model.report import Status
from sandboxer.run import prepare as cold
from sandboxer.run.prepare import compile_request, install_command, prepare
from sandboxer.run.request import Request
from sandboxer.run.scratch.kept import Kept

KEY = "a" * 64
HEAD = "kind: profile\nname: mine\ndescription: what a test needs\nextends: [default]\n"


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a pretended kernel with AppArmor has loaded, in a directory with the profile `mine`."""
    found: list[str] = []
    real = cold.probe

    def probe() -> Host:
        return replace(real(), apparmor_problem="", apparmor_mend="")

    def ask(request: str) -> Noted:
        name = request.partition(" ")[2]
        return next((Noted(item) for item in found if item.startswith(f"{name} (")), Noted(error=errno.ENOENT))

    monkeypatch.setattr(cold, "probe", probe)
    monkeypatch.setattr(cold, "ask_label", ask)
    monkeypatch.chdir(tmp_path)
    return found


def write(more: str) -> None:
    Path("mine.yaml").write_text(f"{HEAD}{more}\n")


def wanted() -> str:
    """The name that the refusal names."""
    with pytest.raises(HostError) as caught:
        compile_request(Request("./mine.yaml"))
    (problem,) = caught.value.problems
    assert problem.attempt in (install_command(Request("./mine.yaml"), is_root=is_root) for is_root in (True, False))
    return problem.what.split()[3]


def test_label_that_is_not_loaded_is_refused_and_one_that_is_becomes_a_step(loaded: list[str]) -> None:
    write("apparmor: {profile: generate}")
    name = wanted()
    loaded.append(f"{name} (complain)")
    assert wanted() == name
    loaded[:] = [f"{name} (enforce)"]
    made = compile_request(Request("./mine.yaml"))
    assert [step.op for step in made.plan.inside if isinstance(step.op, SetExecLabel)] == [
        SetExecLabel(f"exec {name}", f"{name} (enforce)")  # type: ignore[arg-type]
    ]
    assert not made.is_passing


def under(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the caller is under a profile."""
    found = cold.probe()
    monkeypatch.setattr(cold, "probe", lambda: replace(found, apparmor_label=label))


def test_caller_under_a_profile_asks_to_stack(loaded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    under("outer (enforce)", monkeypatch)
    write("apparmor: {profile: mine}")
    loaded.append("mine (enforce)")
    made = compile_request(Request("./mine.yaml"))
    assert [step.op.request for step in made.plan.inside if isinstance(step.op, SetExecLabel)] == ["stack mine"]


@pytest.mark.parametrize(
    ("noted", "why", "attempt"),
    [
        (Noted(error=errno.EACCES), "under AppArmor's outer (enforce), which does not let it stack", "change_profile -> &mine,"),
        (Noted(error=errno.ENOENT), "the kernel has none of that name", "apparmor_parser --replace"),
        (Noted("outer//null-mine (complain)"), "the kernel has none of that name", "apparmor_parser --replace"),
        (Noted("mine (complain)"), "the kernel has it as mine (complain)", "apparmor_parser --replace"),
    ],
)
def test_what_a_caller_under_a_profile_is_refused_is_told(
    loaded: list[str], monkeypatch: pytest.MonkeyPatch, noted: Noted, why: str, attempt: str
) -> None:
    under("outer (enforce)", monkeypatch)
    monkeypatch.setattr(cold, "ask_label", lambda request: noted)
    write("apparmor: {profile: mine}")
    with pytest.raises(HostError) as caught:
        compile_request(Request("./mine.yaml"))
    (problem,) = caught.value.problems
    assert why in problem.why
    assert attempt in problem.attempt


def is_kept(cache: PlanCache) -> bool:
    """Whether a start leaves a plan for the next one: one of a few, for none is left where a path changes meanwhile."""
    for _ in range(5):
        prepare(Request("./mine.yaml"), KEY, cache)
        if cache.find(KEY, stamp) is not None:
            return True
    return False


def test_best_effort_is_weakened_and_no_plan_of_it_is_kept(
    loaded: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cold, "is_settled", lambda paths, begun_ns: True)
    write("apparmor: {profile: generate, enforce: best_effort}")
    made = compile_request(Request("./mine.yaml"))
    assert [line.control for line in made.plan.report.lines if line.status is Status.WEAKENED].count("apparmor") == 1
    assert made.is_passing
    assert not is_kept(PlanCache(str(tmp_path / "passing")))
    write("apparmor: {profile: generate}")
    loaded.append(f"{wanted()} (enforce)")
    assert is_kept(PlanCache(str(tmp_path / "lasting")))


def test_profile_without_a_label_asks_nobody(loaded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    write("")
    monkeypatch.setattr(cold, "ask_label", kernel.remove_profile)
    made = compile_request(Request("./mine.yaml"))
    assert not any(isinstance(step.op, SetExecLabel) for step in made.plan.inside)
    assert not made.is_passing


def test_command_that_loads_has_the_options_and_is_safe_for_a_shell() -> None:
    request = Request("mine", options=[("--write", "/srv/a b"), ("--set", "x=$(y)")])
    assert install_command(request, is_root=True) == "sandboxer policy install --write '/srv/a b' --set 'x=$(y)' mine"
    piped = install_command(request, is_root=False)
    assert piped.startswith("sandboxer export apparmor --write '/srv/a b'")
    assert piped.endswith("mine | sudo apparmor_parser --replace --skip-cache")


def test_session_over_a_directory_has_no_such_command() -> None:
    assert "a session without a directory" in install_command(Request("mine", kept=Kept("/srv/state", "/srv")), is_root=True)
    assert install_command(Request("mine", kept=Kept("/srv/state")), is_root=True) == "sandboxer policy install mine"

"""What is said about refusals of AppArmor, and that a label made of the patched profile grants them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sandboxer.compile.resolve import resolve
from sandboxer.kernel.audit.avc import ProfileRefusal
from sandboxer.learn.denials import explain_denials
from sandboxer.learn.labels.apparmor import Label, explain_apparmor, find_label, find_label_name
from sandboxer.learn.patch import Patch
from sandboxer.model.host import Host
from sandboxer.model.result import LabelDenial, Risk
from sandboxer.run.hearing.refused import THINGS_KEPT, RefusedLedger
from sandboxer.run.ledger import Ledger
from sandboxer.run.prepare import host_for, make_plan
from sandboxer.run.request import Request
from tests.learn.profiles import Place, known

HOST = Host(landlock_abi=7)
GROUND = "policies: [syscalls/application, filesystem/runtime, environment/plain]\n"
MADE, OTHER = "apparmor: {profile: generate}\n", "apparmor: {profile: other}\n"
OPEN = ProfileRefusal(1, "DENIED", "open", b"p", pid=7, process=b"job", denied="r", path=b"/srv/x")


@dataclass(frozen=True)
class Told:
    """The label of a profile, and what is said about refusals of it."""

    label: Label

    def all(self, *records: ProfileRefusal) -> list[tuple[LabelDenial, Patch]]:
        ledger: RefusedLedger[ProfileRefusal] = RefusedLedger()
        for record in records:
            ledger.add(record)
        return explain_apparmor(ledger, self.label)

    def one(self, record: ProfileRefusal) -> LabelDenial:
        ((denial, _),) = self.all(record)
        return denial


def made(place: Place, text: str, name: str = "mine") -> Told:
    place.profile(GROUND + text, name)
    policy = resolve(name).policy
    host = host_for(policy, HOST)
    return Told(find_label(policy, host, make_plan(Request(name), policy, host)))


@pytest.mark.parametrize(
    ("letters", "field", "risk"),
    [("r", "read", Risk.MEDIUM), ("wc", "write", Risk.HIGH), ("d", "write", Risk.HIGH), ("x", "execute", Risk.LOW)],
)
def test_file_that_nothing_grants_has_its_field_and_the_patched_label_grants_it(
    place: Place, tmp_path: Path, letters: str, field: str, risk: Risk
) -> None:
    target = tmp_path / "outside"
    target.mkdir()
    denial = made(place, MADE).one(replace(OPEN, denied=letters, path=bytes(target)))
    assert (denial.section, denial.risk, denial.path, denial.wanted) == ("filesystem", risk, str(target), letters)
    assert denial.patch == f'filesystem:\n  {field}:\n    - "{target}"'
    assert "add to " in denial.attempt
    rule = {"r": "r", "wc": "w", "d": "w", "x": "x"}[letters]
    assert rule in made(place, f"{MADE}{denial.patch}\n", "patched").label.granted(str(target))
    assert rule not in made(place, MADE).label.granted(str(target))


def test_rule_that_is_nearest_is_told_with_its_place(place: Place, tmp_path: Path) -> None:
    (tmp_path / "shown").mkdir()
    told = made(place, f"{MADE}filesystem: {{read: ['{tmp_path}/shown']}}\n")
    denial = told.one(replace(OPEN, denied="w", path=bytes(tmp_path / "shown/x")))
    assert denial.rule == f"the rules down to {tmp_path}/shown grant rk, and not w"
    assert denial.place is not None
    assert (denial.place.file, denial.place.line) == (".sandboxer/profiles/mine.yaml", 6)


def test_what_is_held_back_is_told_with_the_line_that_does(place: Place, tmp_path: Path) -> None:
    (tmp_path / "shown/kept").mkdir(parents=True)
    text = f"filesystem: {{write: ['{tmp_path}/shown'], read_only: ['{tmp_path}/shown/kept']}}\n"
    denial = made(place, MADE + text).one(replace(OPEN, denied="c", path=bytes(tmp_path / "shown/kept/x")))
    assert denial.rule.startswith(f"what lies at {tmp_path}/shown/kept is held back")
    assert denial.place is not None
    assert (denial.place.line, f"{tmp_path}/shown/kept" in denial.place.text) == (6, True)
    assert (denial.patch, denial.attempt) == ("", "take it out there: a denial wins over everything that is granted")


def test_what_the_sections_grant_is_for_the_author_of_a_profile_by_name(place: Place, tmp_path: Path) -> None:
    (tmp_path / "shown").mkdir()
    told = made(place, f"{OTHER}filesystem: {{write: ['{tmp_path}/shown']}}\n")
    denial = told.one(replace(OPEN, denied="wc", path=bytes(tmp_path / "shown/x")))
    assert (denial.section, denial.patch, denial.attempt) == ("apparmor", "", f'in other: "{tmp_path}/shown/x" w,')
    assert denial.place is not None
    assert denial.place.line == 5
    beside = told.one(replace(OPEN, path=bytes(tmp_path / "beside")))
    assert beside.patch == f'filesystem:\n  read:\n    - "{tmp_path}/beside"'
    assert beside.attempt.endswith(f'; in other: "{tmp_path}/beside" r,')


@pytest.mark.parametrize("path", [b"/srv/a\nb", b"/srv/\xff", b"/srv/$x", b"/srv/x?"])
def test_name_that_no_profile_can_hold_has_no_patch_and_is_escaped(place: Place, path: bytes) -> None:
    denial = made(place, MADE).one(replace(OPEN, path=path))
    assert (denial.patch, denial.path) == ("", "")
    assert denial.thing.isprintable()
    assert "grant what it lies in under read" in denial.attempt
    assert made(place, OTHER).one(replace(OPEN, path=path)).attempt


def test_directory_is_granted_by_its_name_without_the_slash(place: Place, tmp_path: Path) -> None:
    denial = made(place, MADE).one(replace(OPEN, path=bytes(tmp_path) + b"/"))
    assert denial.patch == f'filesystem:\n  read:\n    - "{tmp_path}"'


def test_socket_of_a_box_without_a_network_is_told_to_have_one(place: Place) -> None:
    record = replace(OPEN, operation="create", path=None, denied="create", family="inet", socket="stream")
    denial = made(place, MADE).one(record)
    assert (denial.words, denial.section, denial.patch) == (
        "create (create): inet stream",
        "network",
        "network:\n  mode: loopback",
    )
    given = made(place, f"{OTHER}network: {{mode: loopback}}\n").one(record)
    assert (given.section, given.attempt) == ("apparmor", "in other: network inet stream,")
    raw = made(place, MADE).one(replace(record, socket="raw"))
    assert (raw.section, raw.patch) == ("capabilities", "capabilities:\n  keep:\n    - net_raw")
    assert made(place, MADE).one(replace(record, family="vsock")).attempt == "nothing"


def test_capability_is_told_as_one_and_mounting_as_the_one_that_it_takes(place: Place) -> None:
    record = replace(OPEN, operation="capable", path=None, denied="", capability="chown")
    denial = made(place, MADE).one(record)
    assert (denial.words, denial.section, denial.risk) == ("capable: chown", "capabilities", Risk.HIGH)
    assert denial.patch == "capabilities:\n  keep:\n    - chown"
    held = made(place, f"{OTHER}capabilities: {{keep: [chown]}}\n").one(record)
    assert (held.section, held.attempt) == ("apparmor", "in other: capability chown,")
    mount = made(place, MADE).one(replace(OPEN, operation="mount", denied="", info="failed type match"))
    assert mount.patch == "capabilities:\n  keep:\n    - sys_admin"
    assert mount.rule.endswith("(failed type match)")


def test_other_processes_are_never_granted(place: Place) -> None:
    record = replace(OPEN, operation="signal", path=None, denied="send", signal="term", peer=b"unconfined")
    denial = made(place, MADE).one(record)
    assert denial.words == 'signal (send): term to "unconfined"'
    assert (denial.patch, denial.attempt) == ("", "nothing: it signals and traces only what is under the same label")


def test_what_nobody_knows_is_told_all_the_same(place: Place) -> None:
    denial = made(place, MADE).one(replace(OPEN, operation="io_uring", path=None, denied="sqpoll"))
    assert (denial.words, denial.section, denial.risk, denial.patch) == ("io_uring (sqpoll)", "apparmor", Risk.UNKNOWN, "")


def test_profile_that_the_kernel_makes_for_a_program_is_no_thing_that_was_wanted(place: Place) -> None:
    record = replace(OPEN, verdict="ALLOWED", operation="exec", denied="x", other=b"p//null-/srv/x")
    assert made(place, MADE).one(record).words == 'exec (x): "/srv/x"'
    assert made(place, MADE).one(replace(record, operation="link", denied="l")).words == 'link (l): "/srv/x" "p//null-/srv/x"'


def test_what_was_only_recorded_says_so(place: Place) -> None:
    assert not made(place, MADE).one(replace(OPEN, verdict="ALLOWED")).is_refused
    assert made(place, MADE).one(OPEN).is_refused


def test_program_that_may_not_be_executed_is_told_without_what_its_rules_would_grant(place: Place, tmp_path: Path) -> None:
    (tmp_path / "shown").mkdir()
    told = made(place, f"{MADE}filesystem: {{read: ['{tmp_path}/shown']}}\n")
    learning = replace(OPEN, verdict="ALLOWED", profile=b"p//null-/x", path=bytes(tmp_path / "shown/x"))
    beside = replace(learning, path=bytes(tmp_path / "beside"))
    unix = replace(learning, operation="create", path=None, denied="create", family="unix", socket="stream")
    assert [denial.path for denial, _ in told.all(learning, beside, unix)] == [f"{tmp_path}/beside"]


def test_further_things_of_one_kind_refer_to_the_first(place: Place) -> None:
    rows = [denial for denial, _ in made(place, MADE).all(*(replace(OPEN, path=b"/%d" % number) for number in range(20)))]
    assert (len(rows), rows[-1].is_rest, rows[-1].count, rows[-1].words) == (THINGS_KEPT + 1, True, 4, "open (r)")
    assert rows[-1].attempt.startswith("the same as for the other things")


def test_patch_of_all_has_what_the_label_lacks(place: Place) -> None:
    told = made(place, MADE)
    more = [(patch, denial.risk) for denial, patch in told.all(OPEN)]
    assert more
    found = explain_denials(Ledger(), told.label.policy, known("mine").settings, "x86_64", more=more)
    assert found.patch == 'filesystem:\n  read:\n    - "/srv/x"  # risk: medium'


def test_plan_without_a_label_has_no_name(place: Place) -> None:
    place.profile(GROUND, "plain")
    policy = resolve("plain").policy
    assert find_label_name(make_plan(Request("plain"), policy, host_for(policy, HOST))) == ""
    assert made(place, OTHER).label.name == "other"

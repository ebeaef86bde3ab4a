"""Who the job is: its ids inside, the host's ids that they stand for, and ranges of spare ones."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from sandboxer.model.host import BOX_ID
from tests.live.boxes import Box, enforced, in_own_mounts
from tests.live.needs import needs
from tests.live.users import Installation, Person

LOOK = """
import grp, pwd
seen["ids"] = [*os.getresuid(), *os.getresgid()]
seen["groups"] = os.getgroups()
seen["name"] = [pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name, os.environ["USER"], os.environ["LOGNAME"]]
seen["maps"] = [read(f"/proc/self/{name}_map").split() for name in ("uid", "gid")]
seen["setgroups"] = read("/proc/self/setgroups").strip()
"""
FIRST_SPARE = 700_000


def outside(person: Person, id: int) -> int:
    """The host's id of the job."""
    return BOX_ID if person.uid == 0 else id


def with_spare_ids(box: Box) -> Box:
    """The same box on a host where its person has a name and a range of ids; the files of this host are not touched."""
    person = box.person
    row = f"{'root' if person.uid == 0 else 'tester'}:{FIRST_SPARE}:65536\n"
    passwd = Path("/etc/passwd").read_text() + f"tester:x:{person.uid}:{person.gid}::{person.home}:/bin/sh\n"
    for name, text in (("passwd", passwd), ("subuid", row), ("subgid", row)):
        box.write(f"etc-{name}", text)
    mount = 'for name in passwd subuid subgid; do test -e "/etc/$name"; mount --bind "$1/etc-$name" "/etc/$name"; done'
    return replace(box, ahead=in_own_mounts(mount, box.place))


def test_job_is_one_user_that_stands_for_the_caller_or_for_an_id_of_its_own(box: Box) -> None:
    seen = box.look(LOOK + "write('made')")
    uid, gid = outside(box.person, box.person.uid), outside(box.person, box.person.gid)
    assert seen == {
        "ids": [1000] * 6,
        "groups": [] if box.person.uid == 0 else seen["groups"],
        "name": ["sandbox"] * 4,
        "maps": [["1000", str(uid), "1"], ["1000", str(gid), "1"]],
        "setgroups": "deny",
    }
    made = (box.place / "made").stat()
    assert (made.st_uid, made.st_gid) == (box.person.uid, box.person.gid)


def test_ids_and_name_inside_are_those_of_the_profile(box: Box) -> None:
    box.profile("ids: {user: 4711, group: 4712, name: worker}")
    seen = box.look(LOOK + "seen['own'] = [attempt(write, name) for name in ('made', '/tmp/made', '/home/sandbox/made')]")
    assert seen["ids"] == [4711] * 3 + [4712] * 3
    assert seen["name"] == ["worker"] * 4
    assert seen["own"] == ["ok"] * 3
    assert (box.place / "made").stat().st_uid == box.person.uid


def test_root_inside_is_root_by_name_only(box: Box) -> None:
    box.profile("ids: {user: 0, group: 0, name: root}")
    seen = box.look("""
write("made")
seen.update(uid=os.getuid(), own=attempt(os.chown, "made", 0, 0), other=attempt(os.chown, "made", 5, 5))
seen.update(user=attempt(os.setuid, 5), caps=status("CapEff"), mount=raw(165, 0, 0, 0, 0, 0))
""")
    assert seen == {"uid": 0, "own": "ok", "other": "EINVAL", "user": "EINVAL", "caps": ["0" * 16], "mount": "EPERM"}


def test_host_id_of_the_job_is_for_root_to_choose(box: Box) -> None:
    box.profile("ids: {outside: 12345}")
    seen = box.look(LOOK)
    _, report = box.told("true")
    unused = [line["what"] for line in report["enforcement"] if line["control"] == "ids" and line["status"] == "unused"]
    if box.person.uid == 0:
        assert seen["maps"] == [["1000", "12345", "1"]] * 2
        assert unused == []
    else:
        assert seen["maps"] == [["1000", str(box.person.uid), "1"], ["1000", str(box.person.gid), "1"]]
        assert len(unused) == 1
    box.profile("ids: {outside: 0}")
    assert "the job is never the host's root" in box.refusal()


@needs("root", "newuidmap")
def test_range_gives_the_job_ids_to_use(box: Box) -> None:
    box = with_spare_ids(box)
    box.profile("ids: {map: range, groups: [20, 30]}\ncapabilities: {keep: [chown], ambient: [chown]}")
    seen = box.look(
        LOOK
        + """
write("/tmp/made")
seen["chown"] = [attempt(os.chown, "/tmp/made", *ids) for ids in ((5, 6), (65000, 65000), (70000, 70000))]
write("made")
seen["project"] = os.stat("made").st_uid
"""
    )
    uid, gid = outside(box.person, box.person.uid), outside(box.person, box.person.gid)
    rows = [["0", str(FIRST_SPARE), "1000", "1000", str(id), "1", "1001", str(FIRST_SPARE + 1000), "64535"] for id in (uid, gid)]
    assert seen["maps"] == rows
    assert seen["ids"] == [1000] * 6
    assert seen["groups"] == [20, 30]
    assert seen["chown"] == ["ok", "ok", "EINVAL"]
    assert seen["project"] == 1000
    assert (box.place / "made").stat().st_uid == box.person.uid


@needs("root", "newuidmap")
def test_package_manager_like_user_change_works_under_a_range_alone(box: Box) -> None:
    text = "capabilities: {keep: [setuid, setgid], ambient: [setuid, setgid]}\n"
    look = "seen.update(group=attempt(os.setgid, 5), user=attempt(os.setuid, 5), now=[os.getuid(), os.getgid()])"
    box.profile(text)
    assert box.look(look) == {"group": "EINVAL", "user": "EINVAL", "now": [1000, 1000]}
    box = with_spare_ids(box)
    box.profile(text + "ids: {map: range}")
    assert box.look(look) == {"group": "ok", "user": "ok", "now": [5, 5]}


@needs("root")
def test_range_that_nobody_gave_is_refused_with_the_command_that_gives_one(box: Box) -> None:
    box.profile("ids: {map: range}")
    message = box.refusal()
    assert "a range of ids" in message
    assert "--add-subuids" in message


def test_range_that_nobody_gave_is_weakened_where_the_profile_allows_that(box: Box) -> None:
    box.profile("ids: {map: range, enforce: best_effort}")
    done, report = box.told("id", "-u")
    assert done.stdout == "1000\n"
    assert report["is_weakened"]
    assert "a range of ids" in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{groups: [5]}", "supplementary groups need a range of ids"),
        ("{name: Root}", "cannot name a user"),
        ("{user: -1}", "user"),
    ],
)
def test_ids_that_make_no_sense_are_refused(box: Box, text: str, message: str) -> None:
    box.profile(f"ids: {text}")
    assert message in box.refusal()


@needs("root")
def test_supplementary_groups_of_an_ordinary_caller_stay_and_are_reported(ordinary: Person, installation: Installation) -> None:
    words = ("setpriv", f"--reuid={ordinary.uid}", f"--regid={ordinary.gid}", "--groups=4321", "--inh-caps=-all", "--")
    box = Box(ordinary, installation, ordinary.directory(f"work-{os.urandom(4).hex()}"))
    box.profile()
    box = replace(box, ahead=words, person=replace(ordinary, uid=os.geteuid()))
    done = box.run(*box.python("print(len(os.getgroups()))"), options=["--json"])
    assert done.stdout == "1\n"
    assert "weakened: the caller's supplementary groups stay: 4321" in enforced(json.loads(done.stderr), "ids")


@needs("root")
def test_supplementary_groups_of_root_are_given_up(caller: Person, installation: Installation) -> None:
    box = Box(caller, installation, caller.directory(f"work-{os.urandom(4).hex()}"), ahead=("setpriv", "--groups=4321", "--"))
    box.profile()
    assert box.look("seen['groups'] = os.getgroups()") == {"groups": []}

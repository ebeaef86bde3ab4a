"""Capabilities as the job holds them: none, unless they are kept; and what they are good for inside."""

from __future__ import annotations

import os
import shutil

import pytest

from sandboxer.abi.capabilities import CAPABILITIES, SECUREBITS, Securebits
from tests.live.boxes import Box
from tests.live.needs import needs

LOOK = """
seen.update((name, status(name)[0]) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"))
seen["bits"] = libc.prctl(27, 0, 0, 0, 0)
"""
BIND = """
with socket.socket() as server:
    seen["bind"] = attempt(server.bind, ("127.0.0.1", 80))
with socket.socket() as server:
    seen["high"] = attempt(server.bind, ("127.0.0.1", 8080))
"""
NONE = "0" * 16
STRICT = Securebits(0xFF) & ~Securebits.KEEP_CAPS


def mask(*names: str) -> str:
    return f"{sum(1 << CAPABILITIES[name] for name in names):016x}"


def test_job_holds_no_capability_and_can_gain_none(box: Box) -> None:
    sets = dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), NONE)
    assert box.look(LOOK) == {**sets, "NoNewPrivs": "1", "bits": STRICT}


def test_kept_capabilities_are_bounded_and_ambient_ones_are_held(box: Box) -> None:
    box.profile(
        "capabilities: {keep: [net_bind_service, kill, chown], ambient: [net_bind_service], inheritable: [kill], drop: [chown]}"
    )
    both, held = mask("net_bind_service", "kill"), mask("net_bind_service")
    assert box.look(LOOK) == {
        "CapInh": both, "CapPrm": held, "CapEff": held, "CapBnd": both, "CapAmb": held, "NoNewPrivs": "1", "bits": STRICT,
    }  # fmt: skip


def test_low_port_can_be_bound_only_with_the_capability(box: Box) -> None:
    box.profile("network: {mode: loopback}")
    assert box.look(BIND) == {"bind": "EACCES", "high": "ok"}
    box.profile("network: {mode: loopback}\ncapabilities: {keep: [net_bind_service], ambient: [net_bind_service]}")
    assert box.look(BIND) == {"bind": "ok", "high": "ok"}


def test_kept_capability_that_is_not_ambient_is_not_held_by_the_command(box: Box) -> None:
    box.profile("network: {mode: loopback}\ncapabilities: {keep: [net_bind_service]}")
    assert box.look(BIND)["bind"] == "EACCES"


def test_capabilities_over_the_boxs_own_things_give_none_over_the_hosts(box: Box) -> None:
    every = "[" + ", ".join(name for name in CAPABILITIES if CAPABILITIES[name] <= 37) + "]"
    box.write("other")
    os.chown(box.place / "other", 4444, 4444) if os.geteuid() == 0 else None
    box.profile(f"capabilities: {{keep: {every}, ambient: {every}}}\nprocess: {{hostname: before}}")
    seen = box.look(f"""
seen["hostname"] = [attempt(socket.sethostname, "after"), os.uname().nodename]
seen["setuid"] = attempt(os.setuid, 0)
seen["other"] = attempt(os.chown, "other", 1000, 1000)
seen["own"] = attempt(os.chown, "/tmp", 1000, 1000)
seen["outside"] = [attempt(write, "/proc/sys/kernel/hostname"), attempt(os.kill, {os.getpid()}, 0)]
""")
    assert seen["hostname"][0] == "EPERM"  # the filter of the shipped policies still holds
    assert seen["own"] == "ok"
    assert seen["setuid"] == "EINVAL"
    assert seen["outside"] == ["EROFS", "ESRCH"]
    if os.geteuid() == 0:
        assert seen["other"] in ("EPERM", "EOVERFLOW", "EINVAL")


def test_name_of_the_host_can_be_set_with_the_capability_and_the_call(box: Box) -> None:
    box.profile("capabilities: {keep: [sys_admin], ambient: [sys_admin]}\nseccomp: {allow: [sethostname]}")
    name = os.uname().nodename
    seen = box.look("seen.update(set=attempt(socket.sethostname, 'after'), name=os.uname().nodename)")
    assert seen == {"set": "ok", "name": "after"}
    assert os.uname().nodename == name
    box.profile("seccomp: {allow: [sethostname]}")
    assert box.look("seen['set'] = attempt(socket.sethostname, 'after')") == {"set": "EPERM"}


def test_securebits_are_locked_and_can_be_left_off_one_by_one(box: Box) -> None:
    box.profile("capabilities: {securebits_off: [noroot]}")
    assert box.look(LOOK)["bits"] == STRICT & ~(SECUREBITS["noroot"] | SECUREBITS["noroot_locked"])


@needs("root")
def test_setuid_program_gives_nothing(box: Box) -> None:
    program = box.place / "id"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o6755)
    assert box.output(program, "-u") == "1000\n"
    assert box.output("/usr/bin/id", "-u") == "1000\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{ambient: [chown]}", "chown is in `ambient` and not in `keep`"),
        ("{keep: [net_bind_servic]}", "did you mean net_bind_service"),
        ("{keep: [CAP_EVERYTHING]}", "unknown capability"),
    ],
)
def test_capabilities_that_make_no_sense_are_refused(box: Box, text: str, message: str) -> None:
    box.profile(f"capabilities: {text}")
    assert message in box.refusal()

"""A job must not decide what the next run does: plans, configuration, profiles and the program are out of its reach."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.attack.seats import Seat, eventually

FORGE = """
import glob, hashlib, os
for path in glob.glob(os.environ["PLANS"] + "/*"):
    data = open(path, "rb").read()
    body = data[40:].replace(b"/home/sandbox", b"/home/another")
    assert body != data[40:]
    try:
        os.unlink(path)
        with open(path, "wb") as file:
            file.write(data[:8] + hashlib.blake2b(body, digest_size=32).digest() + body)
        os.chmod(path, 0o600)
        print("forged")
    except OSError as error:
        print(error.strerror)
"""
MOVE = "for d in .cache .cache/sandboxer .cache/sandboxer/plans; do mv $d ${d}2 && echo moved; done; true"


@pytest.fixture
def held(seat: Seat) -> Seat:
    """A seat whose plans are kept in the project, as pipelines do it, with the plan of one command."""
    seat.file(".cache/readme")
    env = {"XDG_CACHE_HOME": str(seat.place / ".cache")}
    options = ["--env", f"PLANS={seat.place}/.cache/sandboxer/plans"]
    plans = seat.place / ".cache/sandboxer/plans"

    def has_kept_one() -> bool:  # not while a file that it depends on, such as the installation, is but a moment old
        assert seat.run(["sh", "-c", "echo $HOME"], options=options, env=env).out == "/home/sandbox\n"
        return plans.exists() and any(plans.iterdir())

    assert eventually(has_kept_one)
    return seat


def test_plan_cache_in_the_project_cannot_be_forged(held: Seat) -> None:
    env = {"XDG_CACHE_HOME": str(held.place / ".cache")}
    options = ["--env", f"PLANS={held.place}/.cache/sandboxer/plans"]
    ended = held.run(["python3", "-c", FORGE], options=options, env=env)
    assert set(ended.out.split("\n")) == {"Read-only file system", ""}, ended
    assert held.run(["sh", "-c", MOVE], options=options, env=env).out == ""
    assert held.run(["sh", "-c", "echo $HOME"], options=options, env=env).out == "/home/sandbox\n"


def test_rest_of_the_cache_directory_can_be_written(held: Seat) -> None:
    ended = held.run(["sh", "-c", "mkdir .cache/pip && echo made"], env={"XDG_CACHE_HOME": str(held.place / ".cache")})
    assert ended.out == "made\n", ended


def test_configuration_that_a_job_could_make_refuses_the_start(seat: Seat) -> None:
    ended = seat.run(["true"], env={"XDG_CONFIG_HOME": str(seat.place / "settings")})
    assert ended.status == 125
    assert "the job could make it" in ended.err


def test_profile_by_path_cannot_be_changed_by_its_job(seat: Seat) -> None:
    profile = seat.file("mine.yaml", "kind: profile\nname: mine\ndescription: mine\nextends: [python]\n")
    ended = seat.run(["sh", "-c", "echo x > mine.yaml; mv mine.yaml other.yaml; echo x > new && cat new"], profile="./mine.yaml")
    assert ended.out == "x\n"
    assert Path(profile).read_text().startswith("kind: profile")


def test_directory_as_a_descriptor_is_refused(seat: Seat) -> None:
    """A profile may pass descriptors on; a directory would show the whole host, whatever the filesystem section says."""
    seat.profile("passing", "options: {fds: [7]}\n", extends="strict")
    script = 'cd "$1" && exec 7<"$2"; shift 2; exec "$@"'
    words = seat.words(["sh", "-c", "cat <&7 2>&1; ls /proc/self/fd/7/etc"], profile="passing", options=["--fd", "7"])
    wanted = seat.file("wanted", "wanted\n")
    done = seat.person.run(["sh", "-c", script, "sh", seat.place, "/", *words])
    assert (done.returncode, done.stdout) == (125, "")
    assert "is a directory" in done.stderr
    done = seat.person.run(["sh", "-c", script, "sh", seat.place, wanted, *words])
    assert done.stdout == "wanted\n"


def test_module_in_the_working_directory_is_not_loaded_by_us(seat: Seat) -> None:
    """`python -m` puts the working directory first; a job may have left a module of Python's own names there."""
    for name in ("json", "_posixsubprocess", "yaml", "subprocess"):
        seat.file(f"{name}.py", "raise SystemExit('planted')\n")
    words = [seat.installation.python, "-m", "sandboxer", "exec", "--no-cache", "--json", "--profile", "python", "--", "true"]
    done = seat.person.run(words, cwd=seat.place)
    assert (done.returncode, '"reason": "exited"' in done.stderr) == (0, True), done


@pytest.fixture
def kept(seat: Seat) -> Seat:
    """A seat whose profile keeps the changes of `tree` in the project, where the job may write."""
    for name in ("tree/file", "kept/upper/none", "kept/work/none", ".sandboxer/readme"):
        seat.file(name)
    for name in ("kept/upper/none", "kept/work/none"):
        (seat.place / name).unlink()
    seat.profile(
        "keep", "filesystem: {write: ['${cwd}'], overlay: [{path: '${cwd}/tree', changes: keep, keep: '${cwd}/kept'}]}\n"
    )
    return seat


def test_directories_of_kept_changes_cannot_be_led_elsewhere(kept: Seat) -> None:
    """The changes of the next run would be those of any two directories of the caller's, and `tree` would show them."""
    private, empty = (kept.person.directory(f"{name}-{os.urandom(4).hex()}") for name in ("private", "empty"))
    (private / "key").write_text("secret")
    lead = f"cd kept; mv upper u; mv work w; ln -s {private} upper; ln -s {empty} work; ls"
    assert kept.run(["sh", "-c", lead], profile="keep").out.split() == ["u", "upper", "w", "work"]
    ended = kept.run(["sh", "-c", "cat tree/key; echo planted > tree/planted"], profile="keep")
    assert (ended.status, ended.out) == (125, "")
    assert "kept/upper is a symbolic link" in ended.err
    assert os.listdir(private) == ["key"]


def test_kept_changes_in_the_project_are_there_in_the_next_run(kept: Seat) -> None:
    """The twin."""
    assert kept.run(["sh", "-c", "echo mine > tree/file"], profile="keep").status == 0
    assert kept.run(["cat", "tree/file"], profile="keep").out == "mine\n"
    assert (kept.place / "tree/file").read_text() == ""

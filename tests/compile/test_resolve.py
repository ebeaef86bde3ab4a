"""compile/resolve.py: from files to one policy."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

import pytest

import sandboxer
from sandboxer.compile.resolve import resolve
from sandboxer.compile.search import Caller, list_profiles
from sandboxer.controls import ROOMS
from sandboxer.model.policy import Enforce, Trait
from tests.compile.tree import FakeRoom, Tree


def test_policy_has_what_the_files_say(tree: Tree) -> None:
    tree.policy("p", "filesystem: {read: [/usr]}\n")
    tree.profile("top", "limits: {wall: 1h}\n")
    tree.profile("web", "extends: [top]\npolicies: [p]\nlimits: {wall: 10m, open_files: 9}\n")
    policy = tree.resolve("web").policy
    assert (policy.name, policy.description) == ("web", "a profile")
    assert [(source.name, source.kind) for source in policy.sources] == [("p", "policy"), ("top", "profile"), ("web", "profile")]
    assert policy.said["limits"].values("wall") == (600_000,)
    assert policy.said["filesystem"].values("read") == ("/usr",)
    assert policy.settings["limits"] == policy.said["limits"]
    assert policy.traits == {Trait.HAS_INIT}
    assert set(policy.said) == set(policy.settings) == set(policy.enforce) == {room.NAME for room in tree.rooms}


def test_place_of_a_value_is_where_it_was_written(tree: Tree) -> None:
    path = tree.policy("p", "filesystem:\n  read: [/usr]\n")
    tree.profile("web", "policies: [p]\n")
    (item,) = tree.resolve("web").policy.said["filesystem"].said["read"]
    assert (item.place.file, item.place.line, item.place.column) == (str(path), 5, 10)


def test_file_below_the_working_directory_is_resolved_by_its_path(tree: Tree) -> None:
    (tree.cwd / "web.yaml").write_text("kind: profile\nname: web\ndescription: x\nlimits: {wall: 1s}\n")
    policy = tree.resolve("./web.yaml").policy
    assert policy.said["limits"].said["wall"][0].place.file == "web.yaml"


# ── joining ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_order_of_parents_never_matters(tree: Tree) -> None:
    tree.policy("a", "filesystem: {read: [/a, /x], hide: [/h]}\nlimits: {wall: 1h}\nenvironment: {set: {A: one}}\n")
    tree.policy("b", "filesystem: {read: [/b, /x]}\nlimits: {wall: 1m}\nnetwork: {mode: host}\nprocess: {init: false}\n")
    tree.policy(
        "c", "network: {mode: loopback}\nprocess: {init: true, hostname: box}\nrestrict: []\n".replace("restrict: []\n", "")
    )
    found = []
    for order in itertools.permutations("abc"):
        tree.profile("web", f"policies: [{', '.join(order)}]\n")
        policy = tree.resolve("web").policy
        found.append((policy.said, policy.settings, policy.enforce, policy.traits))
    assert all(one == found[0] for one in found)
    said = found[0][0]
    assert said["filesystem"].values("read") == ("/a", "/b", "/x")
    assert (said["limits"].values("wall"), said["network"].values("mode"), said["process"].values("init")) == (
        (60_000,),
        ("host",),
        (True,),
    )


def test_enforce_required_wins_and_is_the_default(tree: Tree) -> None:
    tree.policy("soft", "limits: {enforce: best_effort}\nnetwork: {enforce: best_effort}\n")
    tree.policy("hard", "limits: {enforce: required}\n")
    tree.profile("web", "policies: [soft, hard]\n")
    enforce = tree.resolve("web").policy.enforce
    assert (enforce["limits"], enforce["network"], enforce["process"]) == (
        Enforce.REQUIRED,
        Enforce.BEST_EFFORT,
        Enforce.REQUIRED,
    )


def test_choices_that_differ_are_refused_with_both_places(tree: Tree) -> None:
    tree.policy("a", "process: {hostname: one}\n")
    tree.policy("b", "process: {hostname: two}\n")
    tree.profile("web", "policies: [a, b]\n")
    text = tree.refusal("web")
    assert "a.yaml:4:21 says `process: {hostname: one}`" in text
    assert "b.yaml:4:21 says `process: {hostname: two}`" in text
    tree.profile("web", "policies: [a, b]\nprocess: {hostname: three}\n")
    assert tree.said("web", "process", "hostname") == ("three",)


def test_choice_of_one_parent_holds_where_the_other_is_silent(tree: Tree) -> None:
    tree.policy("a", "process: {hostname: one}\n")
    tree.policy("b")
    tree.profile("web", "policies: [a, b]\n")
    assert tree.said("web", "process", "hostname") == ("one",)


def test_variable_that_two_parents_set_differently_is_refused(tree: Tree) -> None:
    tree.policy("a", "environment: {set: {A: one, B: b}}\n")
    tree.policy("b", "environment: {set: {A: two, B: b}}\n")
    tree.profile("web", "policies: [a, b]\n")
    assert "environment.set.A is said in two ways" in tree.refusal("web")
    tree.profile("web", "policies: [a, b]\nenvironment: {set: {A: mine}}\n")
    assert tree.said("web", "environment", "set") == (("A", "mine"), ("B", "b"))


# ── overrides ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def strict(tree: Tree) -> Tree:
    tree.profile(
        "strict",
        "limits: {wall: 10s}\nseccomp: {deny: [ptrace, mount]}\nprocess: {init: true}\nenvironment: {set: {A: x, B: z}}\n",
    )
    return tree


def test_limit_of_a_parent_is_raised_by_an_override_only(strict: Tree) -> None:
    strict.profile("web", "extends: [strict]\nlimits: {wall: 1h}\n")
    assert strict.said("web", "limits", "wall") == (10_000,)
    strict.profile("web", "extends: [strict]\noverride: [{path: limits.wall, value: 1h, reason: slow}]\n")
    policy = strict.resolve("web").policy
    assert policy.said["limits"].values("wall") == (3_600_000,)
    assert [(item.path, item.reason) for item in policy.overrides] == [("limits.wall", "slow")]


def test_override_comes_before_what_the_file_says_itself(strict: Tree) -> None:
    strict.profile("web", "extends: [strict]\noverride: [{path: limits.wall, value: 1h, reason: slow}]\nlimits: {wall: 1m}\n")
    assert strict.said("web", "limits", "wall") == (60_000,)


def test_deny_of_a_parent_is_removed_by_an_override(strict: Tree) -> None:
    strict.profile("web", "extends: [strict]\noverride: [{path: seccomp.deny, remove: [ptrace], reason: a debugger}]\n")
    assert strict.said("web", "seccomp", "deny") == ("mount",)


def test_variable_of_a_parent_is_removed_by_its_name(strict: Tree) -> None:
    strict.profile("web", "extends: [strict]\noverride: [{path: environment.set, remove: [A], reason: x}]\n")
    assert strict.said("web", "environment", "set") == (("B", "z"),)


def test_override_ends_with_its_day(strict: Tree) -> None:
    text = "extends: [strict]\noverride: [{{path: limits.wall, value: 1h, reason: slow, expires: {}}}]\n"
    strict.profile("web", text.format("2030-06-15"))
    resolved = strict.resolve("web")
    assert (resolved.valid_until, resolved.policy.overrides[0].expires) == ("2030-06-16", "2030-06-15")
    strict.profile("web", text.format("2030-06-14"))
    assert "expired on 2030-06-14" in strict.refusal("web")


def test_override_against_one_parent_does_not_bind_another(strict: Tree) -> None:
    strict.profile("loose", "extends: [strict]\noverride: [{path: limits.wall, value: 1h, reason: slow}]\n")
    strict.profile("web", "extends: [strict, loose]\n")
    assert strict.said("web", "limits", "wall") == (10_000,)


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("{path: limits.memory, value: 1G, reason: x}", "no parent says limits.memory"),
        ("{path: seccomp.deny, remove: [fork], reason: x}", "no parent says `fork`"),
    ],
)
def test_override_of_what_no_parent_says_is_refused(strict: Tree, override: str, what: str) -> None:
    strict.profile("web", f"extends: [strict]\noverride: [{override}]\n")
    assert what in strict.refusal("web")


# ── layers ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def wide(tree: Tree) -> Tree:
    tree.profile(
        "wide",
        "filesystem: {read: [/usr, /data/x]}\nnetwork: {mode: host}\nlimits: {wall: 1h}\nseccomp: {allow: [read, write]}\n",
    )
    return tree


def test_layer_in_place_narrows(wide: Tree) -> None:
    wide.profile("web", "extends: [wide]\nrestrict: [{filesystem: {read: [/data]}, network: {mode: none}, limits: {wall: 2h}}]\n")
    policy = wide.resolve("web").policy
    assert policy.said["filesystem"].values("read") == ("/data/x",)
    assert (policy.said["network"].values("mode"), policy.said["limits"].values("wall")) == (("none",), (3_600_000,))


def test_layer_by_name_narrows_after_what_the_profile_says_itself(wide: Tree) -> None:
    wide.policy("no-network", "network: {mode: none}\n")
    wide.profile("web", "extends: [wide]\nrestrict: [no-network]\nnetwork: {mode: host}\n")
    assert wide.said("web", "network", "mode") == ("none",)


def test_layer_with_an_empty_list_leaves_nothing(wide: Tree) -> None:
    wide.profile("web", "extends: [wide]\nrestrict: [{filesystem: {read: []}}]\n")
    assert wide.said("web", "filesystem", "read") == ()


def test_layer_of_a_parent_binds_the_child(wide: Tree) -> None:
    wide.profile("narrow", "extends: [wide]\nrestrict: [{network: {mode: loopback}}]\n")
    wide.profile("web", "extends: [narrow]\nnetwork: {mode: host}\n")
    assert wide.said("web", "network", "mode") == ("loopback",)


def test_layer_never_widens(wide: Tree) -> None:
    wide.profile(
        "web",
        "restrict: [{filesystem: {read: [/]}, network: {mode: host}, process: {init: false}, limits: {enforce: best_effort}}]\n",
    )
    policy = wide.resolve("web").policy
    assert all(
        policy.said[name].values(row) == () for name, row in (("filesystem", "read"), ("network", "mode"), ("process", "init"))
    )
    assert policy.enforce["limits"] is Enforce.REQUIRED


def test_room_that_keeps_layers_apart_gets_them_whole(wide: Tree) -> None:
    wide.policy("few", "seccomp: {allow: [read]}\n")
    wide.profile("web", "extends: [wide]\nrestrict: [few, {seccomp: {allow: []}}]\n")
    policy = wide.resolve("web").policy
    assert policy.said["seccomp"].values("allow") == ("read", "write")
    assert {layer.name.split(" ")[0]: layer.sections["seccomp"].values("allow") for layer in policy.layers} == {
        "few": ("read",),
        "restrict": (),
    }
    room = next(room for room in wide.rooms if room.NAME == "seccomp")
    assert isinstance(room, FakeRoom)
    assert room.seen[-1].layers == policy.layers


def test_layer_that_says_a_choice_is_refused(wide: Tree) -> None:
    wide.policy("names", "process: {hostname: x}\n")
    wide.profile("web", "extends: [wide]\nrestrict: [names, {filesystem: {working_directory: /}}]\n")
    text = wide.refusal("web")
    assert "may not say process.hostname" in text
    assert "may not say filesystem.working_directory" in text


def test_layer_that_declares_parameters_is_refused(wide: Tree) -> None:
    wide.policy("own", "params: {t: {type: duration, default: 1s}}\n")
    wide.profile("web", "extends: [wide]\nrestrict: [own]\n")
    assert "a restrict layer declares no parameters" in wide.refusal("web")


def test_layer_may_use_the_parameters_of_the_profile(wide: Tree) -> None:
    wide.policy("capped", 'limits: {wall: "${t}"}\n')
    wide.profile("web", "extends: [wide]\nparams: {t: {type: duration, default: 1s}}\nrestrict: [capped]\n")
    assert wide.said("web", "limits", "wall") == (1000,)


# ── parameters ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_parameter_reaches_every_file(tree: Tree) -> None:
    tree.policy("p", "limits:\n  memory: ${memory}\n  open_files: ${files}\n")
    tree.profile("web", "policies: [p]\nparams: {memory: {type: bytes, default: 1G}, files: {type: integer, default: 7}}\n")
    assert tree.said("web", "limits", "memory") == (1 << 30,)
    assert tree.said("web", "limits", "memory", memory="2G") == (2 << 30,)
    assert tree.resolve("web", files="9").policy.params == {"files": "9", "memory": "1G"}


def test_child_gives_a_parameter_of_its_parent_another_default(tree: Tree) -> None:
    tree.profile("top", "params: {memory: {type: bytes, default: 1G}}\nlimits:\n  memory: ${memory}\n")
    tree.profile("web", "extends: [top]\nparams: {memory: {type: bytes, default: 3G}}\n")
    assert tree.said("web", "limits", "memory") == (3 << 30,)


def test_parameter_declared_twice_must_be_the_same(tree: Tree) -> None:
    for name, size in (("a", "1G"), ("b", "2G")):
        tree.policy(name, f"params: {{memory: {{type: bytes, default: {size}}}}}\n")
    tree.profile("web", "policies: [a, b]\n")
    assert "declare the parameter 'memory' differently" in tree.refusal("web")


def test_value_of_a_wrong_shape_is_found_after_it_was_expanded(tree: Tree) -> None:
    tree.profile("web", 'params: {net: {type: string, default: wide}}\nnetwork: {mode: "${net}"}\n')
    text = tree.refusal("web")
    assert "unknown value 'wide'" in text
    assert "web.yaml:5:17" in text
    assert tree.said("web", "network", "mode", net="host") == ("host",)


def test_missing_value_is_told_once(tree: Tree) -> None:
    tree.profile("web", 'params: {t: {type: duration}}\nlimits: {wall: "${t}"}\n')
    assert tree.refusal("web").count(":") < 12
    assert tree.said("web", "limits", "wall", t="1s") == (1000,)


def test_facts_about_the_caller_are_known_everywhere(tree: Tree) -> None:
    tree.profile("web", 'filesystem: {read: ["${cwd}/a", "${home}", "~/b"]}\n')
    assert set(tree.said("web", "filesystem", "read")) == {f"{tree.cwd}/a", str(tree.home), "~/b"}


# ── groups of system calls ────────────────────────────────────────────────────────────────────────────────────────────


def test_group_is_loaded_when_the_room_asks_for_it(tree: Tree) -> None:
    tree.policy("syscalls/net", "policies: [syscalls/base]\nseccomp: {allow: [socket]}\n")
    tree.policy("syscalls/base", "seccomp: {allow: [read]}\n")
    tree.profile("web")
    tree.resolve("web")
    room = next(room for room in tree.rooms if room.NAME == "seccomp")
    assert isinstance(room, FakeRoom)
    groups = room.seen[-1].groups
    assert sorted(groups) == ["base", "net"]
    assert groups["net"].values("allow") == ("read", "socket")
    assert groups.get("nothing") is None


# ── everything together ───────────────────────────────────────────────────────────────────────────────────────────────


def test_problems_of_all_rooms_are_told_together_and_in_order(tree: Tree) -> None:
    tree.profile(
        "web",
        """\
        limits:
          wall: ${nothing}
        filesystem:
          read: ["${nobody}"]
        override: [{path: limits.memory, value: 1G, reason: x}]
        """,
    )
    text = tree.refusal("web", ghost="1")
    lines = [part.split(":")[1] for part in text.split("\n") if "web.yaml:" in part]
    assert lines == ["5", "7", "8"]
    assert "no parameter 'ghost' to set" in text


def test_trail_names_every_file_that_was_read(tree: Tree) -> None:
    path = tree.policy("p")
    tree.profile("web", "policies: [p]\n")
    assert str(path) in {looked.path for looked in tree.resolve("web").trail if looked.is_found}


def test_nothing_but_resolve_makes_a_policy() -> None:
    package = Path(sandboxer.__file__).parent
    makers = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                if name == "Policy":
                    makers.add(str(path.relative_to(package)))
    assert makers == {"compile/resolve.py"}


CALLER = Caller("/home/joe/project", "/home/joe", "joe", 1000, 1000)


@pytest.mark.parametrize("name", [entry.name for entry in list_profiles(CALLER) if entry.origin.value == "shipped"])
def test_shipped_profile_resolves(name: str) -> None:
    policy = resolve(name, caller=CALLER).policy
    assert policy.name == name
    assert set(policy.settings) == {room.NAME for room in ROOMS}
    # Landlock is a second wall, and no profile may need a newer kernel for it than for the first. Memory of the whole box takes a
    # control group, which an ordinary user may not have.
    best_effort = {name for name, enforce in policy.enforce.items() if enforce is Enforce.BEST_EFFORT}
    assert best_effort - {"limits"} == {"landlock"}


def test_shipped_profile_is_the_same_whoever_comes_first() -> None:
    assert resolve("python", caller=CALLER).policy == resolve("python", caller=CALLER).policy

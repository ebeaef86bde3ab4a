"""What the SELinux domain of a box refused in a run, met with the policy: which section is about it, and what would allow it.

A module that was made from the policy is known here, rule by rule; of a domain by name nothing is, and there the rule is told
that it lacks. SELinux knows types: where the mounts show a thing and its type is in no module, no section can grant it. Another
label for it helps, and that is told as a command, never as a patch.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandboxer.abi.capabilities import CAPABILITIES
from sandboxer.compile.lower import find_scene
from sandboxer.controls import ROOMS
from sandboxer.controls.lsm import selinux
from sandboxer.controls.lsm.selinux import SHARED_TYPE
from sandboxer.controls.lsm.selinux.types import DEVICES, TREES
from sandboxer.controls.lsm.sockets import NET_RAW, has_network
from sandboxer.controls.paths import covers
from sandboxer.controls.room import Scene
from sandboxer.kernel.audit.avc import ContextRefusal
from sandboxer.kernel.paths import find_inode
from sandboxer.learn.answer import (
    CAPABILITY,
    LOOPBACK,
    OF_FILESYSTEM,
    SEE_ABOVE,
    SHOWN_BYTES,
    UNJUDGED,
    Answer,
    is_plain,
    patch_of,
)
from sandboxer.learn.patch import Grant, Patch, home_of
from sandboxer.learn.quote import printable, quote
from sandboxer.model.host import Host
from sandboxer.model.op import LabelMounts, SetExecContext
from sandboxer.model.place import Place
from sandboxer.model.plan import Plan
from sandboxer.model.policy import Policy
from sandboxer.model.result import LabelDenial, Risk
from sandboxer.run.hearing.refused import Refused, RefusedLedger

FILESYSTEM, NETWORK, KEPT, DEVICE = "filesystem", "network", "capabilities", "devices"
_FILES = ("file", "dir", "lnk_file", "chr_file", "blk_file", "fifo_file", "sock_file", "memfd_file")
_CAPABILITIES = ("capability", "capability2", "cap_userns", "cap2_userns")
_EXECUTES = frozenset(("execute", "execute_no_trans", "entrypoint", "execmod"))
_READS = frozenset(("getattr", "open", "read", "search", "lock", "ioctl", "map", "watch"))
_MOUNTS = frozenset(("mount", "remount", "unmount", "mounton"))
_WITH_NETWORK = ("tcp_socket", "udp_socket", "netlink_route_socket")
_RAW = ("rawip_socket", "packet_socket", "icmp_socket")
_LOOPBACK = Grant(NETWORK, "mode", "loopback", is_one=True)
_ALLOW = re.compile(r"\(allow (\S+) (\S+) \((\S+) \(([^()]*)\)\)\)")
_MEMBERS = re.compile(r"\(typeattributeset (\S+) \(([^()]*)\)\)")


@dataclass(frozen=True, slots=True)
class Domain:
    """What the explanation reads: the policy, the types of the command and of the box's own files, and the rules of the module.

    is_made: the domain is that of the module; else `rules` is empty.
    """

    policy: Policy
    scene: Scene
    name: str
    file_type: str
    is_made: bool
    place: Place
    rules: Mapping[tuple[str, str], frozenset[str]]

    def granted(self, kind: str, target_class: str) -> frozenset[str]:
        """The permissions over things of a type and a class."""
        return self.rules.get((kind, target_class), frozenset())


def read_rules(module: str, domain: str) -> dict[tuple[str, str], frozenset[str]]:
    """What a module of ours grants its domain, by type and class. An attribute of the machine's policy stays a name."""
    members: dict[str, tuple[str, ...]] = {}
    for name, types in _MEMBERS.findall(module):
        members[name] = (*members.get(name, ()), *types.split())
    rules: dict[tuple[str, str], frozenset[str]] = {}
    for source, target, kind, permissions in _ALLOW.findall(module):
        for item in members.get(target, (target,)) if source == domain else ():
            rules[item, kind] = rules.get((item, kind), frozenset()) | set(permissions.split())
    return rules


def find_context(plan: Plan) -> str:
    """The SELinux context that a plan gives to its command, `PAIR` where its categories will be; empty: none."""
    return next((str(step.op.context) for step in plan.inside if isinstance(step.op, SetExecContext)), "")


def find_domain(policy: Policy, host: Host, plan: Plan) -> Domain:
    """What is known of the domain of a plan."""
    said = selinux.settings(policy)
    scene = find_scene(policy, host, ROOMS)
    files = next((str(step.op.context) for step in plan.inside if isinstance(step.op, LabelMounts)), "")
    is_made = said.type == selinux.GENERATE
    name = type_of(find_context(plan))
    rules = read_rules(selinux.make_module(scene).text, name) if is_made else {}
    place = said.places.get("type") or home_of(policy, selinux.NAME)
    return Domain(policy, scene, name, type_of(files), is_made, place, rules)


def type_of(context: str) -> str:
    """The third part of a context."""
    return _part(context, 2)


def _part(context: str, number: int) -> str:
    """One of user, role, type and level; empty where there is none."""
    return [*context.split(":", 3), "", "", ""][number]


def _categories(context: str) -> frozenset[str]:
    """Those of a level that names each, as a box's does; a range from low to high, as a login has one, is none."""
    level = _part(context, 3)
    return frozenset() if "-" in level else frozenset(level.partition(":")[2].split(",")) - {""}


def _beyond(access: ContextRefusal) -> frozenset[str]:
    """What the box lacks of the categories of what it wanted."""
    return _categories(access.target) - _categories(access.source)


def explain_selinux(ledger: RefusedLedger[ContextRefusal], domain: Domain) -> list[tuple[LabelDenial, Patch]]:
    """Every row of a run, explained."""
    return [_explain(row, domain) for row in ledger.rows]


def _explain(row: Refused[ContextRefusal], domain: Domain) -> tuple[LabelDenial, Patch]:
    access = row.access
    answer = _answer(access, domain)
    patch = Patch("", SEE_ABOVE) if row.is_rest else patch_of(answer, domain.policy)
    if answer.grants and answer.attempt and not row.is_rest:
        patch = Patch(patch.yaml, f"{patch.attempt}; {answer.attempt}", granted=patch.granted)
    denial = LabelDenial(
        operation=access.target_class,
        wanted=" ".join(access.permissions),
        is_refused=access.is_refused,
        target=access.target,
        thing=_thing(access),
        path=_path(access),
        count=row.count,
        is_rest=row.is_rest,
        pid=row.pid,
        process=printable(row.name.decode("utf-8", "backslashreplace")),
        rule=answer.rule,
        section=answer.section,
        place=answer.place,
        patch=patch.yaml,
        attempt=patch.attempt,
        risk=answer.judgement.risk,
        risk_why=answer.judgement.why,
    )
    return denial, patch


def _answer(access: ContextRefusal, domain: Domain) -> Answer:
    kind, name = access.target_class, access.permissions[0]
    is_own = type_of(access.target) == domain.name and not _beyond(access)
    is_of_process = _part(access.target, 1) != "object_r"
    if kind in _CAPABILITIES and name in CAPABILITIES:
        return _of_capability(name, access, domain)
    if _MOUNTS.intersection(access.permissions):
        return _of_mount(access, domain)
    if kind.endswith("_socket") and is_own:
        return _of_network(access, domain)
    if _is_handed_in(access, domain, is_of_others=is_of_process and not is_own):
        words = "it is of whoever started the box, or handed it in: what is handed in can be used, and not opened by a name"
        attempt = "have the job use the descriptor, and not /dev/stdout, /dev/stderr, /dev/tty or /proc/self/fd/N"
        return Answer(selinux.NAME, words, domain.place, (), UNJUDGED, attempt if domain.is_made else _to_author(access, domain))
    if kind in _FILES and not is_of_process:
        return _of_files(access, domain)
    if is_of_process and not is_own and domain.is_made:
        words = f"{type_of(access.target)} is the domain of processes outside of the box, and no module is about those"
        attempt = "nothing: it signals, traces and looks at only what is in its own domain, with its own categories"
        return Answer(selinux.NAME, words, domain.place, (), UNJUDGED, attempt)
    return _of_label(f"{_subject(domain)} has no rule that allows it", access, domain)


def _is_handed_in(access: ContextRefusal, domain: Domain, *, is_of_others: bool) -> bool:
    """Whether it is something that a box gets from outside by a descriptor alone."""
    wanted, granted = set(access.permissions), domain.granted(type_of(access.target), access.target_class)
    is_inherited = access.target_class in ("fd", "fifo_file") or access.target_class.endswith("_socket")
    if is_of_others and is_inherited:
        return not wanted & {"connectto", "sendto"}
    return access.device == "devpts" or ("open" in wanted and "read" in granted and "open" not in granted)


def _of_label(rule: str, access: ContextRefusal, domain: Domain) -> Answer:
    """What no section is about."""
    return Answer(selinux.NAME, rule, domain.place, (), UNJUDGED, "" if domain.is_made else _to_author(access, domain))


def _subject(domain: Domain) -> str:
    return "the module" if domain.is_made else f"the machine's policy for {domain.name}"


def _to_author(access: ContextRefusal, domain: Domain) -> str:
    """The rule for a policy that somebody else writes, in CIL."""
    target = "self" if type_of(access.target) == domain.name else type_of(access.target)
    return f"in a module of its own: (allow {domain.name} {target} ({access.target_class} ({' '.join(access.permissions)})))"


def _of_capability(name: str, access: ContextRefusal, domain: Domain) -> Answer:
    """The module grants those that the box holds, in its user namespace; the first one's are nobody's."""
    attempt = "" if domain.is_made else _to_author(access, domain)
    if not access.target_class.endswith("_userns"):
        words = f"{name} is asked for in the first user namespace, where a box holds nothing"
        return Answer(selinux.NAME, words, domain.place, (), CAPABILITY, attempt)
    if domain.scene.capabilities >> CAPABILITIES[name] & 1:
        words = f"the box holds {name}, and {_subject(domain)} does not grant it"
        return Answer(selinux.NAME, words, domain.place, (), CAPABILITY, attempt)
    words = f"the box holds no {name}; a user namespace that the job makes for itself gives none in a domain"
    return Answer(KEPT, words, home_of(domain.policy, KEPT), (Grant(KEPT, "keep", name),), CAPABILITY, attempt)


def _of_mount(access: ContextRefusal, domain: Domain) -> Answer:
    """Only over its own places, and with the capability for it."""
    attempt = "" if domain.is_made else _to_author(access, domain)
    is_held = bool(domain.scene.capabilities >> CAPABILITIES["sys_admin"] & 1)
    if is_held or type_of(access.target) != domain.file_type:
        words = f"a box mounts its own file systems over its own places, and not {type_of(access.target)}"
        return Answer(selinux.NAME, words, domain.place, (), CAPABILITY, attempt)
    words = "the box holds no sys_admin, without which no module lets it mount"
    return Answer(KEPT, words, home_of(domain.policy, KEPT), (Grant(KEPT, "keep", "sys_admin"),), CAPABILITY, attempt)


def _of_network(access: ContextRefusal, domain: Domain) -> Answer:
    kind, is_up = access.target_class, has_network(domain.scene)
    attempt = "" if domain.is_made else _to_author(access, domain)
    grants = () if is_up else (_LOOPBACK,)
    if kind in _RAW and not domain.scene.capabilities & NET_RAW:
        words = f"{_subject(domain)} has {kind} only where the box has a network and holds net_raw"
        grants = (*grants, Grant(KEPT, "keep", "net_raw"))
        return Answer(KEPT, words, home_of(domain.policy, KEPT), grants, CAPABILITY, attempt)
    if kind not in (*_WITH_NETWORK, *_RAW):
        words = f"no module lets a box make sockets of the class {kind}"
        return Answer(selinux.NAME, words, domain.place, (), UNJUDGED, "nothing" if domain.is_made else attempt)
    if grants:
        words = "the box has no network, and its domain no rule for such sockets"
        wider = "; ".join(filter(None, ("`host` in its place to reach others", attempt)))
        return Answer(NETWORK, words, home_of(domain.policy, NETWORK), grants, LOOPBACK, wider)
    return _of_label(f"the box has a network, and {_subject(domain)} does not grant that of such sockets", access, domain)


def _of_files(access: ContextRefusal, domain: Domain) -> Answer:
    kind = type_of(access.target)
    fields = _fields(access.permissions)
    judgement = max((OF_FILESYSTEM[name] for name in fields), key=lambda found: list(Risk).index(found.risk))
    beyond = _beyond(access)
    if beyond and kind in (domain.name, domain.file_type, SHARED_TYPE):
        words = f"it has the categories {','.join(sorted(beyond))}, which this box has not"
        is_shared = kind == SHARED_TYPE
        attempt = f"if every box is to use it: {_relabel('-l s0', access)}" if is_shared else "nothing: it is another box's"
        return Answer(selinux.NAME, words, domain.place, (), judgement, attempt)
    if not domain.is_made:
        words = f"the machine's policy for {domain.name} does not grant it over the type {kind}"
        return Answer(selinux.NAME, words, domain.place, (), judgement, _to_author(access, domain))
    if set(access.permissions) <= domain.granted(kind, access.target_class):
        words = f"the module grants it over the type {kind}: a constraint of the machine's own policy does not"
        return Answer(selinux.NAME, words, domain.place, (), judgement)
    if kind == domain.file_type and "execute" in fields:
        words = "none of the box's own places may have programs"
        attempt = "`execute: true` for the tmpfs or overlay that it lies in"
        return Answer(FILESYSTEM, words, _home(access, domain), (), judgement, attempt)
    if kind == domain.file_type:
        return _of_label("no module lets a box do that, even to its own files", access, domain)
    if kind == "proc_net_t" and not has_network(domain.scene):
        words = "the box has no network, and its domain no rule for what /proc says of one"
        return Answer(NETWORK, words, home_of(domain.policy, NETWORK), (_LOOPBACK,), LOOPBACK)
    if access.target_class == "chr_file" and kind in DEVICES.values():
        return _of_device(kind, access, domain)
    return _of_type(kind, fields, access, domain)


def _of_device(kind: str, access: ContextRefusal, domain: Domain) -> Answer:
    paths = [path for path, name in DEVICES.items() if name == kind]
    words = f"the box is not given {' or '.join(paths)}, and its domain not the type {kind}"
    grants = (Grant(DEVICE, "allow", json.dumps(paths[0])),) if len(paths) == 1 else ()
    attempt = "" if grants else f"the one that it is, under `{DEVICE}.allow`"
    return Answer(DEVICE, words, home_of(domain.policy, DEVICE), grants, UNJUDGED, attempt)


def _of_type(kind: str, fields: tuple[str, ...], access: ContextRefusal, domain: Domain) -> Answer:
    """A thing of the host that the mounts show, and whose type the module lacks, or has for less."""
    judgement = max((OF_FILESYSTEM[name] for name in fields), key=lambda found: list(Risk).index(found.risk))
    wanted, path = " and ".join(fields), _host_path(access)
    trees = [tree.path for tree in TREES if kind in (tree.run if "execute" in fields else tree.read) and "write" not in fields]
    if kind == SHARED_TYPE or trees:
        where = "no such directory" if kind == SHARED_TYPE else f"nothing in {' or '.join(trees)}"
        words = f"the box is shown {where} to {wanted}, so the module does not grant that over the type {kind}"
        is_there = any(covers(tree, path) for tree in trees) if trees else not any(covers(tree.path, path) for tree in TREES)
        grants = tuple(Grant(FILESYSTEM, name, json.dumps(path)) for name in fields) if path and is_there else ()
        if grants or not trees:
            attempt = "" if grants else f"grant what it lies in under {', '.join(fields)}"
            return Answer(FILESYSTEM, words, _home(access, domain), grants, judgement, attempt)
    elif access.device in ("proc", "sysfs"):
        words = (
            f"no module has the type {kind} to {wanted}: it is of what the kernel says of the whole machine, or a setting of it"
        )
        return Answer(selinux.NAME, words, domain.place, (), judgement, "nothing")
    else:
        words = f"the mounts show it, and no module has the type {kind} to {wanted}"
    mend = _relabel(f"-t {SHARED_TYPE}", access)
    attempt = f"if it is the box's to use: {mend}; or `overlay` for the directory that it lies in"
    return Answer(selinux.NAME, words, domain.place, (), judgement, attempt)


def _fields(permissions: Iterable[str]) -> tuple[str, ...]:
    """The fields of `filesystem` that permissions are about."""
    wanted = set(permissions)
    found = []
    if wanted & _EXECUTES:
        found.append("execute")
    if wanted & _READS and not wanted & _EXECUTES:
        found.append("read")
    if wanted - _READS - _EXECUTES:
        found.append("write")
    return tuple(found)


def _home(access: ContextRefusal, domain: Domain) -> Place:
    """The line that shows what it lies in, where that is known."""
    path = _path(access)
    above = [item for item in domain.scene.shown if path and item.place and covers(item.path, path)]
    nearest = max(above, key=lambda item: len(item.path), default=None)
    return nearest.place if nearest and nearest.place else home_of(domain.policy, FILESYSTEM)


def _path(access: ContextRefusal) -> str:
    """Where a file is; empty where only its name was told, which is the usual case."""
    path = access.path or b""
    return path.decode() if access.target_class in _FILES and is_plain(path) else ""


def _host_path(access: ContextRefusal) -> str:
    """Where it is on the host too, as far as can be told."""
    path = _path(access)
    return path if path and access.inode and find_inode(path.encode()) == access.inode else ""


def _relabel(words: str, access: ContextRefusal) -> str:
    """A command that gives a file another label, and follows no link: the job may have put one there since."""
    path = _host_path(access)
    file = shlex.quote(path) if path else "FILE"
    where = f" (find DIRECTORY -inum {access.inode})" if access.inode and not path else ""
    return f"chcon -h{'R' if access.target_class == 'dir' else ''} {words} {file}{where}"


def _thing(access: ContextRefusal) -> str:
    """What was wanted, for people. What is the box's own needs no context."""
    is_own = access.target == access.source
    found = [] if access.path is None else [quote(access.path[:SHOWN_BYTES], is_whole=len(access.path) <= SHOWN_BYTES)]
    if access.port:
        found.append(f"port {access.port}")
    kind = type_of(access.target) + (f":{_part(access.target, 3)}" if _categories(access.target) else "")
    if not is_own:
        found.append(f"({kind})" if found else kind)
    return " ".join(found)

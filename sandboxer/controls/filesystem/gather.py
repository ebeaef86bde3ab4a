"""Settings met with a host's facts: what the box shows of the host, what is empty, and what is denied. No mounts yet."""

from __future__ import annotations

from dataclasses import replace

from sandboxer.controls.filesystem.fields import ACCESS
from sandboxer.controls.filesystem.pieces import Cover, NewLink
from sandboxer.controls.filesystem.settings import Placed, Settings
from sandboxer.controls.filesystem.tree import Access, Empty, Given, Show, Tree
from sandboxer.controls.paths import Followed, covers, fact_of, follow, parts
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.host import Host, PathKind
from sandboxer.model.place import Place

ABSENT = (PathKind.MISSING, PathKind.UNREADABLE)
_RIGHTS = {"read": Access.READ, "execute": Access.READ | Access.EXECUTE, "write": Access.READ | Access.WRITE}
_ELSEWHERE = ("/proc", "/dev")  # filled by `proc` and by the section devices


class Gathering:
    """The tree of the box while it is gathered, step by step, with every problem that is met on the way.

    frozen: paths of the box that stay read-only. hidden: those that are covered.
    written: host trees that jobs under this policy may change. absent, not_shown, makeable, replaceable, unused: see Layout.
    """

    def __init__(self, settings: Settings, host: Host) -> None:
        self.settings = settings
        self.host = host
        self.tree = Tree(host)
        self.links: dict[str, tuple[str, Place]] = {}
        self.new_links: dict[str, NewLink] = {}
        self.frozen: dict[str, Place] = {}
        self.hidden: dict[str, Cover] = {}
        self.absent: list[tuple[str, Place]] = []
        self.not_shown: list[tuple[str, Place]] = []
        self.makeable: list[tuple[str, Place]] = []
        self.replaceable: list[tuple[str, Place]] = []
        self.unused: list[tuple[str, Place]] = []
        self.problems: list[Problem] = []
        self.written: tuple[str, ...] = ()

    def gather(self) -> None:
        """Fill the tree. Raises: ProfileError with all problems."""
        self.written = self.find_written()
        self.add_shows()
        self.add_links()
        self.add_mounts()
        self.check_overlays()
        self.add_empties()
        self.fail_if_wrong()
        self.deny()
        self.fail_if_wrong()

    def fail_if_wrong(self) -> None:
        """Raise everything that was found wrong so far."""
        if self.problems:
            raise ProfileError(self.problems)

    def refuse(self, what: str, place: Place, *, why: str = "", attempt: str = "") -> None:
        """Note a problem."""
        self.problems.append(Problem(what, where=place, why=why, attempt=attempt))

    # ── what is shown ─────────────────────────────────────────────────────────────────────────────────────────────────

    def found(self, path: str, place: Place, *, optional: bool) -> str | None:
        """The canonical host path, its links noted; None where it is missing (a problem, unless optional)."""
        followed = follow(self.host, path, place)
        kind = fact_of(self.host, followed.path).kind
        if kind in ABSENT:
            led = f" (it leads to {followed.path})" if followed.path != path else ""
            if optional:
                self.absent.append((path, place))
            elif kind is PathKind.MISSING:
                self.refuse(f"{path} does not exist{led}", place, attempt=f"{path}? if the box can do without it")
            else:
                self.refuse(f"{path} cannot be looked at by this user{led}", place, attempt="another path, or the user that may")
            return None
        if self.leads_out(path, followed, place, optional=optional):
            return None
        for link, text in followed.links:
            self.links.setdefault(link, (text, place))
        return followed.path

    def find_written(self) -> tuple[str, ...]:
        """The host trees that this policy lets a job change, as they really are."""
        granted = [(item.value.path, item.place) for name, item in self.settings.grants if name == "write"]
        granted += [(item.value.source, item.place) for item in self.settings.mounts if "write" in item.value.access]
        return tuple(follow(self.host, path, place).path for path, place in granted)

    def leads_out(self, path: str, followed: Followed, place: Place, *, optional: bool) -> bool:
        """Whether a link on the way may be the work of a job of before, which would choose what this one gets.

        It lies in a tree that the policy grants for writing and leads out of that. A problem; what is optional is left out.
        """
        for link, _ in followed.links:
            tree = next((tree for tree in self.written if covers(tree, link) and not covers(tree, followed.path)), "")
            if not tree:
                continue
            what = f"{path} leads to {followed.path} through the link {link}"
            if optional:
                self.unused.append((f"{what}, which a job may have made, and is left out", place))
            else:
                why = f"{tree} is granted for writing, so a job of before may have made that link to choose what this one gets"
                self.refuse(what, place, why=why, attempt=f"grant {followed.path} itself, if that is what you want")
            return True
        return False

    def refuse_home(self, path: str, place: Place) -> None:
        """What is hidden of a home directory is what exists; what does not exist yet could be made, and obeyed later."""
        self.refuse(
            f"{path} holds the caller's home directory, which cannot be granted for writing",
            place,
            why="a job that may write there can leave start-up files, keys and settings that the caller's own programs obey",
            attempt="a directory below it; run in the directory of the project",
        )

    def add_shows(self) -> None:
        """Grants and overlays: host paths that stay where they are."""
        shows: dict[tuple[str, Access, bool], Show] = {}
        for name, item in self.settings.grants:
            path = self.found(item.value.path, item.place, optional=item.value.optional)
            if path is None:
                continue
            if any(covers(owned, path) for owned in ("/proc", "/dev")) or path == "/":
                self.refuse(f"{item.value.path} leads to {path}, which cannot be granted", item.place)
            if name == "write" and any(covers(known, self.host.home) for known in (path, item.value.path)):
                self.refuse_home(item.value.path, item.place)
            show = Show(path, path, _RIGHTS[name], item.place, item.value.as_owner, item.value.optional)
            known = shows.setdefault((path, show.access, show.as_owner), show)
            shows[(path, show.access, show.as_owner)] = replace(known, optional=known.optional and show.optional)
        self.tree.shows.extend(shows.values())
        for rule in self.settings.overlay:
            path = self.found(rule.value.path, rule.place, optional=False)
            if path is None:
                continue
            if fact_of(self.host, path).kind is not PathKind.DIRECTORY:
                self.refuse(f"{rule.value.path} is not a directory", rule.place, why="an overlay shows a directory")
            self.tree.shows.append(Show(path, path, Access.READ | Access.WRITE, rule.place, overlay=rule.value))

    def add_links(self) -> None:
        """The profile's own links, and those on the way to what is shown, where the box's own root must hold them."""
        for item in self.settings.symlinks:
            path = item.value.path
            if isinstance(self.tree.given(path), Given):
                self.unused.append((f"the link {path} is not made, since it would lie in a directory of the host", item.place))
                continue
            self.tree.links[path] = item.value.target
            self.new_links[path] = NewLink(path, item.place, text=item.value.target)
        for path, (text, place) in self.links.items():
            if isinstance(self.tree.given(path), Given):
                continue
            if self.tree.links.setdefault(path, text) != text:
                self.refuse(f"{path} is a link to {text} on this host, and to {self.tree.links[path]} in `symlinks`", place)
            else:
                self.new_links.setdefault(path, NewLink(path, place, text=text))

    def add_mounts(self) -> None:
        """Host paths that are shown elsewhere; the upper ones first, since links in them may lead the way to the lower ones."""
        for item in sorted(self.settings.mounts, key=lambda item: parts(item.value.target)):
            rule = item.value
            links = dict(self.links)
            source = self.found(rule.source, item.place, optional=rule.optional)
            self.links = links
            if source is None:
                continue
            target = self.tree.resolve(rule.target, item.place)
            if target in ("/", *self.tree.links) or any(covers(owned, target) for owned in ("/proc", "/dev")):
                self.refuse(f"{rule.target} leads to {target}, which cannot be a mount point", item.place)
            access = Access.NONE
            for word in ACCESS:
                access |= _RIGHTS[word] if word in rule.access else Access.NONE
            other = next((show for show in self.tree.shows if show.target == target and show.source != source), None)
            if other:
                self.refuse(
                    f"{target} would show two things", item.place, why=f"{other.source} is shown there too ({other.place.show()})"
                )
            self.tree.shows.append(Show(target, source, access, item.place, rule.as_owner, rule.optional))

    def check_overlays(self) -> None:
        """What a grant at or below an overlay means: reading adds nothing, writing reaches the host, executing is refused."""
        overlays = [show for show in self.tree.shows if show.overlay]
        for show in sorted(self.tree.shows, key=lambda item: parts(item.target)):
            if show.overlay or show.target != show.source:
                continue
            above = [item for item in self.tree.shows if covers(item.target, show.target) and item is not show]
            nearest = max(above, key=lambda item: (len(parts(item.target)), item.overlay is not None), default=None)
            if nearest is None or nearest not in overlays:
                continue
            said = f"the overlay is said at {nearest.place.show()}"
            if Access.WRITE in show.access:
                if nearest.target == show.target:
                    self.refuse(f"{show.target} is granted for writing and is an overlay", show.place, why=said)
            elif Access.EXECUTE in show.access and nearest.target != show.target:
                if not self.executes(nearest):
                    self.refuse(f"{show.target} lies in an overlay", show.place, why=said, attempt=f"execute: [{nearest.target}]")
                self.tree.shows.remove(show)
            elif nearest.target != show.target:
                self.tree.shows.remove(show)

    def executes(self, overlay: Show) -> bool:
        """Whether the whole overlay may be executed."""
        given = self.tree.given(overlay.target)
        return isinstance(given, Given) and Access.EXECUTE in given.access

    def add_empties(self) -> None:
        """Directories in memory."""
        for item in self.settings.tmpfs:
            target = self.tree.resolve(item.value.path, item.place)
            other = next((show for show in self.tree.shows if show.target == target), None)
            if other:
                self.refuse(
                    f"{target} is made empty, and shows the host's {other.source} too",
                    item.place,
                    why=f"see {other.place.show()}",
                )
            self.tree.empties.append(Empty(target, item.value, item.place))

    # ── what is denied ────────────────────────────────────────────────────────────────────────────────────────────────

    def denied_positions(self, item: Placed[str]) -> tuple[str, ...]:
        """Where a denied path is seen in the box: as a path of the host, however it is reached, and as a path of the box."""
        source = follow(self.host, item.value, item.place).path
        positions = dict.fromkeys(self.tree.positions(source))
        inside = self.tree.resolve(item.value, item.place)
        if isinstance(self.tree.given(inside), Given):
            positions[inside] = None
        positions.update((show.target, None) for show in self.tree.shows if covers(inside, show.target))
        return tuple(positions)

    def kind_at(self, target: str) -> PathKind:
        """What the host shows at a path of the box."""
        given = self.tree.given(target)
        return fact_of(self.host, given.source).kind if isinstance(given, Given) else PathKind.MISSING

    def deny(self) -> None:
        """Find what is hidden and what stays read-only; drop or refuse what could never be seen."""
        for item in self.settings.hide:
            self.drop_hidden(item)
        for item in self.settings.hide:
            positions = [path for path in self.denied_positions(item) if self.kind_at(path) not in ABSENT]
            for path in positions:
                cover = Cover(path, item.place, is_directory=self.kind_at(path) is PathKind.DIRECTORY)
                self.hidden.setdefault(path, cover)
            if not positions:
                self.not_shown.append((item.value, item.place))
        for path, cover in self.hidden.items():
            below: list[tuple[str, Place]] = [(show.target, show.place) for show in self.tree.shows]
            below += [(empty.target, empty.place) for empty in self.tree.empties]
            below += [(file.value.path, file.place) for file in self.settings.files]
            below += [(link.target, link.place) for link in self.new_links.values()]
            for target, place in below:
                if covers(path, target) and path != target:
                    self.refuse(f"{target} can never be seen", place, why=f"{path} is hidden ({cover.place.show()})")
        for item in self.settings.read_only:
            positions = [path for path in self.denied_positions(item) if self.kind_at(path) not in ABSENT]
            self.frozen.update((path, item.place) for path in positions)
            if not positions:
                inside = self.tree.resolve(item.value, item.place)
                (self.makeable if self.is_changeable(inside) else self.not_shown).append((item.value, item.place))
        for item in self.settings.read_only:
            links = [link for link, _ in follow(self.host, item.value, item.place).links]
            seen = [path for link in links for path in self.tree.positions(link) if self.is_changeable(path)]
            self.replaceable += [(path, item.place) for path in seen]

    def is_changeable(self, path: str) -> bool:
        """Whether the job can change, on the host, what is at this path of the box."""
        given = self.tree.given(path)
        if not isinstance(given, Given) or Access.WRITE not in given.access or given.overlay:
            return False
        return not any(covers(frozen, path) for frozen in self.frozen)

    def drop_hidden(self, item: Placed[str]) -> None:
        """Optional grants below a hidden path are left out; others are refused."""
        source = follow(self.host, item.value, item.place).path
        inside = self.tree.resolve(item.value, item.place)
        for show in list(self.tree.shows):
            is_below = covers(source, show.source) and show.source != source
            if not is_below and not (covers(inside, show.target) and show.target != inside):
                continue
            if show.optional:
                self.tree.shows.remove(show)
                self.unused.append((f"{show.target} is left out, since {item.value} is hidden", show.place))
            else:
                why = f"{item.value} is hidden ({item.place.show()}), and what is hidden stays hidden"
                self.refuse(f"{show.target} can never be seen", show.place, why=why, attempt="take one of the two away")

"""`Box`: commands one after the other, under one profile and with the files of one session."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Protocol, Self, TypedDict, Unpack, cast

from sandboxer.compile.cache import Entry
from sandboxer.compile.options import NETWORK_SCALE
from sandboxer.kernel.files.trees import copy_tree
from sandboxer.kernel.probe import probe
from sandboxer.kernel.stamp import stamp
from sandboxer.learn.explained import begin_explained
from sandboxer.model.result import Result
from sandboxer.run.live.feed import Feed, parse_interval
from sandboxer.run.live.running import Running
from sandboxer.run.prepare import compile_request
from sandboxer.run.request import Request
from sandboxer.run.said.options import Options, Word, read_words, settle_options
from sandboxer.run.scratch.collect import MAX_COLLECT_BYTES
from sandboxer.run.scratch.kept import Kept
from sandboxer.run.scratch.names import Globs, parse_name
from sandboxer.run.start import Job, begin, make_request
from sandboxer.run.streams import MAX_OUTPUT_BYTES
from sandboxer.sessions.changes import Change, find_changes
from sandboxer.sessions.commit import Committed, commit
from sandboxer.sessions.layers import ORDINARY, PRIVILEGED, copy_marks
from sandboxer.sessions.process import Process
from sandboxer.sessions.python import Python
from sandboxer.sessions.state import State, make_state
from sandboxer.sessions.view import Overlaid, Plain, View


class SessionOptions(TypedDict, total=False):
    """What may be said beside the profile, for all commands of a session; as in `Options`. timeout: of each command."""

    read: Iterable[Word] | None
    write: Iterable[Word] | None
    env: Mapping[str, str | None] | None
    timeout: str | float | None
    memory: str | int | None
    network: str | None
    params: Mapping[str, object] | None


class Living(Protocol):
    """Something of a session that runs."""

    def cancel(self) -> None:
        """Kill it."""

    def abandon(self) -> None:
        """Kill it, and see it gone."""


class Box:
    """A session: a profile, files of its own, and the commands that run in it, each in a fresh box under the whole profile.

    Without workdir the files are in an empty directory at `/box`. With workdir, a directory of the host is seen through an
    overlay: commands may change it, the host's stays as it is, and `changes`, `commit` and `discard` are about the difference;
    one command at a time then. Files outlive a command and processes do not. Leaving the `with` kills what runs and removes what
    was not committed. For any thread.
    """

    def __init__(self, profile: Word = "default", *, workdir: Word | None = None, **options: Unpack[SessionOptions]) -> None:
        self._profile = os.fspath(profile)
        self._shown = os.path.realpath(workdir) if workdir is not None else ""
        self._options = cast(SessionOptions, settle_options(options, SessionOptions.__annotations__.keys()))
        self._state: State | None = None
        self._prefix = ORDINARY
        self._network = options.get("network") or NETWORK_SCALE[-1]
        self._is_network_said = bool(options.get("network"))
        self._entries: dict[tuple[str, ...], Entry] = {}
        self._living: set[Living] = set()
        self._lock = threading.RLock()

    # ── its life ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def open(self) -> Self:
        """Make the place for its files; `with` does that. Raises: UnsupportedError."""
        if self._state is None:
            self._state = make_state()
            if self._shown:
                self._prefix = PRIVILEGED if probe().is_privileged else ORDINARY
        return self

    def close(self) -> None:
        """Kill what runs, and remove what was not committed."""
        with self._lock:
            state, self._state = self._state, None
            living = tuple(self._living)
        for one in living:
            one.cancel()
        for one in living:
            one.abandon()
        if state is not None:
            state.remove()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    @property
    def place(self) -> str:
        """Where its commands start."""
        return self._kept().place

    # ── commands ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def exec(
        self,
        argv: Sequence[Word],
        *,
        stdin: bytes | None = b"",
        timeout: str | float | None = None,
        env: Mapping[str, str | None] | None = None,
        explain: bool = False,
        max_output_bytes: int = MAX_OUTPUT_BYTES,
    ) -> Result:
        """Run a command and wait for its end, as `sandboxer.run` does. stdin: None: the caller's own.

        timeout, env: in place of, and beside, what was said when the box was made. Raises: RuntimeError where one runs in the
        overlay already; as `sandboxer.run`.
        """
        return self.begin(argv, stdin=stdin, timeout=timeout, env=env, explain=explain, max_output_bytes=max_output_bytes).end()

    def popen(
        self,
        argv: Sequence[Word],
        *,
        timeout: str | float | None = None,
        env: Mapping[str, str | None] | None = None,
        explain: bool = False,
        usage_every: str | float | None = None,
    ) -> Process:
        """Start a command and go on: an iterator of its events, with a pipe as its standard input.

        explain, usage_every: as for `sandboxer.stream`. Raises: as `exec`.
        """
        return Process(*self.begin_fed(argv, timeout=timeout, env=env, explain=explain, usage_every=usage_every))

    def begin_fed(
        self,
        argv: Sequence[Word],
        *,
        timeout: str | float | None,
        env: Mapping[str, str | None] | None,
        explain: bool,
        usage_every: str | float | None,
    ) -> tuple[Feed, int]:
        """Start a command; its events, and our end of its standard input."""
        feed = Feed(parse_interval(usage_every))
        start = partial(self._job, read_words(argv), timeout, env, explain=explain, is_fed=True, max_output_bytes=0)
        running = self._begin(start, feed)
        feed.begin(running)
        return feed, running.input_fd

    def begin(
        self,
        argv: Sequence[Word],
        *,
        stdin: bytes | None,
        timeout: str | float | None,
        env: Mapping[str, str | None] | None,
        explain: bool,
        max_output_bytes: int,
    ) -> Running:
        """Start a command; its end is the caller's to wait for."""
        words = read_words(argv)
        return self._begin(
            partial(self._job, words, timeout, env, explain=explain, stdin=stdin, max_output_bytes=max_output_bytes)
        )

    def _job(
        self,
        words: tuple[str, ...],
        timeout: str | float | None,
        env: Mapping[str, str | None] | None,
        *,
        explain: bool,
        stdin: bytes | None = None,
        is_fed: bool = False,
        max_output_bytes: int,
    ) -> Job:
        return Job(self.request(timeout, env, explain=explain), words, stdin, max_output_bytes, is_fed=is_fed)

    def _begin(self, make: Callable[[], Job], feed: Feed | None = None) -> Running:
        with self._lock:
            self._check_free()
            job = make()
            sink = feed.sink if feed else None
            if job.request.is_watched:
                running = begin_explained(job, sink=sink, tell=feed.tell if feed else None)
            else:
                running = begin(job, entry=self.entry(job.request), sink=sink)
            running.opened.callback(self.keep(running))
            return running

    def python(self, *, timeout: str | float | None = None, env: Mapping[str, str | None] | None = None) -> Python:
        """An interpreter that lives in a box of the session, and keeps what is defined in it. Raises: as `exec`."""
        with self._lock:
            self._check_free()
            request = self.request(timeout, env)
            made = Python(request, self.entry(request))
            made.when_gone = self.keep(made)
            return made

    def keep(self, living: Living) -> Callable[[], None]:
        """Let something end with the session; what is given is to be called when it has ended by itself."""
        self._living.add(living)
        return partial(self._living.discard, living)

    def _check_free(self) -> None:
        if self._shown and self._living:
            raise RuntimeError("a command runs in the overlay of this box; one at a time does")

    def request(
        self, timeout: str | float | None = None, env: Mapping[str, str | None] | None = None, *, explain: bool = False
    ) -> Request:
        """What a command of this box asks for."""
        options = cast(Options, dict(self._options))
        if timeout is not None:
            options["timeout"] = timeout
        if env:
            options["env"] = {**(options.get("env") or {}), **env}
        if self._is_network_said:
            options["network"] = self._network
        if self._shown:
            options["read"] = (*(options.get("read") or ()), self._shown)
        return make_request(self._profile, options, is_watched=explain, kept=self._kept())

    def entry(self, request: Request) -> Entry:
        """The plan of a request. It is kept by the session and not on disk: no other session has these paths."""
        key = tuple(request.key_parts())
        with self._lock:
            known = self._entries.get(key)
            if known is None or not known.is_current(stamp):
                known = self._entries[key] = compile_request(request).entry
            return known

    def set_network(self, mode: str) -> None:
        """Let later commands have less of a network: `none`, `loopback`, `host`. Raises: ValueError for more than before."""
        if mode not in NETWORK_SCALE:
            raise ValueError(f"{mode!r} is none of {', '.join(NETWORK_SCALE)}")
        with self._lock:
            if NETWORK_SCALE.index(mode) > NETWORK_SCALE.index(self._network):
                raise ValueError(f"the network of this box was {self._network}, and can only become less")
            self._network, self._is_network_said = mode, True

    # ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, name: str, *, max_bytes: int = MAX_COLLECT_BYTES) -> bytes:
        """A file as its commands see it. Only regular files are read, and no link is followed.

        Raises: OSError; ValueError for a name that leads elsewhere, what is no file, and what is longer.
        """
        return self._view().read(parse_name(name), max_bytes)

    def write(self, name: str, data: bytes | str) -> None:
        """Make or replace a file, with what is missing above it.

        Raises: OSError, ValueError; RuntimeError while a command runs in the overlay.
        """
        with self._lock:
            self._check_free()
            self._view().write(parse_name(name), data.encode() if isinstance(data, str) else data)

    def changes(self) -> tuple[Change, ...]:
        """What its commands have changed; without workdir, all that there is.

        Raises: RuntimeError while one runs in the overlay; UnsupportedError for what cannot be told.
        """
        with self._lock:
            self._check_free()
            return tuple(self._find_changes())

    def commit(self, globs: Iterable[str] | None = None, *, links: bool = False) -> Committed:
        """Apply changes to the directory of the host, those that the globs name or all of them.

        Regular files, directories and removals are applied, each file at once by a rename; set-id bits are taken away. links:
        symbolic links too, if by their text they stay in the directory. What else there is, and what has a name that is not plain
        text, is refused, and stands in the answer. Where nothing is refused and nothing left out, the session begins anew.
        Raises: RuntimeError without workdir, and while a command runs.
        """
        if not self._shown:
            raise RuntimeError("this box has no directory of the host to commit to")
        with self._lock:
            self._check_free()
            wanted = tuple(_select(self._find_changes(), globs))
            upper = self._open_state().open("upper")
            target = os.open(self._shown, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                done = commit(upper, target, wanted, links=links)
            finally:
                os.close(upper)
                os.close(target)
            if globs is None and done.is_whole:
                self._open_state().renew("upper")
            return done

    def discard(self) -> None:
        """Take everything back: the directory of the host is as it is, or the session's own is empty."""
        with self._lock:
            self._check_free()
            self._open_state().renew("upper" if self._shown else "files")

    def fork(self) -> Box:
        """Another session that begins with the files of this one, open already; by reflink where the file system can.

        Raises: RuntimeError while a command runs.
        """
        with self._lock:
            if self._living:
                raise RuntimeError("a command runs in this box")
            made = Box(self._profile, workdir=self._shown or None, **self._options)
            made._network, made._is_network_said = self._network, self._is_network_said
            made.open()
            try:
                keep = partial(copy_marks, prefix=self._prefix)
                _copy(self._open_state(), made._open_state(), "upper" if self._shown else "files", keep)
            except BaseException:
                made.close()
                raise
            return made

    def _find_changes(self) -> Iterable[Change]:
        upper = self._open_state().open("upper" if self._shown else "files")
        lower = os.open(self._shown, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if self._shown else None
        try:
            yield from find_changes(upper, lower, self._prefix)
        finally:
            os.close(upper)
            if lower is not None:
                os.close(lower)

    def _view(self) -> View:
        state = self._open_state()
        return Overlaid(state, self._shown, self._prefix) if self._shown else Plain(state)

    def _kept(self) -> Kept:
        return Kept(self._open_state().path, self._shown)

    def _open_state(self) -> State:
        if self._state is None:
            raise RuntimeError("the box is not open: use it in a `with`")
        return self._state


def _select(changes: Iterable[Change], texts: Iterable[str] | None) -> Iterable[Change]:
    if texts is None:
        return changes
    globs = Globs(texts)

    def is_meant(change: Change) -> bool:
        states = globs.begin
        for part in change.path.split("/"):
            states = globs.advance(states, part)
        return globs.is_match(states)

    return (change for change in changes if is_meant(change))


def _copy(source: State, target: State, part: str, keep: Callable[[int, int], None]) -> None:
    ours, theirs = source.open(part), target.open(part)
    try:
        copy_tree(ours, theirs, keep=keep)
    finally:
        os.close(ours)
        os.close(theirs)

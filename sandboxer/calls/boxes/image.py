"""Images: an interpreter with its modules loaded, frozen in a box, from which other boxes go on in the time that an execve takes.

An image is made by a box and read by boxes. Here it is a sealed file that the kernel executes, in a box, under the whole plan:
whoever chose what it holds chose what he could have executed there anyway.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from sandboxer.calls.boxes.worker import Ground, Worker
from sandboxer.calls.call import Wire, read_answer
from sandboxer.calls.request import pack_call, pack_ready
from sandboxer.calls.roots.root import Root, make_root
from sandboxer.calls.talk.conversation import Conversation
from sandboxer.calls.wire.block import LAST_BLOCK
from sandboxer.calls.wire.caps import Caps
from sandboxer.launcher.image import ImageFile, image_module
from sandboxer.launcher.spawn import Launch
from sandboxer.model.outcome.ending import ExecutionError, SandboxTimeout, SetupError
from sandboxer.model.result import Reason
from sandboxer.run.turns import Turns

MAX_IMAGE_BYTES = 2 << 30
LOAD_SECONDS = 120.0
"""How long loading may take; the profile's own limit is for what is called."""
CAPS = Caps(text_bytes=1 << 20)
MAX_OUTPUT_BYTES = 1 << 20


class ImageRefused(Exception):
    """There is no image; the text says why. Calls can start from a fresh interpreter all the same."""


@dataclass(frozen=True, slots=True)
class Image:
    """One that works: it was tried. size: bytes that it takes of memory. root: its boxes begin with a copy of that; None: each
    makes its own."""

    file: ImageFile
    size: int
    root: Root | None = None

    @property
    def fd(self) -> int:
        """The descriptor to execute."""
        return self.file.fd

    def close(self) -> None:
        """Let go of it. Boxes that have started from it go on."""
        self.file.close()
        if self.root:
            self.root.close()


def make_image(ground: Ground, modules: Iterable[tuple[str, str]], *, by_value: bool = False) -> Image:
    """Load modules in a box, and freeze it.

    modules: as in `pack_ready`. Raises: ImageRefused; ExecutionError for what a module raised, or what its box died of;
    ProfileError, HostError.
    """
    try:
        module, file = image_module(), ImageFile(MAX_IMAGE_BYTES)
    except OSError as error:
        raise ImageRefused(f"no file for it: {error.strerror}: {error.filename or 'memory'}") from error
    try:
        ready = pack_ready(by_value=by_value, modules=modules, image=module)
        refusal = _hold(Worker(ground, MAX_OUTPUT_BYTES, output_fd=file.fd), ready)
        if refusal:
            raise ImageRefused(str(refusal)[:400])
        size = _seal(file)
        image = Image(file, size, make_root(ground.entry))
        try:
            _try(ground, image)
        except ImageRefused:
            if not image.root:
                raise
            image.root.close()
            image = Image(file, size)
            _try(ground, image)
    except BaseException:
        file.close()
        raise
    return image


def _seal(file: ImageFile) -> int:
    try:
        return file.seal()
    except OSError as error:
        raise ImageRefused(f"its file cannot be sealed: {error.strerror}") from error


def _try(ground: Ground, image: Image) -> None:
    """Whether a box goes on from it here: the kernel, the profile or a security module may have something against it."""
    try:
        answer = _hold(Worker(ground, MAX_OUTPUT_BYTES, image=image), pack_call(len, ("four",), {}).data + LAST_BLOCK)
    except (ExecutionError, SetupError) as error:
        raise ImageRefused(f"no box goes on from it: {error}") from error
    if answer != len("four"):
        raise ImageRefused("what goes on from it does not answer")


def _hold(worker: Worker, opening: bytes) -> object:
    conversation = Conversation(opening, CAPS)
    wire = _Patient(worker.socket, conversation)
    timer = threading.Timer(LOAD_SECONDS, worker.launch.cancel)
    try:
        timer.start()
    except RuntimeError as error:  # no thread is left, or the interpreter is about to end
        worker.kill()
        raise ImageRefused(f"nobody can watch how long it takes: {error}") from error
    try:
        worker.begin(wire)
        result = worker.run_last(wire)
    finally:
        timer.cancel()
    if result.reason is Reason.CANCELLED and wire.error is None:
        raise SandboxTimeout(f"its modules did not load in {LOAD_SECONDS:g} s", result)
    if wire.error is not None:
        raise ImageRefused(f"what loads the modules does not keep to the wire: {wire.error}")
    return read_answer(conversation.answer, object, CAPS, result)


class _Patient(Wire):
    """A wire whose box has no clock but ours."""

    def enter(self, turns: Turns, launch: Launch) -> None:
        launch.pause()
        super().enter(turns, launch)

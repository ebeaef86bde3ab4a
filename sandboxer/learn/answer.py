"""What would allow a thing that a wall refused, as a patch for a section; and how dangerous that is."""

from __future__ import annotations

from dataclasses import dataclass

from sandboxer.kernel.audit.fields import TEXT_BYTES
from sandboxer.learn.patch import Grant, Patch, where, write_grants
from sandboxer.learn.risk import Judgement
from sandboxer.model.place import Place
from sandboxer.model.policy import Policy
from sandboxer.model.result import Risk

SHOWN_BYTES = 256
SEE_ABOVE = "the same as for the other things that were wanted so"
OF_FILESYSTEM = {
    "read": Judgement(Risk.MEDIUM, "the job reads what lies there, and can tell it to whomever it reaches"),
    "execute": Judgement(Risk.LOW, "it runs programs that lie there, in the same box"),
    "write": Judgement(Risk.HIGH, "what it writes outlives the box, and others may read or run it"),
}
LOOPBACK = Judgement(Risk.LOW, "a loopback of the box's own: nobody outside of it is reached")
HOST = Judgement(Risk.HIGH, "the host's network: everything that this machine reaches, and the servers on it that trust it")
CAPABILITY = Judgement(
    Risk.HIGH, "a part of root's power over all that is the box's, and ways into the kernel that others do not have"
)
UNJUDGED = Judgement(Risk.UNKNOWN, "nobody has judged it here")


@dataclass(frozen=True, slots=True)
class Answer:
    """What would allow something. grants: empty where nothing would; then `attempt` says what to do."""

    section: str
    rule: str
    place: Place | None
    grants: tuple[Grant, ...]
    judgement: Judgement
    attempt: str = ""


def patch_of(answer: Answer, policy: Policy) -> Patch:
    """What its grants are in YAML, and what to do with that."""
    if not answer.grants:
        return Patch("", answer.attempt)
    lines = write_grants((grant, "") for grant in answer.grants)
    return Patch("\n".join(lines), where(policy, answer.section), granted=answer.grants)


def is_plain(path: bytes) -> bool:
    """Whether a profile can hold this path as it is: `$` begins a parameter there, and `?` at the end means optional."""
    if len(path) >= TEXT_BYTES or not path.startswith(b"/"):
        return False
    try:
        text = path.decode()
    except UnicodeDecodeError:
        return False
    return text.isprintable() and "$" not in text and not text.endswith(("?", " (deleted)"))

"""The sentence for what SELinux would take away from a command."""

from __future__ import annotations

from sandboxer.errors import HostError, Problem
from sandboxer.kernel.lsm.handed import Lost

_STREAMS = ("standard input", "standard output", "standard error")
_KINDS = {"fifo_file": "a pipe", "file": "a file", "dir": "a directory", "chr_file": "a device", "blk_file": "a disk"}
_RULE = "getattr read write append ioctl"
_FILE = "a pipe: `cat FILE | sandboxer exec ... | cat > FILE`"


def lost_error(lost: Lost, context: str) -> HostError:
    """A descriptor that a command in this context would not keep."""
    domain, theirs = context.split(":")[2], lost.label.split(":")[2]
    which = _STREAMS[lost.number] if lost.number < len(_STREAMS) else f"descriptor {lost.number}"
    permissions = " ".join(lost.missing)
    what = f"{which} is {_KINDS.get(lost.kind, 'a socket')} that the SELinux domain {domain} may not use"
    why = f"it has the label {lost.label} ({lost.kind} {{ {permissions} }}), and the kernel would take it away without a word"
    rule = f"the rule `(allow {domain} {theirs} ({lost.kind} ({_RULE})))` in the policy"
    levels = lost.label.split(":", 3)[3:]
    if levels and ":" in levels[0]:
        rule += ", and a caller of the level s0: `runcon -l s0 COMMAND`"
    attempt = _FILE if lost.kind == "file" else f"a terminal of the box's own (`sandboxer exec -t`); or {rule}"
    return HostError(Problem(what, why=why, attempt=attempt))

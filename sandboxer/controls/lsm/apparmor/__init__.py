"""An AppArmor profile out of a policy: what the box may do, once more, in the language of the module that holds it by path.

**Which paths.** AppArmor asks for the name of a file from the root of the mount namespace of whoever opens it. After pivot_root
that root is the box's own, so every path here is one of the box, and a label is right in a box and nowhere else. What was opened
outside and handed in (a redirected stream) has no name there: `attach_disconnected` has it matched by its name on the host
instead of being refused unseen, and `mediate_deleted` keeps a file that was unlinked while it is open under the rules of its old
name. What has no path at all, a pipe or a memfd that is read and written, is not asked about.

**What wins.** Rules that allow add up, as rights of Landlock do, but AppArmor can also take back: what is hidden or read-only
below a granted tree is denied, and that wins. Where something is granted again below that, the denial leaves out what is
needed there, and the mounts alone hold it.
Source: security/apparmor/path.c, d_namespace_path; apparmor.d(5).
"""

from __future__ import annotations

from sandboxer.controls.lsm.apparmor.text import PREFIX, Label, make_label

__all__ = ["PREFIX", "Label", "make_label"]

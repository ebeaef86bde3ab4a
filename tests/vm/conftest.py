"""The suites run in the VM alone, and elsewhere there is nothing of them to skip."""

from __future__ import annotations

import os

collect_ignore = [] if "SANDBOXER_TEST_VM" in os.environ else ["suite", "audit", "selinux", "apparmor"]

"""Subordinate ids: which ranges /etc/subuid and /etc/subgid give to a user. What is mapped onto them is the profile's to say."""

from __future__ import annotations

from sandboxer.model.host import IdRange

ID_LIMIT = 2**32 - 1  # the last id stands for "no change" in setresuid(2)


def parse_subids(text: str, user: str, user_id: int) -> tuple[IdRange, ...]:
    """The ranges of a user, by name or by number, in the file's order; malformed lines are left out. subuid(5)."""
    ranges = []
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) != 3 or fields[0] not in (user, str(user_id)):
            continue
        start, count = (int(field) if field.isascii() and field.isdigit() else 0 for field in fields[1:])
        if start and count and start + count <= ID_LIMIT:
            ranges.append(IdRange(start, count))
    return tuple(ranges)

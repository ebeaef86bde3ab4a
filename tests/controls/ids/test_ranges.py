"""Maps of ranges of spare ids."""

from __future__ import annotations

import pytest

from sandboxer.controls.ids.ranges import range_map
from sandboxer.model.host import IdRange


def test_range_map_never_maps_a_host_id_twice() -> None:
    ranges = (IdRange(60000, 65536), IdRange(200000, 1000))
    assert range_map(5, 65534, ranges) == ((0, 200000, 5), (5, 65534, 1), (6, 200005, 995))


@pytest.mark.parametrize("inside", [0, 1, 1000, 65535])
def test_range_map_covers_every_inside_id_once(inside: int) -> None:
    rows = range_map(inside, 1000, (IdRange(100000, 65536),))
    covered = sorted(number for start, _, count in rows for number in range(start, start + count))
    assert covered == list(range(65536))

"""Random policies, the same each time, against the third opinion."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, settings

from tests.controls.seccomp.agreement import check_agreement
from tests.controls.seccomp.drawn import Policy, policies

_FIXED = settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


def check_drawn() -> None:
    """A few policies, the same each time, against the third opinion."""

    @_FIXED
    @given(policies(most_layers=2, most_rules=4))
    def agree(policy: Policy) -> None:
        check_agreement(policy, 24)

    agree()

"""Random policies of one wall and many rules about several arguments: filters, rules and words agree."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from tests.controls.seccomp.agreement import check_agreement
from tests.controls.seccomp.drawn import Policy, policies


@settings(max_examples=2500, deadline=None, suppress_health_check=list(HealthCheck))
@given(policies(most_layers=0, most_rules=6))
def test_policy_of_one_wall_is_proven_and_means_what_it_says(policy: Policy) -> None:
    check_agreement(policy, 24)

"""What has to catch every mutant, in seconds: tables against numbers written down by hand, brute force over few bits, calls whose
answers a person worked out, and the provers against filters that are wrong.

Nothing here is computed by what it checks: where both sides of a comparison come from the code under test, one of them is also
compared with a literal. Cheap checks come first.
"""

from __future__ import annotations

from collections.abc import Callable

from fuzz.mutants.checks.algebra import check_bits, check_cases, check_regions, check_united, check_wide
from fuzz.mutants.checks.answers import check_answers, check_groups, check_meaning, check_refusals
from fuzz.mutants.checks.backend import check_closing, check_lengths
from fuzz.mutants.checks.drawn import check_drawn
from fuzz.mutants.checks.filters import check_filters, check_splits, check_stacks
from fuzz.mutants.checks.provers import check_emitter, check_proof, check_simulator, check_walk
from fuzz.mutants.checks.tables import check_bpf, check_tables
from fuzz.mutants.checks.text import check_relations, check_text

CHECKS: dict[str, Callable[[], None]] = {
    "bpf": check_bpf,
    "tables": check_tables,
    "simulator": check_simulator,
    "bits": check_bits,
    "regions": check_regions,
    "united": check_united,
    "wide": check_wide,
    "cases": check_cases,
    "text": check_text,
    "relations": check_relations,
    "meaning": check_meaning,
    "groups": check_groups,
    "answers": check_answers,
    "refusals": check_refusals,
    "walk": check_walk,
    "emitter": check_emitter,
    "filters": check_filters,
    "proof": check_proof,
    "stacks": check_stacks,
    "lengths": check_lengths,
    "closing": check_closing,
    "drawn": check_drawn,
    "splits": check_splits,
}

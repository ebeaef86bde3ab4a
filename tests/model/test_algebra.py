"""model/algebra.py: whole sections; conflicts and overrides with their places."""

from __future__ import annotations

from collections.abc import Hashable

from sandboxer.errors import Problem
from sandboxer.model.algebra import Removed, inherit, join_parents, narrow, override
from sandboxer.model.node import Scalar
from sandboxer.model.place import Place
from sandboxer.model.profile import OverrideText
from sandboxer.model.section import Field, Merge, Said, Section

ROWS = {
    name: Field(name, merge, {}, lambda node: (), "", key=(lambda value: value[0]) if name == "named" else None)  # type: ignore[index]
    for name, merge in {
        "grant": Merge.GRANT,
        "deny": Merge.DENY,
        "limit": Merge.LEAST,
        "choice": Merge.CHOICE,
        "named": Merge.GRANT,
        "demand": Merge.STRICTEST,
    }.items()
}
WORDS = {"room": ROWS}
HERE = Place("child.yaml", 1, 1)


def section(file: str, **fields: tuple[Hashable, ...]) -> Section:
    return Section(
        {
            name: tuple(Said(value, Place(file, line, 1, f"{name}: {value}")) for line, value in enumerate(values, 1))
            for name, values in fields.items()
        }
    )


def joined(*parents: Section, own: Section | None = None, overridden: set[str] | None = None) -> tuple[Section, list[Problem]]:
    problems: list[Problem] = []
    mine = {"room": own} if own else {}
    made = join_parents(WORDS, [{"room": one} for one in parents], mine, HERE, overridden or set(), problems)
    return inherit(WORDS, mine, made).get("room", Section()), problems


def test_parents_join_whatever_their_order() -> None:
    one, two = section("a.yaml", grant=("x",), limit=(5,)), section("b.yaml", grant=("y",), limit=(3,))
    assert joined(one, two) == joined(two, one)
    assert joined(one, two)[0].values("grant") == ("x", "y")
    assert joined(one, two)[0].values("limit") == (3,)


def test_parents_that_differ_about_a_choice_are_a_conflict_with_both_places() -> None:
    _, (problem,) = joined(section("a.yaml", choice=("x",)), section("b.yaml", choice=("y",)))
    assert "a.yaml:1:1" in problem.why
    assert "b.yaml:1:1" in problem.why
    assert "child.yaml" in problem.show()


def test_choice_of_the_file_itself_ends_the_conflict() -> None:
    parents = section("a.yaml", choice=("x",)), section("b.yaml", choice=("y",))
    found, problems = joined(*parents, own=section("child.yaml", choice=("z",)))
    assert (found.values("choice"), problems) == (("z",), [])
    assert joined(*parents, overridden={"room.choice"})[1] == []


def test_parents_that_agree_about_a_choice_are_no_conflict() -> None:
    found, problems = joined(section("a.yaml", choice=("x",)), section("b.yaml", choice=("x",)))
    assert (found.values("choice"), problems) == (("x",), [])


def test_parents_that_differ_under_one_name_are_a_conflict() -> None:
    parents = section("a.yaml", named=(("A", 1), ("B", 1))), section("b.yaml", named=(("A", 2), ("B", 1)))
    _, (problem,) = joined(*parents)
    assert "named.A" in problem.what
    found, problems = joined(*parents, own=section("child.yaml", named=(("A", 3),)))
    assert (found.values("named"), problems) == ((("A", 3), ("B", 1)), [])


def test_narrow_by_an_empty_list_leaves_no_grant() -> None:
    base = section("a.yaml", grant=("x",), deny=("y",))
    left = narrow(ROWS, base, Section({"grant": ()}))
    assert (left.values("grant"), left.values("deny")) == ((), ("y",))


def test_narrow_by_a_silent_layer_changes_nothing() -> None:
    base = section("a.yaml", grant=("x",))
    assert narrow(ROWS, base, Section()) == base


def test_narrow_adds_denies_and_smaller_limits() -> None:
    left = narrow(ROWS, section("a.yaml", limit=(5,)), section("l.yaml", limit=(3,), deny=("z",)))
    assert (left.values("limit"), left.values("deny")) == ((3,), ("z",))


def overridden(
    base: Section, row: str, *, value: tuple[Said, ...] | None = None, removed: Removed | None = None
) -> tuple[Section, list[Problem]]:
    problems: list[Problem] = []
    item = OverrideText("room", row, None, None, "because", "", HERE)
    made = override({"room": base}, item, ROWS[row], value=value, removed=removed or {}, problems=problems)
    return made["room"], problems


def leaf(text: str) -> Scalar:
    return Scalar(text, text, False, HERE)


def test_override_replaces_what_the_parents_said() -> None:
    found, problems = overridden(section("a.yaml", limit=(5,)), "limit", value=(Said(9, HERE),))
    assert (found.values("limit"), problems) == ((9,), [])


def test_override_of_what_no_parent_says_is_a_problem() -> None:
    _, (problem,) = overridden(section("a.yaml"), "limit", value=(Said(9, HERE),))
    assert "no parent says room.limit" in problem.what


def test_override_goes_against_a_demand_that_holds_by_default() -> None:
    found, problems = overridden(section("a.yaml"), "demand", value=(Said(False, HERE),))
    assert (found.values("demand"), problems) == ((False,), [])


def test_override_removes_an_entry_and_only_that() -> None:
    found, problems = overridden(section("a.yaml", deny=("x", "y")), "deny", removed={"x": leaf("x")})
    assert (found.values("deny"), problems) == (("y",), [])


def test_override_removes_by_name_where_values_have_names() -> None:
    found, _ = overridden(section("a.yaml", named=(("A", 1), ("B", 2))), "named", removed={"A": leaf("A")})
    assert found.values("named") == (("B", 2),)


def test_override_that_removes_what_nobody_said_is_a_problem() -> None:
    found, (problem,) = overridden(section("a.yaml", deny=("x",)), "deny", removed={"q": leaf("q")})
    assert "`q`" in problem.what
    assert found.values("deny") == ("x",)

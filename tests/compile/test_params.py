"""compile/params.py: values are typed, expanded once, and told apart from text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.compile import params
from sandboxer.compile.params import Expander, Setting, Value, built_in_values, joined_params, param_values
from sandboxer.compile.search import Caller
from sandboxer.errors import Problem
from sandboxer.model.node import Node, Scalar, parse_node, plain
from sandboxer.model.place import Place, option_place
from sandboxer.model.profile import Param, ParamType

CALLER = Caller("/home/joe/project", "/home/joe", "joe", 1000, 100, {"TMPDIR": "/var/tmp/"})
HERE = Place("f.yaml", 3, 5, "text")


def leaf(text: str) -> Scalar:
    return Scalar(text, text, False, HERE)


def param(kind: str, default: str | None = None, **more: object) -> Param:
    made = Param("it", ParamType(kind), leaf(default) if default is not None else None, "", HERE)
    return replace(made, **more)  # type: ignore[arg-type]


def value_of(declared: Param, given: str | None = None) -> tuple[str, list[Problem]]:
    problems: list[Problem] = []
    setting = [Setting("it", given, option_place("--set", f"it={given}"))] if given is not None else []
    return param_values({"it": declared}, setting, CALLER, problems)["it"].text, problems


def expanded(text: str, **values: str) -> tuple[Node, list[Problem]]:
    problems: list[Problem] = []
    table = {**built_in_values(CALLER), **{name: Value(value, False, HERE) for name, value in values.items()}}
    return Expander(table).expanded(parse_node(text.encode(), "f.yaml"), problems), problems


def result(text: str, **values: str) -> object:
    node, problems = expanded(text, **values)
    assert problems == []
    return plain(node)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[a, 1, true]", ["a", 1, True]),
        ("- ${cwd}", ["/home/joe/project"]),
        ("- ${cwd}/x\n- '${home}'", ["/home/joe/project/x", "/home/joe"]),
        ("- ${uid}\n- '${uid}'\n- 'id ${gid}'\n- '${gid}${gid}'", [1000, 1000, "id 100", "100100"]),
        ("- ${user}\n- ${tmp}", ["joe", "/var/tmp"]),
        ("- ${n}\n- a${n}\n- ${n}${n}", [7, "a7", 77]),
        ("['${flag}', 'x${flag}']", [True, "xtrue"]),
        ("['$${n}', $x, 5$, $$]", ["${n}", "$x", "5$", "$$"]),
        ("- $${n}", ["${n}"]),
        ("{a: {b: ['${n}']}}", {"a": {"b": [7]}}),
    ],
)
def test_reference_is_replaced_and_typed_anew(text: str, wanted: object) -> None:
    assert result(text, n="7", flag="true") == wanted


def test_value_is_never_expanded_again() -> None:
    assert result("- ${a}", a="${b}", b="${a}") == ["${b}"]


def test_what_the_author_wrote_is_remembered_beside_the_value() -> None:
    node, _ = expanded("- ${a}?\n- b*", a="x?")
    assert [item.written for item in node.items if isinstance(item, Scalar)] == ["${a}?", "b*"]  # type: ignore[union-attr]


def test_text_that_looks_like_a_number_stays_a_text() -> None:
    table = {"v": Value("3", True, HERE)}
    node = Expander(table).expanded(parse_node(b"- ${v}", "f.yaml"), [])
    assert plain(node) == ["3"]


def test_node_without_references_is_the_same_object() -> None:
    node = parse_node(b"{a: [1, 2], b: c}", "f.yaml")
    assert Expander({}).expanded(node, []) is node


@pytest.mark.parametrize(
    ("text", "what", "attempt"),
    [
        ("- ${hom}", "no parameter 'hom'", "did you mean home?"),
        ("- ${HOME}", "no parameter 'HOME'", "did you mean home?"),
        ("['${}']", "${} names nothing", "$${"),
        ("['${cwd']", "${ without its }", "${cwd}"),
        ("['a ${']", "${ without its }", ""),
        ("{'${cwd}': 1}", "a key is never expanded", ""),
    ],
)
def test_wrong_reference_is_a_problem_with_place(text: str, what: str, attempt: str) -> None:
    _, (problem,) = expanded(text)
    assert what in problem.what
    assert attempt in problem.attempt
    assert isinstance(problem.where, Place)
    assert problem.where.line == 1


def test_expansion_that_becomes_too_long_is_refused() -> None:
    many = "${x}" * (params.MAX_SCALAR // 4096)
    assert result(f"['{many}']", x="y" * 4096)
    _, (problem,) = expanded(f"['{many}${{x}}']", x="y" * 4096)
    assert "too long" in problem.what


def test_expansions_together_have_a_budget() -> None:
    line = "${x}" * 15
    _, problems = expanded("[" + f"'{line}'," * 100 + "]", x="y" * 4096)
    assert problems


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("string", "no", "no"),
        ("string", "12", "12"),
        ("integer", "-12", "-12"),
        ("boolean", "true", "true"),
        ("bytes", "1.5G", "1.5G"),
        ("duration", "1h30m", "1h30m"),
        ("path", "/a//b/../c", "/a/c"),
        ("path", "~/x", "~/x"),
        ("path", "x/y", "/home/joe/project/x/y"),
        ("path", "../y", "/home/joe/y"),
    ],
)
def test_setting_of_the_right_type_is_taken(kind: str, text: str, wanted: str) -> None:
    assert value_of(param(kind), text) == (wanted, [])


@pytest.mark.parametrize(
    ("kind", "text"),
    [("integer", "ten"), ("integer", "1.5"), ("boolean", "yes"), ("bytes", "1 elephant"), ("duration", "10"), ("path", "")],
)
def test_setting_of_a_wrong_type_is_refused_at_the_option(kind: str, text: str) -> None:
    _, (problem,) = value_of(param(kind), text)
    assert problem.show().startswith("command line")
    assert "it" in problem.what


def test_default_of_a_wrong_type_is_refused_at_its_place() -> None:
    _, (problem,) = value_of(param("bytes", "lots"))
    assert problem.where == HERE


def test_default_may_name_facts_and_nothing_else() -> None:
    assert value_of(param("path", "${cwd}/build")) == ("/home/joe/project/build", [])
    assert value_of(param("path", "${it}/build"))[1]


def test_parameter_without_any_value_is_refused_with_advice() -> None:
    _, (problem,) = value_of(param("bytes"))
    assert "--set it=VALUE" in problem.attempt


def test_bounds_and_choices_hold_for_settings_and_defaults() -> None:
    bounded = param("bytes", "1G", least=leaf("1M"), most=leaf("2G"))
    assert value_of(bounded, "2G")[1] == []
    assert "more than 2G" in value_of(bounded, "3G")[1][0].what
    assert "less than 1M" in value_of(bounded, "1K")[1][0].what
    chosen = param("string", "red", choices=("red", "green"))
    assert value_of(chosen, "green")[1] == []
    assert "did you mean green?" in value_of(chosen, "gren")[1][0].attempt


def test_setting_of_an_unknown_name_is_refused() -> None:
    problems: list[Problem] = []
    param_values({"memory": param("bytes", "1G")}, [Setting("memroy", "2G", HERE)], CALLER, problems)
    assert problems[0].attempt == "did you mean memory?"


def test_setting_of_a_built_in_name_is_refused() -> None:
    problems: list[Problem] = []
    param_values({}, [Setting("cwd", "/", HERE)], CALLER, problems)
    assert "built in" in problems[0].what


def test_setting_with_control_characters_is_refused() -> None:
    assert value_of(param("string"), "a\x1bb")[1]
    assert value_of(param("string"), "x" * 5000)[1]


def declared(default: str, *, kind: str = "bytes", line: int = 1) -> Param:
    return replace(param(kind, default), place=Place("p.yaml", line))


def test_same_declaration_twice_is_one() -> None:
    problems: list[Problem] = []
    found = joined_params({}, [{"it": declared("1G", line=9)}, {"it": declared("1G", line=2)}], HERE, problems)
    assert (found["it"].place.line, problems) == (2, [])


def test_two_declarations_that_differ_are_a_conflict() -> None:
    problems: list[Problem] = []
    joined_params({}, [{"it": declared("1G", line=1)}, {"it": declared("2G", line=2)}], HERE, problems)
    assert "p.yaml:1" in problems[0].why
    assert "p.yaml:2" in problems[0].why


def test_declaration_of_the_file_itself_wins() -> None:
    problems: list[Problem] = []
    own = {"it": declared("3G")}
    found = joined_params(own, [{"it": declared("1G")}, {"it": declared("2G")}], HERE, problems)
    assert (found["it"].default and found["it"].default.text, problems) == ("3G", [])


def test_declaration_of_another_type_is_refused() -> None:
    problems: list[Problem] = []
    joined_params({"it": declared("3", kind="integer")}, [{"it": declared("1G")}], HERE, problems)
    assert "keeps its type" in problems[0].why


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("${}ab \n"), max_size=40), st.text(st.sampled_from("${}ab"), max_size=10))
def test_any_text_is_expanded_or_told(text: str, value: str) -> None:
    problems: list[Problem] = []
    node = Scalar(text, text, True, HERE)
    made = Expander({"a": Value(value, True, HERE)}).expanded(node, problems)
    assert isinstance(made, Scalar)
    if "${" not in text:
        assert made is node

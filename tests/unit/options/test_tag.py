import json

import pytest
from hypothesis import given, strategies as st

from logboom.errors import ValueSyntaxError
from logboom.options.tag import (
    DEPTH_LIMIT,
    METHODS,
    NUMBER_LIMIT,
    TAG_LIMIT,
    TEMPLATE_LIMIT,
    parse_tag,
)

VALUES = {
    "ID": "0123456789ab",
    "FullID": "0123456789abcdef",
    "Name": "quirky_boom-1",
    "Command": 'sh -c "echo <hi> & true"',
    "ImageID": "sha256:abcde",
    "ImageFullID": "sha256:abcdef0123456789",
    "ImageName": "registry/busybox:latest",
    "Hostname": "host.example",
    "DaemonName": "docker",
}


def render(template: str) -> str:
    return parse_tag(template).render(VALUES)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_its_value(method: str) -> None:
    assert render(f"{{{{.{method}}}}}") == VALUES[method]


@pytest.mark.parametrize(
    ("template", "tag"),
    [
        ("plain", "plain"),
        ("", ""),
        ("}} alone", "}} alone"),
        ("{{.ImageName}}/{{.Name}}/{{.ID}}", "registry/busybox:latest/quirky_boom-1/0123456789ab"),
        ("{{ .ID }}", "0123456789ab"),
        ("{{\n.ID\t}}", "0123456789ab"),
        ("a {{- .ID -}} b", "a0123456789abb"),
        ("a {{- .ID }} b", "a0123456789ab b"),
        ("a {{/* said aside */}}b", "a b"),
        ("a {{- /* said aside */ -}} b", "ab"),
        ('{{"quoted \\"}}\\" \\u00fc\\x41\\t"}}', 'quoted "}}" üA\t'),
        ("{{`raw \\n {{}}`}}", "raw \\n {{}}"),
        ("{{42}}", "42"),
        ("{{upper .Name}}", "QUIRKY_BOOM-1"),
        ("{{.Name | upper}}", "QUIRKY_BOOM-1"),
        ("{{.Name | upper | lower}}", "quirky_boom-1"),
        ("{{lower (upper .Name)}}", "quirky_boom-1"),
        ("{{title .Name}}", "Quirky_boom-1"),
        ('{{title "the quick-brown o\'neil 3rd élan ça"}}', "The Quick-Brown O'Neil 3rd Élan Ça"),
        ('{{split .Name "_"}}', "[quirky boom-1]"),
        ('{{split "ab" ""}}', "[a b]"),
        ('{{join (split .ImageName "/") "."}}', "registry.busybox:latest"),
        ('{{"/" | split .ImageName | json}}', '["registry","busybox:latest"]'),
        ("{{json .Command}}", '"sh -c \\"echo <hi> & true\\""'),
        ("{{json 5}}", "5"),
        ('{{json "\u2028ü"}}', '"\\u2028ü"'),
        ("[{{pad .ID 1 2}}]", "[ 0123456789ab  ]"),
        ('[{{pad "" 1 2}}]', "[]"),
        ("{{truncate .Name 6}}", "quirky"),
        ("{{truncate .Name 400}}", "quirky_boom-1"),
        ("{{truncate .Name 0}}", ""),
        ('{{truncate "aü" 2}}', "a"),
        ("{{truncate (.Name | upper) 3 | lower}}", "qui"),
        ("{{((.ID))}}", "0123456789ab"),
    ],
)
def test_templates_give_what_gos_would(template: str, tag: str) -> None:
    assert render(template) == tag


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{", "missing"),
        ("{{.ID", "missing"),
        ("{{.ID}", "not understood"),
        ("{{}}", "a value is missing"),
        ("{{ | upper}}", "wrong place"),
        ("{{.ID |}}", "a value is missing"),
        ("{{.Id}}", ".Id is not known; there are .ID, .FullID"),
        ("{{.ContainerEnv}}", "not known"),
        ("{{.ID.Length}}", "cannot be taken"),
        ("{{(.ID).Length}}", "cannot be taken"),
        ("{{.}}", "not understood"),
        ("{{$x := .ID}}", "not understood"),
        ("{{if .ID}}x{{end}}", "if is not supported here; the functions are json, split"),
        ('{{printf "%s" .ID}}', "printf is not supported"),
        ("{{.ID .Name}}", "only a function takes arguments"),
        ("{{.ID | .Name}}", "only a function takes arguments"),
        ("{{upper}}", "upper takes a string, but was given 0 arguments"),
        ("{{upper .ID .Name}}", "given 2 arguments"),
        ("{{pad .ID 1}}", "pad takes a string and a number and a number"),
        ("{{upper 5}}", "upper wants a string, but was given a number"),
        ('{{truncate .ID "5"}}', "wants a number"),
        ('{{join .ID ","}}', "join wants a list, but was given a string"),
        ("{{truncate .ID -1}}", "not a number from 0"),
        (f"{{{{pad .ID {NUMBER_LIMIT + 1} 0}}}}", "not a number from 0"),
        (f"{{{{pad .ID {'9' * 3000} 0}}}}", "not a number from 0"),
        ("{{truncate .ID 5.5}}", "not understood"),
        ("{{truncate .ID 0x5}}", "not understood"),
        ('{{"open}}', "not understood"),
        ('{{"\\q"}}', "no escape"),
        ('{{"\\ud800"}}', "no character"),
        ("{{/* open }}", "not understood"),
        ("{{/* a */ .ID}}", "wrong place"),
        ("{{(.ID}}", "a value is missing"),
        ("{{.ID)}}", "wrong place"),
        ("{{-.ID}}", "not understood"),
        ("{{" + "(" * (DEPTH_LIMIT + 1) + ".ID" + ")" * (DEPTH_LIMIT + 1) + "}}", "nested"),
        ("x" * (TEMPLATE_LIMIT + 1), str(TEMPLATE_LIMIT)),
    ],
)
def test_what_is_not_supported_is_refused_with_a_reason(template: str, reason: str) -> None:
    with pytest.raises(ValueSyntaxError) as caught:
        parse_tag(template)
    assert reason in str(caught.value)


def test_limits_are_reached_before_they_refuse() -> None:
    assert render("{{" + "(" * DEPTH_LIMIT + ".ID" + ")" * DEPTH_LIMIT + "}}") == VALUES["ID"]
    assert len(render("x" * TEMPLATE_LIMIT)) == TEMPLATE_LIMIT
    assert len(render(f"{{{{pad .ID {NUMBER_LIMIT} {NUMBER_LIMIT}}}}}")) == TAG_LIMIT


@given(st.text(alphabet=st.sampled_from(' {}.|()"`-/*ID5upper\\n'), max_size=60))
def test_any_template_renders_or_is_refused(template: str) -> None:
    try:
        parsed = parse_tag(template)
    except ValueSyntaxError:
        return
    assert len(parsed.render(VALUES)) <= TAG_LIMIT


@given(st.text(max_size=100).filter(lambda text: "{{" not in text))
def test_text_without_braces_is_itself(text: str) -> None:
    assert render(text) == text


Valued = tuple[str, str]
"""What stands in a template, and what it gives."""

spaces = st.sampled_from([" ", "\n\t", "  "])
operands = st.one_of(
    st.sampled_from(METHODS).map(lambda method: (f".{method}", VALUES[method])),
    st.text(alphabet='aZ9 .{}|é😀\\"\n', max_size=8).map(
        # Of JSON's escapes these are Go's, too.
        lambda text: (json.dumps(text, ensure_ascii=False), text)
    ),
    st.text(alphabet='aZ9 .{}|é\\"\n', max_size=8).map(lambda text: (f"`{text}`", text)),
)


def commands(inner: st.SearchStrategy[Valued]) -> st.SearchStrategy[Valued]:
    """Functions of values, as calls in parentheses or behind a pipe."""
    counts = st.integers(0, 9)

    def call(name: str, piped: bool, space: str, argument: Valued, value: str) -> Valued:
        source = argument[0]
        text = f"{source}{space}|{space}{name}" if piped else f"{name}{space}{source}"
        return f"({text})", value

    def simple(name: str, piped: bool, space: str, argument: Valued) -> Valued:
        value = argument[1].upper() if name == "upper" else argument[1].lower()
        return call(name, piped, space, argument, value)

    def pad(argument: Valued, before: int, after: int) -> Valued:
        source, value = argument
        padded = f"{' ' * before}{value}{' ' * after}" if value else ""
        return f"(pad {source} {before} {after})", padded

    def join(argument: Valued, separator: str, other: str) -> Valued:
        source, value = argument
        return (
            f'(join (split {source} "{separator}") "{other}")',
            value.replace(separator, other),
        )

    return st.one_of(
        st.builds(simple, st.sampled_from(["upper", "lower"]), st.booleans(), spaces, inner),
        st.builds(pad, inner, counts, counts),
        st.builds(join, inner, st.sampled_from(["a", "/", "_"]), st.sampled_from(["", "+"])),
    )


@given(
    st.recursive(operands, commands, max_leaves=6), spaces, st.text(alphabet="ab }.", max_size=9)
)
def test_a_template_of_the_grammar_gives_what_its_parts_give(
    valued: Valued, space: str, text: str
) -> None:
    source, value = valued
    assert render(f"{text}{{{{{space}{source}{space}}}}}{text}") == f"{text}{value}{text}"
    assert render(f"{text}{{{{- {source} -}}}}{text}") == f"{text.rstrip()}{value}{text.lstrip()}"

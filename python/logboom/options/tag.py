"""The ``tag`` option: the part of Go's text/template that Docker's tags use.

::

    template = { text | "{{" pipeline "}}" | "{{/* comment */}}" }       "{{- " and " -}}" trim the text beside them
    pipeline = command { "|" command }                                   a value is the next one's last argument
    command  = operand | function operand...
    operand  = "." method | "string" | `string` | integer | "(" pipeline ")"

Methods and functions are those of ``daemon/logger/loginfo.go`` and ``daemon/logger/templates`` in moby. All types
are known while parsing, so that every mistake shows then and rendering cannot fail.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from logboom.errors import ValueSyntaxError

__all__ = ["METHODS", "TAG_LIMIT", "TEMPLATE_LIMIT", "TagTemplate", "parse_tag"]

METHODS: Final = (
    "ID",
    "FullID",
    "Name",
    "Command",
    "ImageID",
    "ImageFullID",
    "ImageName",
    "Hostname",
    "DaemonName",
)
"""What a template may ask of a container."""

TEMPLATE_LIMIT: Final = 4096
"""Characters in a template."""

TAG_LIMIT: Final = 4096
"""Characters in a rendered tag; what is beyond is cut."""

NUMBER_LIMIT: Final = TAG_LIMIT
"""The largest number that ``pad`` and ``truncate`` take; more could only make a tag that is cut."""

DEPTH_LIMIT: Final = 32
"""Parentheses within parentheses."""

_Evaluate: TypeAlias = Callable[[Mapping[str, str]], Any]


@dataclass(frozen=True, slots=True)
class _Expression:
    """A value to come, and its type: ``str``, ``list`` (of strings) or ``int``."""

    kind: type
    evaluate: _Evaluate


@dataclass(frozen=True, slots=True)
class TagTemplate:
    """A template that has been parsed."""

    source: str
    parts: tuple[str | _Expression, ...]

    def render(self, values: Mapping[str, str]) -> str:
        """The tag of a container.

        Args:
            values: what each of ``METHODS`` gives.
        """
        rendered = (
            part if isinstance(part, str) else _print(part.evaluate(values)) for part in self.parts
        )
        return "".join(rendered)[:TAG_LIMIT]


def _print(value: str | int | list[str]) -> str:
    return f"[{' '.join(value)}]" if isinstance(value, list) else str(value)


# --- functions ------------------------------------------------------------------------------------------------


def _to_json(value: str | int | list[str]) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _split(source: str, separator: str) -> list[str]:
    return source.split(separator) if separator else list(source)


def _join(parts: list[str], separator: str) -> str:
    return separator.join(parts)


def _title(source: str) -> str:
    """Go's ``strings.Title``: the first letter of each word, where words end as in prose."""
    titled = []
    after_separator = True
    for character in source:
        titled.append(character.title() if after_separator else character)
        if character.isascii():
            after_separator = not (character.isalnum() or character == "_")
        else:
            after_separator = character.isspace()
    return "".join(titled)


def _pad(source: str, before: int, after: int) -> str:
    return f"{' ' * before}{source}{' ' * after}" if source else source


def _truncate(source: str, length_bytes: int) -> str:
    return source.encode()[:length_bytes].decode(errors="ignore")


@dataclass(frozen=True, slots=True)
class _Function:
    parameters: tuple[type, ...]
    """``object`` takes any value."""
    result: type
    call: Callable[..., Any]


_FUNCTIONS: Final = {
    "json": _Function((object,), str, _to_json),
    "split": _Function((str, str), list, _split),
    "join": _Function((list, str), str, _join),
    "title": _Function((str,), str, _title),
    "lower": _Function((str,), str, str.lower),
    "upper": _Function((str,), str, str.upper),
    "pad": _Function((str, int, int), str, _pad),
    "truncate": _Function((str, int), str, _truncate),
}

_KIND_NAMES: Final = {str: "a string", list: "a list", int: "a number", object: "any value"}


# --- parsing --------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
  | (?P<end>(?:(?<=[ \t\r\n])-)?\}\})
  | (?P<field>\.[A-Za-z_][A-Za-z0-9_]*)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>[+-]?[0-9]+(?![0-9A-Za-z_.]))
  | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<raw>`[^`]*`)
  | (?P<mark>[|()])
    """,
    re.VERBOSE,
)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_ESCAPES: Final = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    '"': '"',
}
_SPACE: Final = " \t\r\n"


def parse_tag(source: str) -> TagTemplate:
    """Parse a template.

    Raises:
        ValueSyntaxError: it is not one, or asks for something that is not in ``METHODS`` and the eight functions.
    """
    if len(source) > TEMPLATE_LIMIT:
        raise ValueSyntaxError(
            f"the template has {len(source)} characters; the limit is {TEMPLATE_LIMIT}"
        )
    return TagTemplate(source, tuple(_parse_parts(source)))


def _parse_parts(source: str) -> Iterator[str | _Expression]:
    position = 0
    trim = False
    while True:
        start = source.find("{{", position)
        text = source[position:] if start < 0 else source[position:start]
        if trim:
            text = text.lstrip(_SPACE)
        if start < 0:
            yield text
            return
        position = start + 2
        if source.startswith("-", position) and source[position + 1 : position + 2] in set(_SPACE):
            text = text.rstrip(_SPACE)
            position += 1
        yield text
        action = _Action(source, position)
        expression = action.parse()
        if expression is not None:
            yield expression
        position, trim = action.position, action.trims_after


class _Action:
    """Parses what stands between ``{{`` and ``}}``."""

    def __init__(self, source: str, position: int) -> None:
        self.source = source
        self.position = position
        self.trims_after = False
        self._start = position
        self._depth = 0
        self._kind = ""
        self._text = ""

    def parse(self) -> _Expression | None:
        """The action's value; ``None`` for a comment. Leaves ``position`` behind the ``}}``."""
        self._skip_space()
        comment = _COMMENT.match(self.source, self.position)
        if comment is not None:
            self.position = comment.end()
        self._advance()
        expression = self._pipeline() if comment is None else None
        if self._kind != "end":
            raise self._unexpected()
        self.trims_after = self._text.startswith("-")
        return expression

    def _pipeline(self) -> _Expression:
        value = self._command(None)
        while self._text == "|" and self._kind == "mark":
            self._advance()
            value = self._command(value)
        return value

    def _command(self, piped: _Expression | None) -> _Expression:
        if self._kind == "name":
            return self._call(piped)
        value = self._operand()
        if piped is not None or self._starts_operand():
            raise self._mistake("only a function takes arguments")
        return value

    def _call(self, piped: _Expression | None) -> _Expression:
        name = self._text
        function = _FUNCTIONS.get(name)
        if function is None:
            raise self._mistake(
                f"{name} is not supported here; the functions are {', '.join(_FUNCTIONS)}"
            )
        self._advance()
        arguments = []
        while self._starts_operand():
            arguments.append(self._operand())
        if piped is not None:
            arguments.append(piped)
        return self._checked(name, function, arguments)

    def _checked(self, name: str, function: _Function, arguments: list[_Expression]) -> _Expression:
        if len(arguments) != len(function.parameters):
            wanted = " and ".join(_KIND_NAMES[kind] for kind in function.parameters)
            raise self._mistake(f"{name} takes {wanted}, but was given {len(arguments)} arguments")
        for argument, kind in zip(arguments, function.parameters, strict=True):
            if not issubclass(argument.kind, kind):
                raise self._mistake(
                    f"{name} wants {_KIND_NAMES[kind]}, but was given {_KIND_NAMES[argument.kind]}"
                )
        evaluations = [argument.evaluate for argument in arguments]
        return _Expression(
            function.result,
            lambda values: function.call(*(evaluate(values) for evaluate in evaluations)),
        )

    def _starts_operand(self) -> bool:
        return self._kind in {"field", "name", "number", "string", "raw"} or self._text == "("

    def _operand(self) -> _Expression:
        kind, text = self._kind, self._text
        if kind == "field":
            return self._literal_or_field(self._field(text))
        if kind == "string":
            return self._literal_or_field(
                self._constant(str, _ESCAPE.sub(self._unescape, text[1:-1]))
            )
        if kind == "raw":
            return self._literal_or_field(self._constant(str, text[1:-1]))
        if kind == "number":
            return self._literal_or_field(self._constant(int, self._number(text)))
        if text == "(":
            return self._parenthesised()
        raise self._unexpected()

    def _literal_or_field(self, expression: _Expression) -> _Expression:
        end = self.position
        self._advance()
        if self._kind == "field" and self.position - len(self._text) == end:
            raise self._mistake(f"{self._text} cannot be taken of another value")
        return expression

    def _parenthesised(self) -> _Expression:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise self._mistake(f"parentheses are nested over {DEPTH_LIMIT} deep")
        self._advance()
        value = self._pipeline()
        if self._text != ")" or self._kind != "mark":
            raise self._unexpected()
        self._depth -= 1
        return self._literal_or_field(value)

    def _field(self, text: str) -> _Expression:
        method = text[1:]
        if method not in METHODS:
            raise self._mistake(
                f"{text} is not known; there are {', '.join('.' + each for each in METHODS)}"
            )
        return _Expression(str, lambda values: values[method])

    def _constant(self, kind: type, value: object) -> _Expression:
        return _Expression(kind, lambda _values: value)

    def _number(self, text: str) -> int:
        if len(text) > len(str(NUMBER_LIMIT)) + 1 or not 0 <= int(text) <= NUMBER_LIMIT:
            raise self._mistake(f"{text} is not a number from 0 to {NUMBER_LIMIT}")
        return int(text)

    def _unescape(self, match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        if code is None:
            if match[4] not in _ESCAPES:
                raise self._mistake(f"{match[0]} is no escape")
            return _ESCAPES[match[4]]
        number = int(code, 16)
        if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
            raise self._mistake(f"{match[0]} is no character")
        return chr(number)

    def _skip_space(self) -> None:
        while self.source[self.position : self.position + 1] in set(_SPACE):
            self.position += 1

    def _advance(self) -> None:
        """Read the next token into ``_kind`` and ``_text``."""
        self._skip_space()
        match = _TOKEN.match(self.source, self.position)
        if match is None:
            rest = self.source[self.position : self.position + 10]
            raise self._mistake(f"{rest!r} is not understood" if rest else "the }} is missing")
        self._kind, self._text = str(match.lastgroup), match[0]
        self.position = match.end()

    def _unexpected(self) -> ValueSyntaxError:
        return self._mistake(
            "a value is missing" if self._kind == "end" else f"{self._text} stands in a wrong place"
        )

    def _mistake(self, what: str) -> ValueSyntaxError:
        action = self.source[self._start - 2 : self._start + 60]
        return ValueSyntaxError(f"in {action!r}: {what}")

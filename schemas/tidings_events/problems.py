"""Describes what is wrong with a notification: the field, the fault, the remedy."""

import codecs
import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Self, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tidings_events.notifications import CHANNELS, MODELS
from tidings_events.notifications.fields import HALF_A_PAIR, Unquoted

_LONGEST_QUOTE = 80
_MOST_PROBLEMS = 25
_PART = 1024 * 1024
_WHOLE = "notification"
_NO_OBJECT = "is not an object; write a JSON object, {…}"
_NOT_ABOUT_A_VALUE = {"missing", "extra_forbidden"}

_PATH = re.compile(r"[A-Za-z_][\w.\[\]-]*")
_UNKNOWN = re.compile(
    r"(.*): (is not a field of \w+; (?:remove it|did you mean `\w+`\?))", re.DOTALL
)

Location = tuple[int | str, ...]


class ContractProblem(str):
    """The sentence about one problem, with what a program reads: which field, and which kind of fault.

    Everywhere else it is the sentence alone.
    """

    location: Location
    """The names and indexes that lead to the field; empty for the notification as a whole."""
    code: str
    """The kind of fault, e.g. `missing`; `invalid` for whatever has no other."""

    def __new__(cls, sentence: str, location: Location = (), code: str = "invalid") -> Self:
        """Neither is part of the sentence's equality or hash."""
        problem = super().__new__(cls, sentence)
        problem.location, problem.code = location, code
        return problem

    @property
    def pointer(self) -> str:
        """The field as a JSON Pointer (RFC 6901), e.g. `/attachments/0/filename`; empty for the whole."""
        steps = (str(step).replace("~", "~0").replace("/", "~1") for step in self.location)
        return "".join(f"/{step}" for step in steps)


def with_location(problem: str) -> ContractProblem:
    """A problem with its location; of a sentence that brings none, the field that it begins with."""
    if isinstance(problem, ContractProblem):
        return problem
    path, _, _ = problem.partition(": ")
    if path == _WHOLE or not _PATH.fullmatch(path):
        return ContractProblem(problem)
    steps = path.replace("]", "").replace("[", ".").split(".")
    return ContractProblem(problem, tuple(int(it) if it.isdigit() else it for it in steps))


def describe(error: ValidationError, body: bytes = b"") -> tuple[str, ...]:
    """One sentence per problem, at most 25. `body` is what was parsed, if anything was.

    Works for errors of `parse` and for those raised by constructing a model. Values are quoted
    in at most 80 characters, and personal content never. Each is a `ContractProblem`.
    """
    first = error.errors(include_url=False)[:_MOST_PROBLEMS]
    problems = [problem for details in first for problem in _problems_of(details, error, body)]
    rest = error.error_count() - len(first)
    if rest:
        problems.append(f"{_WHOLE}: has {rest} more problems; correct these first")
    return tuple(problems)


def describe_request(error: ValidationError, model: type[BaseModel]) -> tuple[ContractProblem, ...]:
    """Like `describe`, of a model that is no notification, e.g. the parameters of a query."""
    first = error.errors(include_url=False)[:_MOST_PROBLEMS]
    return tuple(_of_request(details, model) for details in first)


def _of_request(details: ErrorDetails, model: type[BaseModel]) -> ContractProblem:
    location, code = details["loc"], _CODES.get(details["type"], "invalid")
    if location:
        return ContractProblem(_sentence(details, model, location), location, code)
    no_object = details["type"] == "model_type"
    return ContractProblem(
        _NO_OBJECT if no_object else _own_message(details, model, None), (), code
    )


def without_values(problem: str) -> str:
    """A sentence of `describe` for a log: the field and the fault, without its value."""
    if unknown := _UNKNOWN.fullmatch(problem):
        name = unknown[1] if _PATH.fullmatch(unknown[1]) else "a name"
        return f"{name}: {unknown[2]}"
    path, _, message = problem.partition(": ")
    if not _PATH.fullmatch(path):
        return "a field breaks the contract"
    return f"{path}: {message[_length_of_quote(message) :].lstrip()}"


def _length_of_quote(message: str) -> int:
    """The length of the quoted value at the beginning, complete or truncated; 0 if there is none."""
    try:
        return json.JSONDecoder().raw_decode(message[:_LONGEST_QUOTE])[1]
    except ValueError:
        cut = message.startswith('"') or message[_LONGEST_QUOTE - 1 : _LONGEST_QUOTE] == "…"
        return _LONGEST_QUOTE if cut else 0


def _problems_of(details: ErrorDetails, error: ValidationError, body: bytes) -> Iterator[str]:
    match details["type"]:
        case "json_invalid":
            yield ContractProblem(not_json(details["ctx"]["error"], body), (), "not_json")
        case "union_tag_invalid" | "union_tag_not_found":
            yield ContractProblem(_unknown_channel(details["input"]), ("channel",), "not_allowed")
        case "broken_rules":
            for field, message in details["ctx"]["problems"]:
                yield ContractProblem(f"{field}: {message}", (field,), "rule")
        case _ if not details["loc"]:
            sentence = f"{_WHOLE}: {_NO_OBJECT}"
            yield ContractProblem(sentence, (), "type")
        case _:
            yield _about_a_field(details, error)


_COMPRESSED: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"\x78\x01", "zlib"),
    (b"\x78\x9c", "zlib"),
    (b"\x78\xda", "zlib"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
)
"""The first bytes of compressed data."""


def not_json(error: str, body: bytes) -> str:
    """Why bytes are not JSON; `error` is the parser's text."""
    if (
        kind := next((name for begin, name in _COMPRESSED if body.startswith(begin)), None)
    ) is not None:
        return f"{_WHOLE}: is compressed ({kind}); publish plain JSON in UTF-8"
    if (at := _first_bad_byte(body)) is not None:
        return f"{_WHOLE}: is not UTF-8 from byte {at:,} on; encode the JSON as UTF-8"
    if body.startswith(b"\xef\xbb\xbf"):
        return f"{_WHOLE}: starts with a byte order mark; leave it out"
    if not body.strip():
        return f"{_WHOLE}: is empty; write a JSON object, {{…}}"
    return f"{_WHOLE}: is not valid JSON ({error}); write a JSON object, {{…}}"


def _first_bad_byte(body: bytes) -> int | None:
    """The first byte that is not UTF-8; decoded in parts, as the whole could take four times its size."""
    at = 0
    while at < len(body):
        try:
            _, read = codecs.utf_8_decode(body[at : at + _PART], "strict", at + _PART >= len(body))
        except UnicodeDecodeError as error:
            return at + error.start
        at += read
    return None


def _unknown_channel(notification: Any) -> str:
    given = notification.get("channel") if isinstance(notification, dict) else None
    choice = f"use one of {', '.join(CHANNELS)}"
    if given is None:
        return f"channel: is missing; {choice}"
    if not isinstance(given, str):
        return f"channel: must be a string; {choice}"
    return f"channel: {_quoted(given)} is not a known channel; {choice}"


def _about_a_field(details: ErrorDetails, error: ValidationError) -> str:
    return _sentence(details, *_model_and_location(details["loc"], error.title))


def _sentence(details: ErrorDetails, model: type[BaseModel], location: Location) -> str:
    owner, field, private = _resolve(model, location)
    wording = _WORDINGS.get(details["type"], _pydantic_message)
    message = wording(details, owner, field)
    is_scalar = isinstance(details["input"], str | int | float) or details["input"] is None
    if is_scalar and not private and details["type"] not in _NOT_ABOUT_A_VALUE:
        message = f"{_quoted(details['input'])} {message}"
    steps = tuple(step for step in location if step != "[key]")
    code = _CODES.get(details["type"], "invalid")
    return ContractProblem(f"{_path(location)}: {message}", steps, code)


def _model_and_location(loc: Location, title: str) -> tuple[type[BaseModel], Location]:
    """An error of the union of channels has the channel before the field; one of a single model has not."""
    for channel, model in MODELS.items():
        if title == model.__name__:
            return model, loc
        if loc[0] == channel and title not in {each.__name__ for each in MODELS.values()}:
            return model, loc[1:]
    raise LookupError(f"{title} is not the model of a channel")


def _resolve(
    model: type[BaseModel], location: Location
) -> tuple[type[BaseModel], FieldInfo | None, bool]:
    """The innermost model and field at `location`, and whether its value must not be quoted."""
    field, private = None, False
    for step in location:
        if isinstance(step, int) or step not in model.model_fields:
            continue
        field = model.model_fields[step]
        private = private or any(isinstance(each, Unquoted) for each in _notes(field))
        inner = _model_within(field.annotation)
        if inner is None:
            break
        model = inner
    return model, field, private


def _notes(field: FieldInfo) -> Iterator[Any]:
    yield from field.metadata
    yield from _nested_notes(field.annotation)


def _nested_notes(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    for part in get_args(annotation):
        yield from _nested_notes(part)


def _model_within(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_within(part))), None)


def _path(location: Location) -> str:
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step != "[key]":
            name = _printable(step[:_LONGEST_QUOTE])
            path += f".{name}" if path else name
    return _shortened(path)


def _quoted(value: str | float | None) -> str:
    if isinstance(value, str):
        value = value[:_LONGEST_QUOTE]
    return _shortened(_printable(json.dumps(value, ensure_ascii=False)))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_QUOTE else f"{text[: _LONGEST_QUOTE - 1]}…"


def _like(field: FieldInfo | None) -> str:
    examples = _examples(field) if field else None
    if not examples:
        return ""
    example = examples[0]
    return example if isinstance(example, str) else json.dumps(example)


def _examples(field: FieldInfo) -> list[Any] | None:
    if field.examples:
        return field.examples
    nested = (note.examples for note in _notes(field) if isinstance(note, FieldInfo))
    return next((examples for examples in nested if examples), None)


Wording = Callable[[ErrorDetails, type[BaseModel], FieldInfo | None], str]


def _missing(_: ErrorDetails, __: type[BaseModel], field: FieldInfo | None) -> str:
    like = _like(field)
    return f"is missing; write it like {like}" if like else "is missing"


def _unknown(details: ErrorDetails, owner: type[BaseModel], _: FieldInfo | None) -> str:
    name = str(details["loc"][-1])
    close = difflib.get_close_matches(name[:_LONGEST_QUOTE], owner.model_fields, n=1)
    advice = f"did you mean `{close[0]}`?" if close else "remove it"
    return f"is not a field of {owner.__name__}; {advice}"


def _pattern(_: ErrorDetails, __: type[BaseModel], field: FieldInfo | None) -> str:
    like = _like(field)
    return f"is not of the right form; write it like {like}" if like else "is not of the right form"


def _choice(details: ErrorDetails, _: type[BaseModel], __: FieldInfo | None) -> str:
    return f"is not allowed; use {details['ctx']['expected']}"


def _length(details: ErrorDetails, _: type[BaseModel], __: FieldInfo | None) -> str:
    limits, length = details["ctx"], len(details["input"])
    if "max_length" not in limits:
        return "is empty; leave the field out instead"
    unit = "characters long" if isinstance(details["input"], str) else "items long"
    return f"is {length:,} {unit}; at most {limits['max_length']:,} are allowed"


def _must_be(kind: str) -> Wording:
    return lambda _, __, ___: f"must be {kind}"


def _is_not(kind: str) -> Wording:
    def write(_: ErrorDetails, __: type[BaseModel], field: FieldInfo | None) -> str:
        like = _like(field)
        return f"is not {kind}; write it like {like}" if like else f"is not {kind}"

    return write


def _no_such_time(details: ErrorDetails, _: type[BaseModel], field: FieldInfo | None) -> str:
    return f"is not a date and time: {details['ctx']['error']}; write it like {_like(field)}"


def _out_of_range(details: ErrorDetails, _: type[BaseModel], __: FieldInfo | None) -> str:
    limits = details["ctx"]
    if "le" in limits:
        return f"is too large; {limits['le']:,} is the most"
    return f"is too small; {limits['ge']:,} is the least"


def _lone_surrogate(_: ErrorDetails, __: type[BaseModel], ___: FieldInfo | None) -> str:
    return HALF_A_PAIR


def _own_message(details: ErrorDetails, _: type[BaseModel], __: FieldInfo | None) -> str:
    return str(details["ctx"]["error"])


def _pydantic_message(details: ErrorDetails, _: type[BaseModel], field: FieldInfo | None) -> str:
    message = details["msg"].replace("Input should be", "must be")
    like = _like(field)
    return f"{message}; write it like {like}" if like else message


_WORDINGS: Mapping[str, Wording] = MappingProxyType(
    {
        "missing": _missing,
        "extra_forbidden": _unknown,
        "string_pattern_mismatch": _pattern,
        "enum": _choice,
        "literal_error": _choice,
        "string_too_long": _length,
        "string_too_short": _length,
        "too_long": _length,
        "too_short": _length,
        "string_type": _must_be("a string"),
        "string_unicode": _lone_surrogate,
        "int_type": _must_be("a whole number"),
        "int_from_float": _must_be("a whole number"),
        "int_parsing_size": _must_be("a smaller number"),
        "bool_type": _must_be("true or false"),
        "greater_than_equal": _out_of_range,
        "less_than_equal": _out_of_range,
        "uuid_type": _is_not("a UUID"),
        "uuid_parsing": _is_not("a UUID"),
        "datetime_parsing": _no_such_time,
        "datetime_from_date_parsing": _no_such_time,
        "dict_type": _must_be("an object, {…}"),
        "model_type": _must_be("an object, {…}"),
        "model_attributes_type": _must_be("an object, {…}"),
        "tuple_type": _must_be("a list, […]"),
        "value_error": _own_message,
    }
)

_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "missing": "missing",
        "extra_forbidden": "unknown_field",
        "string_pattern_mismatch": "format",
        "enum": "not_allowed",
        "literal_error": "not_allowed",
        "string_too_long": "too_long",
        "string_too_short": "too_short",
        "too_long": "too_long",
        "too_short": "too_short",
        "string_type": "type",
        "string_unicode": "format",
        "int_type": "type",
        "int_from_float": "type",
        "int_parsing_size": "out_of_range",
        "greater_than_equal": "out_of_range",
        "less_than_equal": "out_of_range",
        "int_parsing": "type",
        "bool_type": "type",
        "bool_parsing": "type",
        "uuid_type": "type",
        "uuid_parsing": "format",
        "datetime_parsing": "format",
        "datetime_from_date_parsing": "format",
        "dict_type": "type",
        "model_type": "type",
        "model_attributes_type": "type",
        "tuple_type": "type",
    }
)
"""What programs read of each kind of error; they are part of the HTTP API: never change one."""

"""JSON that breaks readers, and values that mean something to whoever shows them."""

from __future__ import annotations

from typing import Any, Final

from tests.hostile.corpus.entries import Output, Row, holds

BREAKS: Final = Row(
    "E.2",
    "JSON of 100 000 levels, of millions of values, numbers of 5000 digits, the same key twice, half surrogates, a "
    "byte order mark, UTF-16, bytes behind the end",
    "read in a child process with bounded memory; what readers read differently is refused",
)
NUMBERS: Final = Row(
    "E.2",
    "NaN, Infinity, 1e999",
    "become null, as at Grand Challenge; where null is none of the kind, a finding",
)
TEMPLATES: Final = Row(
    "E.2",
    "values with template syntax, HTML, scripts, formulas, escapes, `__proto__`",
    "values are data: kept as they are, escaped where they are shown",
)
NOT_JSON: Final = "is not valid json. "


def _broken(id_: str, says: str, data: bytes) -> Output:
    return Output(id_, BREAKS, holds(data), says)


def _text(id_: str, data: bytes) -> Output:
    return Output(id_, TEMPLATES, holds(data), None)


SCHEMAS: Final = Row(
    "E.2",
    "JSON schemas that refer to themselves, to a URL, to ten things that each refer to ten things; patterns that try "
    "for ever; uniqueness of 50 000 entries",
    "references lead nowhere but into the schema; the check runs in a child process with a time limit",
)
SLOW: Final = "checking it took more than 10 seconds"
_LAUGHS = {str(level): {"allOf": [{"$ref": f"#/definitions/{level + 1}"}] * 10} for level in range(12)}


def _schema(id_: str, says: str, value: bytes, schema: dict[str, Any], *, heavy: bool = False) -> Output:
    return Output(id_, SCHEMAS, holds(value), says, socket={"schema_": schema}, heavy=heavy, alone=heavy)


ENTRIES = (
    _schema("schema-of-itself", "refers to itself without an end", b"1", {"$ref": "#"}),
    _schema(
        "schema-remote",
        'its $ref "http://127.0.0.1:1/x" leads nowhere',
        b"1",
        {"$ref": "http://127.0.0.1:1/x"},
    ),
    _schema("schema-of-a-file", "leads nowhere", b"1", {"$ref": "file:///etc/passwd"}),
    _schema(
        "schema-laughs",
        SLOW,
        b"1",
        {"$ref": "#/definitions/0", "definitions": {**_LAUGHS, "12": {}}},
        heavy=True,
    ),
    _schema("schema-pattern", SLOW, b'"' + b"a" * 60 + b'!"', {"pattern": "^(a+)+$"}, heavy=True),
    _schema(
        "schema-unique",
        SLOW,
        b"[" + b",".join(b'{"a":%d}' % n for n in range(50_000)) + b"]",
        {"uniqueItems": True},
        heavy=True,
    ),
    _broken("json-cut", NOT_JSON, b"{"),
    _broken("json-empty", NOT_JSON + "It is empty", b""),
    _broken("json-blank", NOT_JSON + "It is empty", b" \n\t "),
    _broken("json-utf-16", NOT_JSON + "It is not UTF-8", b"\xff\xfe1\0"),
    _broken("json-bom", NOT_JSON + "It begins with a byte order mark", b"\xef\xbb\xbf1"),
    _broken("json-overlong", NOT_JSON + "It is not UTF-8", b'"\xc0\x80"'),
    _broken(
        "json-deep-lists", NOT_JSON + "It is nested deeper than 200 levels", b"[" * 100_000 + b"]" * 100_000
    ),
    _broken(
        "json-deep-objects", NOT_JSON + "It is nested deeper than", b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    ),
    _broken("json-201-levels", NOT_JSON + "It is nested deeper than", b"[" * 201 + b"]" * 201),
    _broken("json-5000-digits", NOT_JSON + "It contains a whole number of more than 64 bits", b"9" * 5000),
    _broken("json-million-digits", NOT_JSON + "It contains a whole number", b"[-" + b"9" * 1_000_000 + b"]"),
    _broken("json-2-to-the-63", NOT_JSON + "It contains a whole number", b"9223372036854775808"),
    _broken("json-key-twice", NOT_JSON + 'It contains the key "a" twice', b'{"a": 1, "a": 2}'),
    _broken("json-key-twice-escaped", NOT_JSON + 'It contains the key "a" twice', b'{"a": 1, "\\u0061": 2}'),
    _broken("json-half-surrogate", NOT_JSON + "It contains half of a surrogate pair", b'"\\ud800"'),
    _broken("json-half-surrogate-key", NOT_JSON + "It contains half of a surrogate pair", b'{"\\udfff": 1}'),
    _broken("json-control", NOT_JSON, b'"\x1b[2J"'),
    _broken("json-two-values", NOT_JSON + "Extra data", b"1 2"),
    _broken("json-comment", NOT_JSON, b"1 // one"),
    _broken("json-5-million-lists", "is too large", b"[" + b"[]," * 5_000_000 + b"1]"),
    _broken(
        "json-million-keys", "is too large", b"{" + b",".join(b'"%d":0' % n for n in range(1_200_000)) + b"}"
    ),
    _broken("json-bytes", "is too large…the limit is 16777216 bytes", b" " * (16 << 20) + b"1"),
    Output(
        "json-nan-for-a-number",
        NUMBERS,
        holds(b"NaN"),
        "is not valid. JSON does not fulfill schema",
        kind="Float",
    ),
    Output(
        "json-1e999", NUMBERS, holds(b"1e999"), "is not valid. JSON does not fulfill schema", kind="Float"
    ),
    Output("json-nan-for-anything", NUMBERS, holds(b'{"dice": NaN, "hd": -Infinity}'), None),
    Output(
        "json-text-for-a-number",
        NUMBERS,
        holds(b'"\\u001b' + b"x" * 9000 + b'"'),
        "is not a number",
        kind="Float",
    ),
    _text(
        "text-jinja",
        b'{"a": "{{ cycler.__init__.__globals__.os.popen(\'id\').read() }}", "{% include %}": 1}',
    ),
    _text(
        "text-html",
        b'["<script>alert(1)</script>", "</pre><img src=x onerror=alert(1)>", "javascript:alert(1)"]',
    ),
    _text("text-escapes", b'"\\u001b]52;c;eA==\\u0007\\u009b2J\\u202e\\u2028\\u0000"'),
    _text(
        "text-proto", b'{"__proto__": {"admin": true}, "constructor": 1, "<<": {"a": 1}, "": "", "=": "=1+1"}'
    ),
    _text("text-percent", b'"%s %n {0.__class__} $(id) `id` ${HOME}"'),
    _text("text-200-levels", b"[" * 200 + b"]" * 200),
)

"""Give answers of the gateway to the models of a gcapi. Run by the Python that has it; JSON comes in and goes out.

In: a list of {"what", "model", "body"}; `model` is a class of gcapi.models. Out: {"refused": why, by `what`; "asked":
by class, the keys without which an answer was refused}.
"""

import dataclasses
import json
import sys
from collections.abc import Iterator
from typing import Any

import gcapi.models
from pydantic import ValidationError

Body = dict[str, Any]


def objects(body: Any, made: Any) -> Iterator[tuple[Body, str]]:
    """Every object in an answer, with the class that the client made of it."""
    if dataclasses.is_dataclass(made):
        yield body, type(made).__name__
        for field in dataclasses.fields(made):
            yield from objects(body.get(field.name), getattr(made, field.name))
    elif isinstance(made, list):
        for each, made_of_it in zip(body, made):  # noqa: B905 - the oldest client is for Python 3.9
            yield from objects(each, made_of_it)


def why_refused(model: Any, body: Body) -> "str | None":
    """None: the model takes it."""
    try:
        model(**body)
    except ValidationError as error:
        return str(error)
    return None


def main() -> None:
    """See above."""
    refused: dict[str, str] = {}
    asked: dict[str, set[str]] = {}
    for answer in json.load(sys.stdin):
        model, body = getattr(gcapi.models, answer["model"]), answer["body"]
        if (why := why_refused(model, body)) is not None:
            refused[answer["what"]] = why
            continue
        for part, name in objects(body, model(**body)):
            known = asked.setdefault(name, set())
            for key in part.keys() - known:
                value = part.pop(key)
                if why_refused(model, body) is not None:
                    known.add(key)
                part[key] = value
    json.dump({"refused": refused, "asked": {name: sorted(keys) for name, keys in asked.items()}}, sys.stdout)


if __name__ == "__main__":
    main()

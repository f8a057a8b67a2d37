"""What is wrong with a study file, told by the place in the file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from pncviz.registry.checks import close_match

__all__ = ["problems"]

#: pydantic's words, which are for those who write Python, and ours.
_WORDS = (
    (r"input should be a valid dictionary or instance of Part", "must be a name or a table"),
    (r"input should be a valid dictionary.*", "must be a table"),
    (r"input should be a valid list", "must be a list, in [ ]"),
    (r"list should have at least 1 item.*", "must not be empty"),
    (r"string should have at least 1 character", "must not be empty"),
    (r"string should match pattern.*", "must be lower-case letters, digits, - and _, at most 60"),
    (r"input should be", "must be"),
)


def problems(
    errors: Sequence[Mapping[str, Any]], tables: Mapping[str, type[BaseModel]]
) -> list[str]:
    """Tell pydantic's findings by their places, with suggestions.

    Parameters
    ----------
    errors : sequence of mapping
    tables : mapping of str to type
        What may stand under each name; "" is the file itself.
    """
    shared = {(error["type"], *error["loc"]) for error in errors}
    return [
        _problem(error, tables)
        for error in errors
        # What the file says for all grids is wrong once, not once a grid.
        if error["loc"][:1] != ("grid",) or (error["type"], *error["loc"][2:]) not in shared
    ]


def _problem(error: Mapping[str, Any], tables: Mapping[str, type[BaseModel]]) -> str:
    where = list(error["loc"])
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in where).lstrip(".")
    if error["type"] == "extra_forbidden":
        within = [place for place in where[:-1] if place in tables]
        known = [
            field.alias or name
            for name, field in tables[str(within[-1]) if within else ""].model_fields.items()
        ]
        close = close_match(str(where[-1]), known)
        hint = f" Did you mean `{close}`?" if close else ""
        return f"there is no key `{path}`.{hint} Choices: {', '.join(known)}"
    if error["type"] == "missing":
        return f"`{path}` is missing"
    return f"`{path}`{_message(error)}, got {error['input']!r:.80}{_hint(error)}"


def _message(error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    for theirs, ours in _WORDS:
        message = re.sub(f"^{theirs}", ours, message)
    return f" {message}" if message.startswith("must") else f": {message}"


def _hint(error: Mapping[str, Any]) -> str:
    if error["type"] == "literal_error":
        close = close_match(str(error["input"]), re.findall(r"'([^']*)'", error["msg"]))
        return f"; did you mean {close!r}?" if close else ""
    table = error["type"] == "list_type" and isinstance(error["input"], dict)
    return f"; write [[{error['loc'][-1]}]]" if table else ""

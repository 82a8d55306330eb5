"""Logs as one JSON object a line: what others wrote cannot forge a line or a field."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import orjson

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_MAX_TEXT = 4096


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, every plain `extra` (such as key and uid), and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _cut(record.getMessage()),
        }
        for name, value in record.__dict__.items():
            if name in _STANDARD or name.startswith("k8s_") or name in line:
                continue
            if isinstance(value, str):
                line[name] = _cut(str(value))
            elif isinstance(value, bool | int | float):
                line[name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)[-4 * _MAX_TEXT :]
        return orjson.dumps(line, default=str).decode()


def _cut(text: str) -> str:
    # Lone surrogates, as of undecodable bytes, are not JSON.
    return text[:_MAX_TEXT].encode("utf-8", "backslashreplace").decode()


def configure(level: str) -> None:
    """All loggers to stderr as JSON; what the libraries say counts from WARNING on, unless level is DEBUG."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel("DEBUG" if level == "DEBUG" else "WARNING")
    logging.getLogger("algorithm_operator").setLevel(level)

"""What an API server may answer instead of what was asked for."""

# ruff: noqa: N818 - named as the API server names them

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An answer other than 2xx: HTTP `status`, the server's `reason` and `message`, and `details` as JSON.

    `status` 0: no answer (connection, timeout), after the retries that the verb allows.
    """

    def __init__(self, status: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(f"{reason or status}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details or {}


class Unreachable(ApiError):
    """No answer at all (status 0)."""


class NotFound(ApiError):
    """404: the object, or its namespace or kind."""


class Conflict(ApiError):
    """409: another writer was faster, or a precondition (uid, resourceVersion) does not hold.

    Also the 422 of a patch or apply whose metadata.uid is not that of the object.
    """


class AlreadyExists(Conflict):
    """409 of a create: the name is taken."""


class Forbidden(ApiError):
    """403: RBAC, quota, Pod Security or another admission refused it; `message` holds the server's words."""

    @property
    def is_quota(self) -> bool:
        """Whether a ResourceQuota was in the way: it may have room later."""
        return "exceeded quota" in self.message or "failed quota" in self.message


class Invalid(ApiError):
    """422: the object breaks its schema or a validation rule; `message` says which."""


class Gone(ApiError):
    """410: a resourceVersion or continue token is too old; list anew."""


class TooManyRequests(ApiError):
    """429, still so after the retries that Retry-After asked for."""


_BY_STATUS: dict[int, type[ApiError]] = {
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def from_status(status: int, body: Any) -> ApiError:
    """The error for an answer with that HTTP status; `body` is the decoded metav1.Status, if it was one."""
    fields = body if isinstance(body, dict) else {}
    reason = str(fields.get("reason") or "")
    message = str(fields.get("message") or body or "no message")[:4096]
    found = fields.get("details")
    details: dict[str, Any] = found if isinstance(found, dict) else {}
    kind = _BY_STATUS.get(status, ApiError)
    if reason == "AlreadyExists":
        kind = AlreadyExists
    elif kind is Invalid and _is_other_uid(details):
        kind = Conflict
    return kind(status, reason, message, details)


def _is_other_uid(details: dict[str, Any]) -> bool:
    """Whether a patch that names a uid met another object: the server calls that an immutable field (422)."""
    causes = [c for c in details.get("causes") or [] if isinstance(c, dict)]
    return any(c.get("field") == "metadata.uid" for c in causes)

"""What it means that the cluster did not take a Pod."""

from __future__ import annotations

from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import shown
from algorithm_operator.controller.context import Context
from algorithm_operator.kube.errors import ApiError, Forbidden

_MAX_WHY = 700


def denial(error: ApiError, namespace: str, context: Context) -> tuple[Reason, str]:
    """Why the cluster refused a Pod in `namespace`, in words.

    :raises ApiError: no answer, a name or namespace that is gone, a race or a rush: the same request may do better in
        a moment.
    """
    if error.status in (0, 401, 404, 409, 429):
        raise error
    context.cluster.forget(namespace)
    is_quota = isinstance(error, Forbidden) and error.is_quota
    reason = Reason.QUOTA_EXCEEDED if is_quota else Reason.ADMISSION_DENIED
    return reason, sentence(reason, why=shown(error.message, _MAX_WHY))

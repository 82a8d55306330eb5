"""The static NetworkPolicy of a namespace is put back where Pods of ours are due and nothing closes them."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from algorithm_operator.controller.context import Context
from algorithm_operator.core import names, policies
from algorithm_operator.kube.errors import ApiError
from algorithm_operator.kube.resources import NETWORK_POLICIES

AGAIN_SECONDS = 10.0
"""A namespace that refused the policy is asked again after that."""

log = logging.getLogger(__name__)


async def seal(namespace: str, labels: Mapping[str, str], context: Context) -> None:
    """See to it that some policy closes Pods with `labels`, if the operator may: else what needs it waits and says so.

    Called at every look at a job or store that has Pods or wants them, so a policy that is deleted comes back with the
    watch's word of it.
    """
    there = context.store.by_namespace(NETWORK_POLICIES, namespace)
    wanted = policies.restored(namespace, there, labels)
    refused = f"{names.DENY_ALL_POLICY} of {namespace}"
    if wanted is None or not context.settings.manage_policy or context.cluster.held_off(refused) > 0:
        return
    try:
        applied = await context.client.apply(
            NETWORK_POLICIES, namespace, names.DENY_ALL_POLICY, wanted, field_manager=names.FIELD_MANAGER
        )
    except ApiError as error:
        context.cluster.hold_off(refused, AGAIN_SECONDS)
        log.warning("the policy that seals jobs was not put back: %s", error, extra={"key": namespace})
        return
    context.store.put(NETWORK_POLICIES, applied)
    log.warning(
        "the policy that seals jobs was missing or changed, and is put back", extra={"key": namespace}
    )

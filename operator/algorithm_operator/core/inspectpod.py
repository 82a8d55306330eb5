"""The Pod that asks a registry one question with pull secrets: trusted image, network, credentials, no parsing. Pure.

It has no role label: the policy that closes the Pods of jobs would close it as well. It runs nothing of the image.
"""

from __future__ import annotations

from typing import Any

from algorithm_operator.contract.fetching import ORDER_VARIABLE, Order
from algorithm_operator.core import errand, names
from algorithm_operator.core.containers import mount, step_container
from algorithm_operator.core.settings import PodSettings
from algorithm_operator.core.storepod import near_gpus
from algorithm_operator.core.world import Algorithm

Body = dict[str, Any]
DEADLINE_SECONDS = 300


def inspect_pod(of: Algorithm, order: Order, round_: int, settings: PodSettings) -> Body:
    """The Pod for one order. A Secret that is not there is no reason to hang: the step reports it."""
    mounts = [
        mount(f"secret-{i}", f"{names.SECRETS_MOUNT}/{i}", read_only=True) for i in range(len(order.secrets))
    ]
    container = step_container(names.INSPECT, settings, settings.collect_resources, mounts)
    text = order.model_dump_json(by_alias=True, exclude_none=True)
    # The kubelet would expand $(VAR) and $$.
    container["env"].append({"name": ORDER_VARIABLE, "value": text.replace("$", "$$")})
    spec: Body = {
        "dnsPolicy": "ClusterFirst",
        "dnsConfig": None,
        "tolerations": near_gpus(settings)["tolerations"],
        "containers": [container],
        "volumes": [
            {"name": f"secret-{i}", "secret": {"secretName": name, "optional": True}}
            for i, name in enumerate(order.secrets)
        ],
    }
    name = names.inspect_pod(of.name, round_)
    labels, who = {names.LABEL_TASK: names.TASK_INSPECT}, errand.user_for(of.spec)
    return errand.pod(of, name, labels, spec, seconds=DEADLINE_SECONDS, user=who)

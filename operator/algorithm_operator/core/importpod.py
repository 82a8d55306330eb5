"""The Pod that makes one image of an ImageImport's files: sealed, for it parses what anybody uploaded. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.contract.importing import ImportPlan
from algorithm_operator.core import errand, names, quantity, seal
from algorithm_operator.core.containers import mount, plan_volume, step_container
from algorithm_operator.core.inputs import of_store
from algorithm_operator.core.settings import PodSettings
from algorithm_operator.core.storepod import near_gpus
from algorithm_operator.core.world import Import

Body = dict[str, Any]
_READING_SHARE = 0.75
"""Of the time limit: what is left is for our image's pull and for hashing, so that a slow reader is told as such."""


def import_pod(
    of: Import, attempt: int, output_store: str, stores: Mapping[str, DataStoreSpec], settings: PodSettings
) -> Body:
    """The Pod of one attempt. It sees exactly the files that are named, read-only, and the import's own folder."""
    source, kept = stores[of.spec.source.name], stores[output_store]
    claims = [each.persistent_volume_claim.claim_name for each in (source, kept)]
    volume_of = {claim: f"store-{number}" for number, claim in enumerate(dict.fromkeys(claims))}
    plan = _plan(of, settings)
    mounts = [
        mount("plan", names.PLAN_MOUNT, read_only=True),
        mount("scratch", names.SCRATCH_MOUNT),
        mount(volume_of[claims[1]], names.STORE_MOUNT, sub_path=names.import_folder(of.name, of.uid)),
    ]
    for file in plan.files:
        path = file.path.rstrip("/")
        mounts.append(mount(volume_of[claims[0]], file.mount, read_only=True, sub_path=path))
    spec: Body = {
        **near_gpus(settings),
        "containers": [step_container(names.IMPORT, settings, settings.import_resources, mounts)],
        "volumes": [
            plan_volume(),
            {"name": "scratch", "emptyDir": {}},
            *(
                {"name": volume, "persistentVolumeClaim": {"claimName": claim}}
                for claim, volume in volume_of.items()
            ),
        ],
    }
    return errand.pod(
        of,
        names.import_pod(of.name, attempt),
        {names.LABEL_ROLE: names.ROLE_IMPORT, names.LABEL_IMPORT: of.name},
        spec,
        seconds=of.spec.time_limit_seconds,
        groups=sorted({each.gid for each in (source, kept) if each.gid is not None}),
        plan=seal.canonical(plan.wire()),
    )


def _plan(of: Import, settings: PodSettings) -> ImportPlan:
    source = of.spec.source
    return ImportPlan(
        name=of.uid,
        kind=of.spec.kind,
        files=[of_store(0, number, source.name, path) for number, path in enumerate(source.paths)],
        settings={
            "stageMemoryBytes": int(quantity.parse(settings.import_resources["memory"])),
            "readSeconds": int(of.spec.time_limit_seconds * _READING_SHARE),
        },
    )

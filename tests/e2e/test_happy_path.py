"""A job that goes well, from the first byte to the last."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tests.e2e.harness import RESULTS, SCRIPT, Namespace


def test_a_job_succeeds_and_its_status_and_manifest_say_everything(namespace: Namespace) -> None:
    # On a volume of the default StorageClass, as everybody would have it.
    store = namespace.store(dynamic=True)
    namespace.algorithm(
        inputs=[SCRIPT, {"slug": "scan", "kind": "Image"}],
        outputs=[
            {**RESULTS, "storeInStatus": True},
            {
                "slug": "mask",
                "kind": "Segmentation",
                "overlaySegments": [{"name": "Lesion", "voxelValue": 1}],
            },
        ],
    )
    header = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 4 3 2\nElementSpacing = 1 2 3\nOffset = -1 5 0.5\n"
        "TransformMatrix = 1 0 0 0 1 0 0 0 1\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    )
    scan = header.encode() + bytes([0, 1] * 12)
    store.put("case-001/scan.mha", scan)
    steps: list[list[Any]] = [
        ["stdout", "hello"],
        ["copy_input", "images/scan", "images/mask/anything.mha"],
        ["write_json", "results.json", {"volume": 12.5}],
    ]
    image = {"slug": "scan", "store": {"name": store.name, "paths": ["case-001/scan.mha"]}}

    job = namespace.job("case-001", do=steps, inputs=[image])
    status = job.wait("Succeeded")

    pods = job.pods()
    assert [pod["metadata"]["name"] for pod in pods] == ["case-001-1-run"]
    assert status["reason"] == "Completed"
    assert status.get("message", "") == ""
    assert "blame" not in status
    assert status["exitCode"] == 0
    assert [(a["number"], a["pod"], a["node"], a["reason"]) for a in status["attempts"]] == [
        (1, "case-001-1-run", "t4-node", "Completed")
    ]
    assert status["logs"] == {"stdoutBytes": 6, "stderrBytes": 0}
    said = {c["type"]: c["status"] for c in status["conditions"]}
    assert {t for t, s in said.items() if s == "True"} == {
        *("Accepted", "Scheduled", "Staged", "Isolated", "Collected", "Complete")
    }
    assert "StderrOutput" not in said
    assert set(status["timing"]) == {
        *("queuedSeconds", "pulledSeconds", "stagedSeconds", "ranSeconds", "collectedSeconds")
    }

    kept = store.files(job)
    logs = {"logs/stdout.log", "logs/stderr.log", "logs/combined.jsonl"}
    assert set(kept) == {"manifest.json", "_report.json", "mask.mha", "results.json", *logs}
    assert kept["mask.mha"] == scan
    assert kept["logs/stdout.log"] == b"hello\n"
    assert kept["logs/stderr.log"] == b""
    assert status["manifest"] == {
        "path": f"{job.folder()}/manifest.json",
        "sha256": hashlib.sha256(kept["manifest.json"]).hexdigest(),
    }
    outputs = {output["slug"]: output for output in status["outputs"]}
    assert set(outputs) == {"results", "mask"}
    assert outputs["results"]["value"] == {"volume": 12.5}
    assert outputs["mask"]["image"] == {
        "size": [4, 3, 2],
        "spacing": [1, 2, 3],
        "origin": [-1, 5, 0.5],
        "direction": [1, 0, 0, 0, 1, 0, 0, 0, 1],
        "pixelType": "uint8",
        "components": 1,
    }
    for slug, file in (("results", "results.json"), ("mask", "mask.mha")):
        assert outputs[slug]["path"] == f"{job.folder()}/{file}"
        assert outputs[slug]["bytes"] == len(kept[file])
        assert outputs[slug]["sha256"] == hashlib.sha256(kept[file]).hexdigest()

    manifest = json.loads(kept["manifest.json"])
    pod = pods[0]
    assert manifest["job"] == {"namespace": namespace.name, "name": job.name, "uid": job.uid, "attempt": 1}
    assert manifest["algorithm"]["imageDigest"] == namespace.image.partition("@")[2]
    assert manifest["pod"]["uid"] == pod["metadata"]["uid"]
    assert manifest["exit"]["exitCode"] == 0
    by_slug = {each["slug"]: each for each in manifest["inputs"]}
    assert by_slug["scan"]["sha256"] == hashlib.sha256(scan).hexdigest()
    assert by_slug["script"]["bytes"] > 0
    assert {each["slug"]: each["file"]["sha256"] for each in manifest["outputs"]} == {
        slug: output["sha256"] for slug, output in outputs.items()
    }
    assert {each["path"] for each in manifest["logs"]} == logs
    probes = {each["name"]: each for each in manifest["isolation"]["probes"]}
    assert {"canary", "API server"} <= set(probes)
    assert all(each["closed"] for each in probes.values())
    assert manifest["isolation"]["seccomp"] is True


def test_a_value_needs_no_store_at_all(namespace: Namespace) -> None:
    namespace.algorithm(outputs=[{**RESULTS, "storeInStatus": True}])

    job = namespace.job("case", do=[["write_json", "results.json", [1, None]], ["stderr", "careful"]])
    status = job.wait("Succeeded")

    (output,) = status["outputs"]
    assert output["value"] == [1, None]
    assert "path" not in output
    assert "path" not in status["manifest"]
    warning = job.condition("StderrOutput")
    assert warning is not None
    assert "8 bytes" in warning["message"]

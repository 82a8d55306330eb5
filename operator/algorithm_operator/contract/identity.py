"""What a result is the result of: the same image, model and inputs have the same identity, in every job and cluster.

The hex sha256 of one line of JSON (UTF-8, keys sorted, no spaces, no line feed at its end) with the image's digest, the
inputs by slug, and the model's sha256 or null. An input's is of what the algorithm reads: a DICOM series counts as the
.mha that this release makes of it, wherever its files lie and whatever they are called.

    {"image":"sha256:…","inputs":[{"sha256":"…","slug":"t1-mri"}],"model":"…"}

Whoever has a manifest.json can compute it anew:

    jq -cSj '{image: .algorithm.imageDigest, model: (.model.sha256 // null),
              inputs: ([.inputs[] | {slug, sha256}] | sort_by(.slug))}' manifest.json | sha256sum
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable


def identity(image_digest: str, model_sha256: str | None, inputs: Iterable[tuple[str, str]]) -> str:
    """Of a run; `inputs` are (slug, sha256 in hex) in any order."""
    listed = [{"slug": slug, "sha256": sha256} for slug, sha256 in sorted(inputs)]
    whole = {"image": image_digest, "model": model_sha256, "inputs": listed}
    text = json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()

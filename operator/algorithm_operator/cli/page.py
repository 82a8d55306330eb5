"""A job as one HTML page that needs nothing else and runs nothing. Pure: facts in, HTML out.

All that comes from the job, its algorithm or its store is data: escaped, bounded, and behind a policy that lets no
script run, whatever came through.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from algorithm_operator import __version__
from algorithm_operator.api.job import ImageGeometry, JobInput, State
from algorithm_operator.api.text import shown
from algorithm_operator.cli.explain import explain
from algorithm_operator.cli.jobs import Job
from algorithm_operator.cli.lines import safe_line
from algorithm_operator.cli.show import size
from algorithm_operator.contract.failure import Finding
from algorithm_operator.contract.manifest import Manifest
from algorithm_operator.contract.markup import clean
from algorithm_operator.contract.png import drawable
from algorithm_operator.contract.report import MAX_PICTURE_BYTES, PALETTE, Preview, Report

MAX_TEXT, MAX_LOG_BYTES, MAX_VALUE = 4096, 64 * 1024, 500
_TONES = {State.SUCCEEDED: "succeeded", State.FAILED: "failed", State.CANCELLED: "cancelled"}


@dataclass(frozen=True, slots=True)
class Log:
    """The end of a log; `cut` says that there is more before it."""

    title: str
    data: bytes
    cut: bool = False
    stderr: bool = False


@dataclass(slots=True)
class Facts:
    """All that a page shows of a job besides its status. `remarks`: what could not be had, and why."""

    manifest: Manifest | None = None
    report: Report | None = None
    findings: list[Finding] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def page(job: Job, facts: Facts, *, namespace: str, made_at: str) -> str:
    """The page of a job, whatever its state."""
    status = job.status
    report = facts.report or Report()
    notes = list(report.notes)
    style = _style()
    explanation = explain(job)
    times = list(_times(job))
    images, charts = (_pictures(each, notes) for each in (report.previews, report.charts))
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_text, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_resource("page.html")).render(
        policy=Markup(_policy(style)),  # noqa: S704
        style=Markup(style),  # noqa: S704
        job=job,
        status=status,
        namespace=namespace,
        state=str(status.state or State.PENDING),
        tone=_TONES.get(status.state or State.PENDING, "open"),
        headline=_headline(job),
        why=explanation.verdict.partition(": ")[2] or explanation.verdict,
        explanation=explanation,
        findings=facts.findings,
        warnings=[
            f"{each.slug}: {told}"
            for each in (facts.manifest.outputs if facts.manifest else [])
            for told in each.warnings
        ],
        remarks=facts.remarks,
        results=_cleaned(report.results_html),
        galleries=[
            {"id": "chart", "title": "Charts", "entries": charts},
            {"id": "image", "title": "Images", "entries": images},
        ],
        notes=notes,
        files=[
            {"id": "outputs", "title": "Outputs", "rows": list(_outputs(job))},
            {"id": "inputs", "title": "Inputs", "rows": list(_inputs(job, facts.manifest))},
        ],
        logs=[_log(each) for each in facts.logs if each.data],
        times=times,
        total_seconds=max(sum(each["seconds"] for each in times), 0.001),
        record=[{"name": name, "text": text} for name, text in _record(job, facts.manifest)],
        limits=_limits(facts.manifest),
        probes=facts.manifest.isolation.probes if facts.manifest else [],
        version=__version__,
        made_at=made_at,
    )


def _text(value: object) -> object:
    """Any value on its way into the page, made one line; jinja escapes it then. HTML of our own stays."""
    return value if isinstance(value, Markup) else shown(str(value), MAX_TEXT)


def _resource(name: str) -> str:
    return (files("algorithm_operator.cli") / name).read_text("utf-8")


def _style() -> str:
    colours = "".join(f".c{place} {{ background: {colour}; }}\n" for place, colour in enumerate(PALETTE))
    return _resource("page.css") + colours


def _policy(style: str) -> str:
    """Nothing but this very style and the page's own pictures; no script, no form, no frame, no connection."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _headline(job: Job) -> str:
    match job.status.state:
        case State.FAILED:
            return f"It failed: {job.status.reason or 'no reason is known'}"
        case State.CANCELLED:
            return "It was cancelled"
    return "It is not finished"


def _cleaned(html: str | None) -> Markup | None:
    """The fragment as the allow-list leaves it: what the sealed Pod has cleaned is cleaned again."""
    if html is None:
        return None
    lines = (shown(line, len(html) * 10) for line in html.split("\n"))
    return Markup(clean("\n".join(lines)))  # noqa: S704


def _pictures(previews: Sequence[Preview], notes: list[str]) -> list[dict[str, Any]]:
    items = []
    for preview in previews:
        pictures = []
        for picture in preview.pictures:
            png = _png(picture.png)
            if png is None:
                notes.append(f"A picture of {preview.title} is not shown: it is no PNG.")
                continue
            source = Markup(f"data:image/png;base64,{base64.b64encode(png).decode()}")  # noqa: S704
            sizes = {"width": picture.width, "height": picture.height}
            pictures.append({"label": picture.label, "source": source, **sizes})
        items.append(
            {
                "title": preview.title,
                "pictures": pictures,
                "legend": preview.legend,
                "caption": preview.caption,
            }
        )
    return items


def _png(encoded: str) -> bytes | None:
    if len(encoded) > 2 * MAX_PICTURE_BYTES:
        return None
    try:
        return drawable(base64.b64decode(encoded, validate=True))
    except ValueError:
        return None


def _outputs(job: Job) -> Iterator[dict[str, str]]:
    for each in job.status.outputs:
        what = _geometry(each.image) if each.image else ""
        if not what and "value" in each.model_fields_set:
            what = _value(each.value)
        yield _row(each.slug, each.kind, what, each.bytes, each.sha256)


def _inputs(job: Job, manifest: Manifest | None) -> Iterator[dict[str, str]]:
    given = {each.slug: each for each in job.spec.inputs}
    if manifest is None:
        run = job.status.algorithm
        kinds = {each.slug: each.kind for each in run.interface.inputs} if run is not None else {}
        for spec in given.values():
            yield _row(spec.slug, kinds.get(spec.slug, ""), _given(spec), None, None)
        return
    for each in manifest.inputs:
        parts = [_geometry(each.image)] if each.image else []
        if (how := each.conversion) is not None:
            parts += [f"converted from {how.files} {how.format} file(s) by {how.reader}"]
            parts += [note.rstrip(".") for note in how.notes]
        parts.append(_given(given[each.slug]) if each.slug in given else f"from {each.source}")
        yield _row(each.slug, each.kind, "; ".join(parts), each.bytes, each.sha256)


def _given(spec: JobInput) -> str:
    """Where an input is from, or its value."""
    if spec.has_value:
        return _value(spec.value)
    if spec.store is not None:
        return f"from {spec.store.name}:{', '.join(spec.store.paths)}"
    return f"from {_value(spec.wire())}"


def _row(slug: str, kind: str, what: str, count: int | None, sha256: str | None) -> dict[str, str]:
    return {"slug": slug, "kind": kind, "what": what, "size": size(count), "sha256": sha256 or ""}


def _geometry(image: ImageGeometry) -> str:
    voxels = " × ".join(str(count) for count in image.size)
    spacing = " × ".join(f"{mm:.4g}" for mm in image.spacing)
    vectors = f" × {image.components}" if image.components > 1 else ""
    return f"{voxels} voxels of {spacing} mm, {image.pixel_type}{vectors}"


def _value(value: Any) -> str:
    return shown(json.dumps(value, ensure_ascii=False), MAX_VALUE)


def _log(log: Log) -> dict[str, Any]:
    lines = (safe_line(line) for line in log.data.replace(b"\r", b"\n").split(b"\n"))
    text = Markup("\n").join(escape(line) for line in lines)
    return {"title": log.title, "text": text, "cut": log.cut, "stderr": log.stderr}


def _times(job: Job) -> Iterator[dict[str, Any]]:
    timing = job.status.timing
    if timing is None:
        return
    for name, seconds in (
        ("Queued", timing.queued_seconds),
        ("Pulled", timing.pulled_seconds),
        ("Staged", timing.staged_seconds),
        ("Ran", timing.ran_seconds),
        ("Collected", timing.collected_seconds),
    ):
        if seconds is not None:
            yield {"name": name, "seconds": round(seconds, 2)}


def _record(job: Job, manifest: Manifest | None) -> Iterator[tuple[str, str]]:
    run, last = job.status.algorithm, job.last_attempt
    yield "Job", f"{job.name} (uid {job.uid})"
    if run is not None:
        yield "Algorithm", f"{run.name}, generation {run.generation}, interface {run.interface.name}"
        yield "Image", run.image
    if manifest is not None and (model := manifest.model) is not None:
        yield "Model", f"{model.source}, {model.files} files, sha256 {model.sha256}"
    if manifest is not None and manifest.identity:
        yield "Identity", f"{manifest.identity} (image, model and inputs together)"
    if last is not None:
        yield "Attempt", f"{last.number}, Pod {last.pod}" + (f" on node {last.node}" if last.node else "")
    if job.status.exit_code is not None:
        yield "Exit code", str(job.status.exit_code)
    if manifest is not None and manifest.exit.peak_memory_bytes is not None:
        yield "Memory at most", size(manifest.exit.peak_memory_bytes)
    if (announced := job.status.manifest) is not None:
        yield "Manifest", f"{announced.path or 'kept in the log alone'}, sha256 {announced.sha256}"


def _limits(manifest: Manifest | None) -> list[Mapping[str, str]]:
    if manifest is None:
        return []
    limits = manifest.limits
    values = limits.model_dump(by_alias=True, exclude_none=True) | {
        "gpu": f"{limits.gpu_count} {limits.gpu_type}",
        "time": f"{limits.time_limit_seconds} s",
    }
    return [
        {"name": name, "value": str(values.get(name, "")), "by": who}
        for name, who in limits.enforced_by.items()
    ]

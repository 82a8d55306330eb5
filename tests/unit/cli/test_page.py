"""The page of a job: whatever its texts hold, they are text."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithm_operator.api.reasons import Reason
from algorithm_operator.cli.jobs import Job, job_of
from algorithm_operator.cli.page import MAX_LOG_BYTES, Facts, Log, page
from algorithm_operator.contract.failure import Finding
from algorithm_operator.contract.manifest import Conversion, Manifest, ManifestInput
from algorithm_operator.contract.report import Picture, Preview, Report, Segment
from tests.unit.cli.test_explain import condition, job
from tests.unit.cli.test_results import manifest
from tests.unit.contract.test_png import png

HOSTILE = [
    "</script><script>document.title = 'canary'</script>",
    "</title></style></pre></textarea><script>document.title = 'canary'</script>",
    "<svg onload=\"document.title = 'canary'\">",
    "<img src=x onerror=\"document.title = 'canary'\">",
    '" onmouseover="x" autofocus onfocus="document.title = \'canary\'',
    "javascript:document.title='canary'",
    "{{ 7 * 7 }}{% raw %}{{ config }}",
    "\u202egnp.exe",
    "\x1b[31mred\x1b[0m\x00",
    "a" * 100_000,
]


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """What no data may change."""
        return [(tag, tuple(attributes)) for tag, attributes in self.found]


def shown(one: Job, facts: Facts | None = None) -> str:
    return page(one, facts or Facts(), namespace="imaging", made_at="2026-11-28T09:00:00+00:00")


def with_texts(text: str) -> tuple[Job, Facts]:
    """A job that holds `text` wherever somebody else's text may be."""
    picture = Picture(label=text, png=base64.b64encode(png()).decode(), width=3, height=2)
    preview = Preview(
        slug=text, title=text, pictures=[picture], legend=[Segment(name=text, colour=1)], caption=text
    )
    record = Manifest.model_validate_json(manifest())
    record.inputs, record.identity = [], text
    record.outputs[0].warnings = [text]
    meta = {"name": text, "uid": text, "creationTimestamp": "2026-11-22T20:00:00Z"}
    spec = {"algorithmRef": {"name": "brain"}, "inputs": [{"slug": "a", "value": text}]}
    status: dict[str, Any] = {
        "state": "Failed",
        "reason": "ExitCode",
        "message": text[:1000],
        "conditions": [condition("StderrOutput", "True", "StderrOutput", text[:1000])],
        "attempts": [{"number": 1, "pod": text[:200], "node": text[:200], "message": text[:1000]}],
        "outputs": [{"slug": "out", "kind": text[:60], "value": {text: [text]}}],
        "manifest": {"path": text[:1000], "sha256": "0" * 64},
        "timing": {"ranSeconds": 1.5},
    }
    facts = Facts(
        manifest=record,
        report=Report(results_html=f"<p>{text}</p>", previews=[preview], charts=[preview], notes=[text]),
        findings=[Finding(slug=text, path=text, message=text)],
        logs=[Log(text, text.encode()), Log("stderr", text.encode(), stderr=True)],
        remarks=[text],
    )  # fmt: skip
    return job_of({"metadata": meta, "spec": spec, "status": status}), facts


def plain_shape() -> list[tuple[str, tuple[str, ...]]]:
    return Elements(shown(*with_texts("plain"))).shape


@pytest.mark.parametrize("text", HOSTILE, ids=[text[:20] for text in HOSTILE])
def test_no_text_adds_an_element_or_an_attribute(text: str) -> None:
    one, facts = with_texts(text)
    assert facts.report is not None
    facts.report.results_html = "<p>plain</p>"
    html = shown(one, facts)
    assert Elements(html).shape == plain_shape()
    assert not re.search("[\u202e\x1b\x00]", html)
    assert len(html) < 400_000


@settings(deadline=None, max_examples=30)
@given(st.text(min_size=1))
def test_no_text_at_all_does(text: str) -> None:
    one, facts = with_texts(text)
    assert facts.report is not None
    facts.report.results_html = "<p>plain</p>"
    assert Elements(shown(one, facts)).shape == plain_shape()


@pytest.mark.parametrize("text", HOSTILE, ids=[text[:20] for text in HOSTILE])
def test_the_fragment_is_cleaned_again(text: str) -> None:
    html = shown(job(state="Succeeded"), Facts(report=Report(results_html=f"<p>{text}</p>")))
    elements = Elements(html).found
    assert {tag for tag, _ in elements} & {"script", "svg", "img", "textarea", "iframe"} == set()
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on")]


def test_nothing_is_loaded_and_nothing_runs() -> None:
    html = shown(*with_texts("x"))
    elements = Elements(html).found
    (policy,) = [a["content"] for tag, a in elements if a.get("http-equiv") == "Content-Security-Policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.S)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert {tag for tag, _ in elements} & {"script", "link", "iframe", "object", "form", "base"} == set()
    sources = [attributes["src"] for _, attributes in elements if "src" in attributes]
    assert sources
    assert all((source or "").startswith("data:image/png;base64,") for source in sources)
    assert not [
        name for _, attributes in elements for name in attributes if name == "style" or name[:2] == "on"
    ]
    assert "url(" not in style


@pytest.mark.parametrize(
    "png_",
    ["", "!!!", base64.b64encode(b"<svg onload=x>").decode(), base64.b64encode(png()[:-1]).decode()],
)
def test_what_is_no_png_is_not_shown(png_: str) -> None:
    preview = Preview(slug="a", title="A scan", pictures=[Picture(label="", png=png_, width=1, height=1)])
    html = shown(job(state="Succeeded"), Facts(report=Report(previews=[preview])))
    assert "<img" not in html
    assert "A picture of A scan is not shown: it is no PNG." in html


def test_a_failed_job_says_why_whose_fault_and_what_to_do() -> None:
    one = job(
        state="Failed", reason=Reason.OUTPUT_INVALID, blame="algorithm", message="2 outputs are not valid"
    )
    finding = Finding(slug="tissues", path="images/tissues", message="was not produced")
    text = Elements(shown(one, Facts(findings=[finding]))).text
    for words in (
        "It failed: OutputInvalid",
        "2 outputs are not valid",
        "the algorithm (its developer's to correct; not retried)",
        "was not produced",
        "Write every declared output",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({}, "the operator has not looked at it yet"),
        (
            {
                "state": "Queued",
                "conditions": [condition("Scheduled", "False", "GpusBusy", "all four are busy")],
            },
            "all four are busy",
        ),
        ({"state": "Running"}, "Running"),
        ({"state": "Cancelled", "reason": "Cancelled", "message": "by spec.cancel"}, "It was cancelled"),
    ],
)
def test_every_state_has_a_page(status: dict[str, Any], words: str) -> None:
    assert words in Elements(shown(job(**status))).text


def test_stderr_of_a_success_is_a_warning() -> None:
    one = job(
        state="Succeeded", conditions=[condition("StderrOutput", "True", "StderrOutput", "It wrote 8 bytes.")]
    )
    html = shown(one, Facts(logs=[Log("stdout", b"fine"), Log("stderr", b"careful", stderr=True)]))
    assert '<pre class="stderr" tabindex="0">careful</pre>' in html
    assert "It wrote 8 bytes." in html
    assert "a warning, not a failure" in html


def test_how_an_input_was_converted_is_one_line() -> None:
    record = Manifest.model_validate_json(manifest())
    how = Conversion(format="DICOM", reader="pydicom 3", files=2, notes=["Sorted.", "Scaled."])
    record.inputs = [
        ManifestInput(
            slug="ct",
            kind="Image",
            relative_path="images/ct",
            source="a:b/",
            bytes=1,
            sha256="0" * 64,
            conversion=how,
        )
    ]
    html = shown(job(state="Succeeded"), Facts(manifest=record))
    assert "converted from 2 DICOM file(s) by pydicom 3; Sorted; Scaled; from a:b/" in html


def test_logs_keep_their_lines_and_lose_what_steers() -> None:
    html = shown(job(state="Failed"), Facts(logs=[Log("stdout", b"a\n\tb\r50 %\rc\x1b[2J\xff", cut=True)]))
    assert '<pre tabindex="0">a\n\tb\n50 %\nc\\x1b[2J\\xff</pre>' in html
    assert "Only the end is shown." in html
    assert MAX_LOG_BYTES < 100_000

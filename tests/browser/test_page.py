"""The page in a real browser: no script of a result, a name or a log runs, by the page's policy alone either."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from algorithm_operator.cli import page as pages
from algorithm_operator.cli.page import Facts
from algorithm_operator.contract.report import Report
from tests.unit.cli.test_explain import job
from tests.unit.cli.test_page import HOSTILE, shown, with_texts

CANARY = "<script>document.title = 'canary'</script><svg onload=\"document.title = 'canary'\"></svg>"


def dom(file: Path) -> str:
    """What the browser has made of a page once it is loaded."""
    browser = shutil.which("chromium")
    assert browser is not None, "chromium is missing; make browser installs it"
    done = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *(f"--user-data-dir={file.parent / 'profile'}", "--dump-dom", file.as_uri()),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout


def test_the_canary_sings_where_nothing_holds_it(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(f"<!doctype html><title>quiet</title>{CANARY}")
    assert "<title>canary</title>" in dom(file)


def test_no_script_runs(tmp_path: Path) -> None:
    one, facts = with_texts("".join(HOSTILE[:6]))
    file = tmp_path / "page.html"
    file.write_text(shown(one, facts), "utf-8")
    seen = dom(file)
    assert "<title>canary" not in seen
    assert "Record</h2>" in seen


def test_the_policy_alone_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing had been cleaned at all."""
    monkeypatch.setattr(pages, "clean", lambda html: html)
    html = shown(job(state="Succeeded"), Facts(report=Report(results_html=CANARY)))
    assert CANARY in html
    file = tmp_path / "page.html"
    file.write_text(html, "utf-8")
    assert "<title>case-1: Succeeded</title>" in dom(file)

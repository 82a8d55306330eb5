"""`make demo`: a real brain MRI through a sealed job on the test cluster, from nothing to a picture; then by gcapi.

Every step prints one line with its duration; what is current already is not done again.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402
from rich.markup import escape  # noqa: E402
from rich.table import Table  # noqa: E402

from scripts.gateway import gateway  # noqa: E402
from scripts.install_operator import images, install  # noqa: E402
from tests.cluster.settings import BIN, KUBECONFIG  # noqa: E402
from tests.gcapi.environments import NEWEST, python_with  # noqa: E402

JOB_NAMESPACE = "imaging"
STORE_PATH = "imaging:cases/mni152/t1.mha"
EXAMPLE = ROOT / "examples" / "brain-tissue"
OUTPUT = ROOT / "demo-output"
PERSON, RUNNER = "gcapi", "algorithm-operator-runner"
BY_GCAPI = """
import time
from pathlib import Path

job = client.start_algorithm_job(
    algorithm_slug="brain-tissue",
    inputs=[
        gcapi.SocketValueSpec(socket_slug="t1-mri", file="t1.mha"),
        gcapi.SocketValueSpec(socket_slug="smoothing", value=1.5),
    ],
)
status = job.status
while status not in ("Succeeded", "Failed", "Cancelled"):
    time.sleep(1)
    status = client.algorithm_jobs.detail(job.pk).status
print(job.pk, status)
for output in client.algorithm_jobs.detail(job.pk).outputs:
    client.download_socket_value(output, output_directory=Path("gcapi") / job.pk)
"""
# A pipe has no width: lines stay whole there.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 4096)


class StepFailedError(Exception):
    """A step did not work out; `look` says where to look next."""

    def __init__(self, step: str, why: str, look: str) -> None:
        super().__init__(f"{step}: {why}\nlook next at: {look}")


@contextmanager
def step(title: str, look: str) -> Iterator[None]:
    """One line with the step's duration; `look` is what a person does next if it fails."""
    started = time.monotonic()
    try:
        yield
    except subprocess.CalledProcessError as error:
        command = shlex.join(str(word) for word in error.cmd)
        why = f"`{command}` ended with exit code {error.returncode}"
        if error.stderr:
            why += f"\n{error.stderr.strip()}"
        raise StepFailedError(title, why, look) from None
    except OSError as error:
        raise StepFailedError(title, str(error), look) from None
    console.print(f"[green]✓[/] {title}  [dim]{time.monotonic() - started:.1f} s[/]")


def environment() -> dict[str, str]:
    """kubectl with its plugin, and the test cluster."""
    path = f"{Path(sys.executable).parent}:{BIN}:{os.environ.get('PATH', '')}"
    return {**os.environ, "KUBECONFIG": str(KUBECONFIG), "PATH": path}


def kubectl(*arguments: str, quiet: bool = False) -> None:
    """Run kubectl in the job namespace; what it says goes to stderr, or with `quiet` into the error alone."""
    pipes = subprocess.PIPE if quiet else sys.stderr
    command = ["kubectl", *arguments, "--namespace", JOB_NAMESPACE]
    subprocess.run(command, check=True, env=environment(), stdout=pipes, stderr=pipes, text=True)


def kubectl_json(*arguments: str) -> Any:
    """What kubectl prints with `-o json`."""
    command = ["kubectl", *arguments, "--namespace", JOB_NAMESPACE, "-o", "json"]
    done = subprocess.run(command, check=True, env=environment(), capture_output=True, text=True)
    return json.loads(done.stdout)


def apply_example(image: str) -> None:
    """`kubectl apply -k` of the example, by an overlay that names the image that was just built."""
    name, _, digest = image.partition("@")
    with tempfile.TemporaryDirectory(prefix="brain-tissue-") as folder:
        overlay = {
            "resources": [os.path.relpath(EXAMPLE, os.path.realpath(folder))],
            "images": [{"name": "registry.example.org/brain-tissue", "newName": name, "digest": digest}],
            "configurations": ["image-fields.yaml"],
        }
        shutil.copy(EXAMPLE / "image-fields.yaml", folder)
        (Path(folder) / "kustomization.yaml").write_text(json.dumps(overlay))
        kubectl("apply", "-k", folder, quiet=True)
    kubectl("wait", "--for=condition=Ready", "algorithm/brain-tissue", "--timeout=60s", quiet=True)


def python(script: str, *arguments: Path) -> None:
    """Run one of the example's scripts."""
    command = [sys.executable, str(EXAMPLE / script), *(str(each) for each in arguments)]
    subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True)


def token_lines() -> str:
    """What `kubectl algorithm token` prints, for a ServiceAccount that may run jobs."""
    account = f"--serviceaccount={JOB_NAMESPACE}:{PERSON}"
    for made in (
        ("serviceaccount", PERSON),
        ("rolebinding", PERSON, f"--clusterrole={RUNNER}", account),
    ):
        create = ("kubectl", "create", *made, "--dry-run=client", "-o", "yaml", "-n", JOB_NAMESPACE)
        body = subprocess.run(create, check=True, env=environment(), capture_output=True, text=True).stdout
        apply = ("kubectl", "apply", "-f", "-")
        subprocess.run(apply, check=True, env=environment(), capture_output=True, text=True, input=body)
    command = ["kubectl", "algorithm", "token", "-n", JOB_NAMESPACE, "--duration", "24h"]
    return subprocess.run(command, check=True, env=environment(), capture_output=True, text=True).stdout


def run_by_gcapi(lines: str) -> tuple[str, Path]:
    """The whole script, and what came out: its first lines are for the shell, the rest is Python's."""
    shell, _, python_lines = lines.partition("import gcapi")
    variables = dict(re.findall(r"^export (\w+)=(.*)$", shell, re.MULTILINE))
    script = OUTPUT / "by_gcapi.py"
    script.touch(mode=0o600)
    script.write_text(f"import gcapi{python_lines}{BY_GCAPI}")
    done = subprocess.run(
        [str(python_with(NEWEST)), "-I", script.name],
        cwd=OUTPUT, check=True, capture_output=True, text=True,
        env={**os.environ, **{name: shlex.split(value)[0] for name, value in variables.items()}},
    )  # fmt: skip
    pk, status = done.stdout.split()
    if status != "Succeeded":
        raise OSError(f"the job is {status}: kubectl algorithm explain gcapi-{pk} -n {JOB_NAMESPACE}")
    return pk, script


def show_gcapi(lines: str, pk: str, script: Path) -> None:
    """The snippet, its token cut short."""
    shown = re.sub(r'token="([^"]{12})[^"]*"', r'token="\1…"', lines.rstrip() + BY_GCAPI)
    console.print(f"\nthe same by gcapi, as it is on PyPI ({script}):\n")
    console.print(escape("\n".join(f"    {line}" for line in shown.splitlines())), style="dim")
    volumes = json.loads((OUTPUT / "gcapi" / pk / "results.json").read_text())
    console.print(f"\njob {pk} has succeeded: {volumes_of(volumes)}\nfiles: {OUTPUT / 'gcapi' / pk}")


def show(job: str, results: Path, picture: Path, page: Path) -> None:
    """What came out: the Pod that did it, the outputs, the volumes, the picture, the report."""
    status = kubectl_json("get", "algorithmjob", job)["status"]
    attempt = status["attempts"][-1]
    console.print(f"\nPod {attempt['pod']} (uid {attempt['podUid']}) on {attempt['node']}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    volumes = json.loads((results / "results.json").read_text())
    for column in ("OUTPUT", "KIND", "BYTES", "SHA256", "VOLUMES"):
        table.add_column(column, overflow="fold")
    for output in status["outputs"]:
        of_it = volumes_of(volumes) if output["slug"] == "results" else ""
        table.add_row(output["slug"], output["kind"], str(output["bytes"]), output["sha256"][:16], of_it)
    console.print(table)
    console.print(f"\nreport:  {page}\npicture: {picture}\nfiles:   {results}\n\nlook further:")
    console.print(
        f"  export KUBECONFIG={shlex.quote(str(KUBECONFIG))} PATH={shlex.quote(environment_path())}:$PATH"
    )
    console.print(f"  kubectl algorithm explain {job} -n {JOB_NAMESPACE}")
    console.print(f"  kubectl get algorithms,algorithmjobs,datastores,pods -n {JOB_NAMESPACE}")


def volumes_of(results: dict[str, float]) -> str:
    """`grey matter 1019.0 mL, …` of results.json."""
    return ", ".join(
        f"{name.removesuffix('_ml').replace('_', ' ')} {ml:.1f} mL" for name, ml in results.items()
    )


def environment_path() -> str:
    """The folders of kubectl and of its plugin."""
    return f"{Path(sys.executable).parent}:{BIN}"


def main() -> None:
    """All of it."""
    started = time.monotonic()
    job = f"mni152-{datetime.now():%Y%m%d-%H%M%S}"
    mri, results = OUTPUT / "t1.mha", OUTPUT / job
    system = "kubectl -n algorithm-operator-system"
    with step("cluster is up", "python3 tests/cluster status, and the logs below the state folder"):
        subprocess.run([sys.executable, str(ROOT / "tests" / "cluster"), "up"], check=True)
    with step("images are built", "the log that is named above"):
        image = images()["brain-tissue"]
    with step(
        "operator is installed and ready", f"{system} get pods; {system} logs deployment/algorithm-operator"
    ):
        install([JOB_NAMESPACE], {"gateway": gateway()[0]})
    with step("algorithm is ready", f"kubectl -n {JOB_NAMESPACE} describe algorithm brain-tissue"):
        apply_example(image)
    with step("MRI is made", "pip install nilearn: it ships the MRI"):
        OUTPUT.mkdir(exist_ok=True)
        if not mri.exists():
            python("make_input.py", mri)
    with step("MRI is uploaded", f"kubectl -n {JOB_NAMESPACE} describe datastore imaging"):
        kubectl("algorithm", "upload", str(mri), STORE_PATH)
    with step(f"job {job} has succeeded", f"kubectl algorithm explain {job} -n {JOB_NAMESPACE}"):
        inputs = ("--input", f"t1-mri={STORE_PATH}", "--input", "smoothing=1.5")
        kubectl("algorithm", "run", "brain-tissue", *inputs, "--name", job)
    with step(
        "outputs are downloaded, every byte checked", f"kubectl algorithm explain {job} -n {JOB_NAMESPACE}"
    ):
        kubectl("algorithm", "download", job, "-o", str(results))
    picture = results / "overlay.png"
    with step("picture is drawn", f"{results}: are the outputs there?"):
        python("overlay.py", mri, results / "tissues.mha", picture)
    page = results / "report.html"
    with step("report is written", f"kubectl algorithm report {job} -n {JOB_NAMESPACE}"):
        kubectl("algorithm", "report", job, "-o", str(page), quiet=True)
    with step("a job by gcapi has succeeded", f"{system} logs deployment/algorithm-operator-gateway"):
        lines = token_lines()
        pk, script = run_by_gcapi(lines)
    show(job, results, picture, page)
    show_gcapi(lines, pk, script)
    console.print(f"\n[dim]{time.monotonic() - started:.0f} s in all[/]")


if __name__ == "__main__":
    try:
        main()
    except StepFailedError as failure:
        console.print("[red]✗[/]", escape(str(failure)))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)

"""What people do with gcapi, from the first line to the results. Run by the Python that has it, in an empty folder:

    python -I flow.py BASE_URL

with the token and the certificate's authority in the environment. Ends with 0, or with what is not as it should be.
What the algorithm writes, and what is no image, is in operating.py.
"""

import contextlib
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import gcapi
import httpx
from gcapi.exceptions import ObjectNotFound

Inputs = dict[str, dict[str, Any]]
"""By socket its one source, under the name that SocketValueSpec has for it."""

OLD = not hasattr(gcapi, "SocketValueSpec")
NOBODYS = "6b5a8a1e-1f5e-4c8f-a2a8-0f8f2b8a6c11"
POINTS = {"name": "points", "type": "Multiple points", "version": {"major": 1, "minor": 0},
          "points": [{"name": "a", "point": [1.0, 2.0, 3.0]}]}  # fmt: skip
SOON = 20.0

client: Any = gcapi.Client(base_url=sys.argv[1])


def sources(inputs: Inputs) -> Any:
    """As this version wants them."""
    if OLD:
        return {slug: given for slug, source in inputs.items() for given in source.values()}
    return [gcapi.SocketValueSpec(socket_slug=slug, **source) for slug, source in inputs.items()]


def start(inputs: Inputs) -> Any:
    """A job of `brain`."""
    if OLD:
        return client.run_external_job(algorithm="brain", inputs=sources(inputs))
    return client.start_algorithm_job(algorithm_slug="brain", inputs=sources(inputs))


def run(inputs: Inputs) -> Any:
    """The same, to its end."""
    posted = start(inputs)
    assert posted.status == "Validating inputs", posted
    return eventually(
        lambda: client.algorithm_jobs.detail(posted.pk),
        lambda job: job.status in ("Succeeded", "Failed", "Cancelled"),
    )


def eventually(ask: Any, holds: Any) -> Any:
    """What is told once it is so."""
    until = time.monotonic() + SOON
    while not holds(found := ask()):
        assert time.monotonic() < until, found
        time.sleep(0.05)
    return found


def download(value: Any, folder: Path) -> bytes:
    """An output of a job, as it was saved."""
    place = folder / value.interface.relative_path
    if not OLD:
        client.download_socket_value(value, output_directory=folder)
    elif value.image:
        client.images.download(url=value.image, filename=place / "image")
    elif value.file:
        place.write_text(json.dumps(client(url=value.file, follow_redirects=True)))
    else:
        place.write_text(json.dumps(value.value))
    return content(place)


def content(place: Path) -> bytes:
    """Of a file, or of the one file in a folder."""
    return b"".join(each.read_bytes() for each in place.iterdir()) if place.is_dir() else place.read_bytes()


def refusal(ask: Any) -> httpx.Response:
    """The answer that is none."""
    try:
        ask()
    except httpx.HTTPStatusError as error:
        return error.response
    raise AssertionError("it was not refused")


def look_around() -> None:
    """Algorithms and sockets; what is not there; who may not."""
    algorithm = client.algorithms.detail(slug="brain")
    assert client.algorithms.detail(pk=algorithm.pk) == algorithm
    assert client.algorithms.detail(api_url=algorithm.api_url) == algorithm
    assert [each.slug for each in client.algorithms.iterate_all()] == ["brain"]
    (image,) = client.algorithm_images.iterate_all()
    assert (image.algorithm, image.import_status) == (algorithm.api_url, "Completed")
    known = {each.slug: each for each in client.interfaces.iterate_all()}
    for socket in algorithm.interfaces[0].inputs:
        assert client.interfaces.detail(slug=socket.slug) == known[socket.slug] == socket
    for api, name in (
        (client.algorithms, {"slug": "no-such"}),
        (client.algorithms, {"pk": NOBODYS}),
        (client.algorithm_jobs, {"pk": NOBODYS}),
        (client.images, {"pk": NOBODYS}),
        (client.archives, {"slug": "no-such"}),
        (client.interfaces, {"slug": "no-such"}),
    ):
        with contextlib.suppress(ObjectNotFound):
            raise AssertionError(api.detail(**name))
    stranger: Any = gcapi.Client(base_url=sys.argv[1], token="not-mine")
    assert refusal(lambda: stranger.algorithms.detail(slug="brain")).status_code == 401


def send_files() -> None:
    """Uploads: of no bytes, of many parts, given up."""
    client.uploads.chunk_size = 1000
    for name, size in (("empty.zip", 0), ("parts.zip", 7500)):  # more parts than URLs are given at once
        made = client.uploads.upload_fileobj(fileobj=io.BytesIO(b"z" * size), filename=name)
        assert (made.status, made.filename) == ("Completed", name), made
    client.uploads.chunk_size = type(client.uploads).chunk_size

    class Breaks(io.BytesIO):
        def read(self, size: "int | None" = -1, /) -> bytes:
            raise OSError("the disk is gone")

    with contextlib.suppress(OSError):
        raise AssertionError(client.uploads.upload_fileobj(fileobj=Breaks(), filename="broken.zip"))
    statuses = {each.filename: each.status for each in client.uploads.iterate_all()}
    assert statuses == {"empty.zip": "Completed", "parts.zip": "Completed", "broken.zip": "Aborted"}, statuses


def run_on_files() -> Any:
    """A job of files and a value, and all that it gives."""
    inputs: Inputs = {"t1-mri": {"files": ["1.dcm", "2.dcm"]}, "smoothing": {"value": 1.5}}
    job = run(inputs)
    assert job.status == "Succeeded", job
    smoothing, t1 = job.inputs
    assert (smoothing.value, smoothing.interface.slug, t1.interface.slug) == (1.5, "smoothing", "t1-mri")
    got = {each.interface.slug: download(each, Path("results")) for each in job.outputs}
    assert got.pop("tissues") == b"labels"
    assert {slug: json.loads(data) for slug, data in got.items()} == {
        "findings": {"name": "points", "points": [[1.0, 2.0, 3.0]]},
        "results": {"ml": 883.3},
        "score": 0.25,
    }
    image = client.images.detail(api_url=t1.image)
    into = {"filename": Path("input", image.pk)} if OLD else {"output_directory": "input"}
    (path,) = client.images.download(pk=image.pk, **into)
    assert (path.name, path.read_bytes()) == (f"{image.pk}.mha", b"slice 1, slice 2"), path
    return image


def run_on_what_is_there(image: Any) -> None:
    """An image by its URL, a value out of a file; the same request again; nonsense."""
    inputs: Inputs = {
        "t1-mri": {"existing_image_api_url": image.api_url},
        "smoothing": {"file": "smoothing.json"},
    }
    job = run(inputs)
    assert (job.status, job.inputs[0].value, job.inputs[1].image) == ("Succeeded", 2.5, image.api_url), job
    assert start(inputs).pk == job.pk
    by_image = {each.pk for each in client.algorithm_jobs.by_input_image(image.pk)}
    assert job.pk in by_image, by_image
    answer = refusal(lambda: start({**inputs, "smoothing": {"value": -1}}))
    assert answer.status_code == 400, answer.text
    assert "JSON does not fulfill schema" in answer.json()["inputs"][1]["value"][0], answer.text


def run_on_other_files() -> None:
    """A PDF, and JSON that is a file; then the same PDF out of the job's own inputs."""
    marks = {"value": POINTS}
    job = run({"letter": {"file": "letter.pdf"}, "marks": marks})
    assert job.status == "Succeeded", job
    (letter,) = [each for each in job.inputs if each.interface.slug == "letter"]
    again = run({"letter": {"existing_socket_value": letter}, "marks": marks})
    assert (again.status, again.pk != job.pk) == ("Succeeded", True), again


def run_on_no_image() -> None:
    """What cannot be read ends the job as at Grand Challenge."""
    job = run({"t1-mri": {"files": ["broken.dcm"]}, "smoothing": {"value": 1}})
    assert (job.status, job.outputs) == ("Cancelled", []), job


def keep_cases() -> None:
    """An archive, its one item, and a job of that."""
    made = client(method="POST", path="archives/", json={"title": "Brains", "slug": "brains"})
    case: Inputs = {"t1-mri": {"files": ["1.dcm"]}}
    if OLD:
        (pk,) = client.add_cases_to_archive(archive="brains", archive_items=[sources(case)])
    else:
        pk = client.add_case_to_archive(archive_slug="brains", values=sources(case)).pk
    archive = client.archives.detail(slug="brains")
    assert archive.pk == made["pk"]
    item = eventually(lambda: client.archive_items.detail(pk=pk), lambda item: item.values[0].image)
    more: Inputs = {"smoothing": {"value": 3.5}, "letter": {"file": "letter.pdf"}}
    client.update_archive_item(archive_item_pk=pk, values=sources(more))
    (item,) = client.archive_items.iterate_all(params={"archive": archive.pk})
    values = {each.interface.slug: each for each in item.values}
    assert set(values) == {"t1-mri", "smoothing", "letter"}, values
    assert client(url=values["letter"].file, follow_redirects=True).content == b"%PDF-1.7"
    job = run({slug: {"existing_socket_value": values[slug]} for slug in ("t1-mri", "smoothing")})
    assert (job.status, job.inputs[1].image) == ("Succeeded", values["t1-mri"].image), job
    if OLD:
        send_cases(pk, values["t1-mri"].image)


def send_cases(item_pk: str, before: str) -> None:
    """As only the old ones do: a session that puts its image into an item."""
    session = client.upload_cases(files=["2.dcm"], archive_item=item_pk, interface="t1-mri")
    session = eventually(
        lambda: client.raw_image_upload_sessions.detail(session.pk), lambda session: session.status == "Succeeded"
    )  # fmt: skip
    (image,) = session.image_set
    shown = [each.image for each in client.archive_items.detail(pk=item_pk).values]
    assert image in shown, shown
    assert before not in shown, shown


def main() -> None:
    """See above."""
    Path("results").mkdir()
    for name, data in (
        ("1.dcm", b"slice 1"),
        ("2.dcm", b", slice 2"),
        ("broken.dcm", b"no image"),
        ("smoothing.json", b"2.5"),
        ("letter.pdf", b"%PDF-1.7"),
    ):
        Path(name).write_bytes(data)
    look_around()
    send_files()
    image = run_on_files()
    run_on_what_is_there(image)
    run_on_other_files()
    run_on_no_image()
    keep_cases()
    print(json.dumps({"jobs": [each.pk for each in client.algorithm_jobs.iterate_all()]}))


main()

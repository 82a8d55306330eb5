"""The URLs that answers carry. The client follows only those of the very host that it was given."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from starlette.requests import Request

from algorithm_operator.gateway.errors import ApiError

API = "/{namespace}/api/v1"
FILES = "/{namespace}/files"
"""Where the routes of namespaces begin; a namespace is a tenant."""
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


_PK = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_pk(text: str) -> bool:
    """Whether it is a UUID as we and the API server write them."""
    return _PK.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Urls:
    """URLs of one namespace, at the host that the request was made to; `origin` is https://HOST[:PORT]."""

    origin: str
    namespace: str

    @property
    def base(self) -> str:
        """What `gcapi.Client` is given as base_url."""
        return self.origin + API.format(namespace=self.namespace) + "/"

    def algorithm(self, pk: str) -> str:
        """An Algorithm; pk is its metadata.uid."""
        return f"{self.base}algorithms/{pk}/"

    def algorithm_image(self, pk: str) -> str:
        """The image of an Algorithm."""
        return f"{self.base}algorithms/images/{pk}/"

    def job(self, pk: str) -> str:
        """A job."""
        return f"{self.base}algorithms/jobs/{pk}/"

    def upload(self, pk: str) -> str:
        """An upload."""
        return f"{self.base}uploads/{pk}/"

    def session(self, pk: str) -> str:
        """An upload session."""
        return f"{self.base}cases/upload-sessions/{pk}/"

    def image(self, pk: str) -> str:
        """An image."""
        return f"{self.base}cases/images/{pk}/"

    def archive(self, pk: str) -> str:
        """An archive."""
        return f"{self.base}archives/{pk}/"

    def archive_item(self, pk: str) -> str:
        """An item of an archive."""
        return f"{self.base}archives/items/{pk}/"

    def image_file(self, pk: str, suffix: str) -> str:
        """The bytes of an image: `suffix` is .mha or .tif; the client names its file by what follows the last dot."""
        return f"{self._files}images/{pk}/{pk}{suffix}"

    def job_file(self, pk: str, direction: str, slug: str, name: str) -> str:
        """A file of a job: `direction` is inputs or outputs, `name` ends with the real suffix."""
        return f"{self._files}jobs/{pk}/{direction}/{slug}/{quote(name, safe='')}"

    def item_file(self, pk: str, slug: str, name: str) -> str:
        """A file value of an archive item."""
        return f"{self._files}items/{pk}/{slug}/{quote(name, safe='')}"

    @property
    def _files(self) -> str:
        return self.origin + FILES.format(namespace=self.namespace) + "/"


def origin(request: Request) -> str:
    """https://HOST[:PORT] as the client knows us: it follows URLs of that very host alone, and https alone."""
    host = request.headers.get("host", "")
    if len(host) > 255 or not _HOST.fullmatch(host):
        raise ApiError(400, {"detail": "Invalid Host header"})
    return f"https://{host}"


def pk_in(url: str, url_of: Callable[[str], str]) -> str | None:
    """The pk in a URL that `url_of` makes (a method of Urls), or None: what is not ours does not exist.

    Nothing is ever fetched from a URL that a request names: it is only taken apart.
    """
    prefix = url_of("").removesuffix("/")
    if not url.startswith(prefix):
        return None
    try:
        return str(UUID(url.removeprefix(prefix).strip("/")))
    except ValueError:
        return None

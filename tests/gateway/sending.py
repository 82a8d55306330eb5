"""Uploading, as gcapi does it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.gateway.fakes import BASE, NAMESPACE, Answer, Service

Part = dict[str, Any]


@dataclass(frozen=True)
class Sending:
    """One upload."""

    service: Service
    pk: str
    multipart_id: str
    api_url: str
    namespace: str = NAMESPACE

    @property
    def base(self) -> str:
        """The path of the upload."""
        return f"/{self.namespace}/api/v1/uploads/{self.pk}/"

    async def ask(self, what: str, json: Any = None) -> Answer:
        """PATCH …/`what`/."""
        return await self.service.patch(f"{self.base}{self.multipart_id}/{what}/", json)

    async def urls(self, *numbers: int) -> dict[str, str]:
        """The URLs of parts."""
        answer = await self.ask("generate-presigned-urls", {"part_numbers": list(numbers)})
        assert answer.status == 200, answer
        urls: dict[str, str] = answer.json()["presigned_urls"]
        return urls

    async def url(self, number: int) -> str:
        """The URL of a part."""
        return (await self.urls(number))[str(number)]

    async def put(self, number: int, content: bytes) -> Part:
        """Send a part; what complete wants to know of it."""
        answer = await self.service.request("PUT", await self.url(number), body=content)
        assert answer.status == 200, answer
        return {"ETag": answer.headers["etag"], "PartNumber": number}

    async def parts(self) -> list[Part]:
        """Those that have arrived."""
        answer = await self.service.get(f"{self.base}{self.multipart_id}/list-parts/")
        assert answer.status == 200, answer
        found: list[Part] = answer.json()["parts"]
        return found

    async def complete(self, parts: Sequence[Part]) -> Answer:
        """Join the parts."""
        return await self.ask("complete-multipart-upload", {"parts": list(parts)})

    async def abort(self) -> Answer:
        """Give it up."""
        return await self.ask("abort-multipart-upload")

    async def status(self) -> str:
        """As the API says it."""
        answer = await self.service.get(self.base)
        return str(answer.json()["status"]) if answer.status == 200 else "gone"


async def begin(service: Service, filename: str = "a.mha", namespace: str = NAMESPACE) -> Sending:
    """POST uploads/."""
    answer = await service.post(f"{BASE.replace(NAMESPACE, namespace)}uploads/", {"filename": filename})
    assert answer.status == 201, answer
    body = answer.json()
    return Sending(service, body["pk"], body["s3_upload_id"], body["api_url"], namespace)


async def upload(service: Service, *contents: bytes, filename: str = "a.mha") -> Sending:
    """A whole upload, a part each of `contents`."""
    sending = await begin(service, filename)
    parts = [await sending.put(number, content) for number, content in enumerate(contents, 1)]
    answer = await sending.complete(parts)
    assert answer.status == 200, answer
    return sending

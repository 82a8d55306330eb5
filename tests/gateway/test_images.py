"""Images: what a geometry is in the API's words, lists, and who may see them."""

from typing import Any
from uuid import UUID

import pytest
from fastapi import APIRouter

from algorithm_operator.gateway import images
from algorithm_operator.gateway.database.models import Image
from algorithm_operator.gateway.images import image_shape
from algorithm_operator.gateway.shapes import Image as Shape
from algorithm_operator.gateway.urls import Urls
from algorithm_operator.kube.resources import Body
from tests.gateway.fakes import ALICE, NAMESPACE, ORIGIN, Service
from tests.gateway.imaging import NOW, image, later, url

PK = "7b0ff1a6-6d1c-4b55-9d0c-1e9f4b8a6f11"


@pytest.fixture
def routers() -> list[APIRouter]:
    return [images.router]


def geometry(size: list[int], spacing: list[float], components: int = 1) -> Body:
    axes = len(size)
    return {
        "size": size,
        "spacing": spacing,
        "origin": [0.0] * axes,
        "direction": [float(row == column) for row in range(axes) for column in range(axes)],
        "pixelType": "uint8",
        "components": components,
    }


def row(path: str, of: Body) -> Image:
    return Image(id=PK, namespace=NAMESPACE, name="scan", path=path, geometry=of)


@pytest.mark.parametrize(
    ("path", "of", "expected"),
    [
        (
            "a.mha",
            geometry([50, 40, 30], [0.5, 0.6, 2.5]),
            {
                "width": 50,
                "height": 40,
                "depth": 30,
                "shape": [30, 40, 50],
                "shape_without_color": [30, 40, 50],
                "color_space": "GRAY",
                "voxel_width_mm": 0.5,
                "voxel_height_mm": 0.6,
                "voxel_depth_mm": 2.5,
            },
        ),
        (
            "a.mha",
            geometry([50, 40], [0.5, 0.6]),
            {"depth": None, "shape": [40, 50], "shape_without_color": [40, 50], "voxel_depth_mm": None},
        ),
        (
            "a.mha",
            geometry([50, 40, 30, 7], [1, 1, 1, 2]),
            {"depth": 30, "shape": [7, 30, 40, 50], "shape_without_color": [7, 30, 40, 50]},
        ),
        (
            "a.mha",
            geometry([50, 40, 30], [1, 1, 1], 3),
            {"color_space": "RGB", "shape": [30, 40, 50, 3], "shape_without_color": [30, 40, 50]},
        ),
        ("a.mha", geometry([50, 40], [1, 1], 4), {"color_space": "RGBA", "shape": [40, 50, 4]}),
        (
            "a.mha",
            geometry([50, 40], [1, 1], 2),
            {"color_space": "GRAY", "shape": [40, 50, 2], "shape_without_color": [40, 50]},
        ),
        (
            "a.tif",
            geometry([90000, 80000], [0.00025, 0.00025], 3),
            {"width": 90000, "depth": None, "color_space": "RGB", "shape": [80000, 90000, 3]},
        ),
        ("a.mha", geometry([], []), {"width": 0, "height": 0, "depth": None, "shape": []}),
        ("a.mha", geometry([3], [1]), {"width": 3, "height": 0, "voxel_height_mm": None}),
    ],
    ids=[
        "3D",
        "2D",
        "4D",
        "colour",
        "transparent",
        "two numbers a voxel",
        "whole slide",
        "no axis",
        "an axis",
    ],
)
def test_a_geometry_in_the_words_of_the_api(path: str, of: Body, expected: dict[str, Any]) -> None:
    shown = image_shape(row(path, of), Urls(ORIGIN, NAMESPACE)).model_dump()
    assert {key: shown[key] for key in expected} == expected
    Shape.model_validate(shown)


@pytest.mark.parametrize(("suffix", "kind"), [(".mha", "MHD"), (".tif", "TIFF")])
def test_an_image_has_one_file_named_as_the_client_wants_it(suffix: str, kind: str) -> None:
    """The client takes what follows the last dot of the URL as suffix, and follows URLs of its own host alone."""
    (file,) = image_shape(
        row(f"imports/x.y/{PK}{suffix}", geometry([1, 1], [1, 1])), Urls(ORIGIN, NAMESPACE)
    ).files
    assert file.file == f"{ORIGIN}/{NAMESPACE}/files/images/{PK}/{PK}{suffix}"
    assert (file.image, file.image_type) == (url("cases/images", PK), kind)
    assert UUID(file.pk) != UUID(PK)


async def test_detail_and_list(service: Service) -> None:
    later(service, seconds=0)
    first = await image(service, name="first")
    second = await image(service, name="second", created=NOW.replace(hour=23))
    body = (await service.get(f"cases/images/{first}/")).json()
    Shape.model_validate(body)
    assert (body["pk"], body["name"], body["api_url"]) == (first, "first", url("cases/images", first))
    page = (await service.get("cases/images/?limit=1")).json()
    assert ([each["pk"] for each in page["results"]], page["count"]) == ([first], 2)
    assert [each["pk"] for each in (await service.get(page["next"])).json()["results"]] == [second]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["a", "b"]),
        ("?name=a", ["a"]),
        ("?name=A", []),
        ("?name=", []),
        ("?name=%25", []),
        ("?origin=nothing", []),
    ],
)
async def test_filters(service: Service, query: str, names: list[str]) -> None:
    for name in ("a", "b"):
        await image(service, name=name)
    page = (await service.get(f"cases/images/{query}")).json()
    assert sorted(each["name"] for each in page["results"]) == names
    assert page["count"] == len(names)


async def test_images_of_other_namespaces_do_not_exist(service: Service) -> None:
    pk = await image(service, namespace="other")
    assert (await service.get(f"cases/images/{pk}/")).status == 404
    assert (await service.get("cases/images/")).json()["count"] == 0
    assert (await service.get(f"/other/api/v1/cases/images/{pk}/")).status == 200


@pytest.mark.parametrize("pk", ["nothing", PK, "%00", "..%2F"])
async def test_what_is_not_there(service: Service, pk: str) -> None:
    assert (await service.get(f"cases/images/{pk}/")).status == 404


async def test_who_may_not_get_images_sees_none(service: Service) -> None:
    pk = await image(service)
    service.authorizer.denied = {(ALICE, "get", "images")}
    assert (await service.get(f"cases/images/{pk}/")).status == 404
    assert (await service.get("cases/images/")).json()["results"] == []

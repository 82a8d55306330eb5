"""What answers look like: the keys of all versions of `gcapi` from 0.13 on, together.

A key that one version's models ask for and an answer lacks is an error in that client; one too many is not. Labels and
types are Grand Challenge's; times are ISO 8601, durations too, sizes are in voxels, spacing is in mm.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


class Shape(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class Versions(Shape):
    """The versions of gcapi that can be used; an older one warns, or refuses to start."""

    latest_version: str
    lowest_supported_version: str


class Page(Shape, Generic[T]):
    """A part of a list; `next` and `previous` are URLs."""

    count: int
    next: str | None = None
    previous: str | None = None
    results: list[T]


class Socket(Shape):
    """An input or output that algorithms can have (upstream: component interface)."""

    title: str
    description: str
    slug: str
    kind: str
    pk: int
    default_value: Any = None
    super_kind: Literal["Image", "File", "Value"]
    relative_path: str
    overlay_segments: Any = None
    look_up_table: None = None


class AlgorithmInterface(Shape):
    """A set of inputs that gives a set of outputs."""

    inputs: list[Socket]
    outputs: list[Socket]


class Algorithm(Shape):
    """An Algorithm; pk is its metadata.uid, slug its metadata.name."""

    api_url: str
    url: str
    description: str | None
    pk: str
    title: str
    logo: str = ""
    slug: str
    average_duration: float | None
    """Seconds."""
    interfaces: list[AlgorithmInterface]
    inputs: list[Socket]
    outputs: list[Socket]
    """Of the first interface: the clients before there were several."""


class AlgorithmImage(Shape):
    """The image of an Algorithm, by digest."""

    pk: str
    url: str
    api_url: str
    algorithm: str
    created: str
    import_status: str
    image: str | None


class SocketValue(Shape):
    """An input or output of a job, or a value of an archive item. `image` and `file` are URLs."""

    socket: Socket
    interface: Socket
    """The same again, under its former name."""
    value: Any = None
    file: str | None = None
    image: str | None = None
    pk: int


class Job(Shape):
    """A job."""

    pk: str
    url: str
    api_url: str
    algorithm: str
    algorithm_image: str
    inputs: list[SocketValue]
    outputs: list[SocketValue]
    status: str
    """One of Grand Challenge's labels (contract §2.7)."""
    hanging_protocol: None = None
    optional_hanging_protocols: list[Any] = []
    view_content: Any = Field(default_factory=dict)
    exec_duration: str = "P0DT00H00M00S"
    invoke_duration: str = "P0DT00H00M00S"
    """Never null: the models of 0.14 and 0.15 take none."""
    started_at: str | None = None
    completed_at: str | None = None


class PostedValue(Shape):
    """A value in the answer to a POST of a job."""

    interface: str
    value: Any = None
    file: str | None = None
    image: str | None = None
    pk: int
    image_name: str | None = None


class JobPosted(Shape):
    """The answer to a POST of a job."""

    pk: str
    api_url: str
    algorithm: str
    inputs: list[PostedValue]
    status: str


UploadStatus = Literal["Pending", "Initialized", "Completed", "Aborted"]


class Upload(Shape):
    """A file on its way in."""

    pk: str
    created: str
    filename: str
    key: str
    s3_upload_id: str
    status: UploadStatus
    api_url: str


class UploadUrls(Upload):
    """An upload with the URLs that its parts are PUT to, by part number."""

    presigned_urls: dict[str, str]


class UploadPart(Shape):
    """A part that has arrived."""

    ETag: str
    PartNumber: int
    LastModified: str
    Size: int


class UploadParts(Upload):
    """An upload with the parts that have arrived."""

    parts: list[UploadPart]


class UploadSession(Shape):
    """Files that become one image. `creator` is always null: people have no numbers here."""

    pk: str
    creator: int | None = None
    status: str
    error_message: str | None
    image_set: list[str]
    api_url: str
    user_uploads: list[str]
    uploads: list[str]


class ImageFile(Shape):
    """The file of an image."""

    pk: str
    image: str | None
    file: str
    image_type: Literal["MHD", "TIFF"]


class Image(Shape):
    """An image: sizes in voxels, spacing in mm."""

    pk: str
    name: str
    files: list[ImageFile]
    width: int
    height: int
    depth: int | None
    color_space: Literal["GRAY", "RGB", "RGBA", "YCBCR"]
    modality: None = None
    eye_choice: str = "NA"
    stereoscopic_choice: None = None
    field_of_view: None = None
    shape_without_color: list[int]
    shape: list[int]
    voxel_width_mm: float | None
    voxel_height_mm: float | None
    voxel_depth_mm: float | None
    api_url: str
    window_center: float | None = None
    window_width: float | None = None
    segments: Any = None
    dicom_image_set: None = None
    patient_id: str = ""
    patient_name: str = ""
    patient_birth_date: str | None = None
    patient_age: str = ""
    patient_sex: str = ""
    study_date: str | None = None
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    study_description: str = ""
    series_description: str = ""


class Archive(Shape):
    """A collection of items."""

    pk: str
    slug: str
    title: str
    logo: str = ""
    description: str
    api_url: str
    url: str
    algorithms: list[str] = []


class ArchiveItem(Shape):
    """An item: values by socket."""

    pk: str
    archive: str
    values: list[SocketValue]
    hanging_protocol: None = None
    optional_hanging_protocols: list[Any] = []
    view_content: Any = Field(default_factory=dict)
    title: str = ""


class ArchiveItemPosted(Shape):
    """The answer to POST and PATCH of an item."""

    pk: str
    archive: str
    values: list[PostedValue]
    hanging_protocol: None = None
    optional_hanging_protocols: list[Any] = []
    view_content: Any = Field(default_factory=dict)
    title: str = ""

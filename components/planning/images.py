"""Which machine image a name in the settings stands for."""

from dataclasses import dataclass

from .machines import architecture

DEBIAN = "136693071363"
"""The Debian project's AWS account. https://wiki.debian.org/Cloud/AmazonEC2Image/Trixie"""


@dataclass(frozen=True)
class ImageQuery:
    """How EC2 is asked for images; the newest of its answer counts."""

    owners: tuple[str, ...]
    """Whose images; nobody's in particular when empty."""
    key: str
    value: str
    """A filter's name and value."""
    architecture: str
    """Another filter: `x86_64` or `arm64`."""


def image_query(image: str, instance_type: str) -> ImageQuery:
    """How to find what `image` stands for and `instance_type` can run.

    `debian-13` is Debian's own; `ami-...` is that very image; anything else is a name pattern among your own images.
    """
    processor = architecture(instance_type) or "x86_64"
    if image == "debian-13":
        # Debian's names say amd64 where EC2 says x86_64; naming the processor keeps the backports images out.
        pattern = f"debian-13-{'arm64' if processor == 'arm64' else 'amd64'}-*"
        return ImageQuery((DEBIAN,), "name", pattern, processor)
    if image.startswith("ami-"):
        return ImageQuery((), "image-id", image, processor)
    return ImageQuery(("self",), "name", image, processor)

"""The files a tier's machines need beyond their user data, as one archive named by its hash."""

import gzip
import hashlib
import io
import os
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import pulumi
import pulumi_aws as aws

from ._render import user_data_root


@dataclass(frozen=True)
class Bundle:
    """A tier's archive: user_data/common/files and user_data/<tier>/files, laid over each other."""

    key: str
    """Where it lies in the artifact bucket."""
    sha256: str
    path: Path
    """Where it lies here."""

    def upload(self, name: str, bucket: pulumi.Input[str], opts: pulumi.ResourceOptions) -> "aws.s3.BucketObjectv2":
        """Put it into the artifact bucket, where it stays when the program goes past it.

        Machines that were started with it, or that a rolled back launch template starts, fetch it at boot.
        """
        return aws.s3.BucketObjectv2(
            f"{name}-bundle",
            bucket=bucket,
            key=self.key,
            source=pulumi.FileAsset(str(self.path)),
            content_type="application/gzip",
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(retain_on_delete=True)),
        )


def build(tier: str, root: Path | None = None, directory: Path | None = None) -> Bundle:
    """Archive the files of `tier`. The same files give the same bytes: no times, owners or umask get in.

    `directory` is where archives are kept (default: in the user's cache); writing one that exists changes nothing.
    """
    content = _archive(_files(tier, root or user_data_root()))
    sha256 = hashlib.sha256(content).hexdigest()
    directory = directory or _cache()
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{tier}-{sha256}.tar.gz"
    if not path.exists():
        # Another process may be writing the same archive: each writes its own file, and the last rename wins.
        partial = path.with_suffix(f".{os.getpid()}.partial")
        partial.write_bytes(content)
        partial.rename(path)
    return Bundle(key=f"bundles/{path.name}", sha256=sha256, path=path)


def _files(tier: str, root: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in (root / "common" / "files", root / tier / "files"):
        for path in folder.rglob("*"):
            name = path.relative_to(folder).as_posix()
            if not path.is_file() or "__pycache__" in path.parts:
                continue
            if name in found:
                raise ValueError(f"{path} hides {found[name]}: a tier's file must not have a common file's name")
            found[name] = path
    return found


def _archive(files: dict[str, Path]) -> bytes:
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(files):
            content = files[name].read_bytes()
            entry = tarfile.TarInfo(name)  # owner root, time 0
            entry.size = len(content)
            entry.mode = 0o755 if files[name].stat().st_mode & stat.S_IXUSR else 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _cache() -> Path:
    override = os.environ.get("EXPRESSWAY_CACHE")
    return (Path(override) if override else platformdirs.user_cache_path("expressway")) / "bundles"

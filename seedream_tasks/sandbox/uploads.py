"""Uploaded files: the gateways' file services keep theirs here for 72 hours."""

import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from PIL import Image

from seedream_tasks.sandbox.clock import SandboxClock
from seedream_tasks.sandbox.state import State

LIFE_S = 72 * 3600.0

_MIME = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}
_SUFFIX = {"image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp"}


@dataclass(frozen=True, slots=True)
class Upload:
    """One file."""

    upload_id: str
    gateway: str
    folder: str
    """The `uploadPath` that was asked for; empty for none."""
    name: str
    original_name: str
    mime_type: str
    size: int
    """Bytes."""
    uploaded_at: float

    @property
    def expires_at(self) -> float:
        """When its URL expires, in seconds since the epoch."""
        return self.uploaded_at + LIFE_S

    @property
    def path(self) -> str:
        """The path of its URL on the sandbox."""
        return f"/{self.gateway}/uploads/{self.upload_id}{_SUFFIX[self.mime_type]}"


class QuotaError(Exception):
    """The account holds as many files as it may."""


class Uploads:
    """All files of all gateways."""

    def __init__(self, state: State, clock: SandboxClock) -> None:
        self._state = state
        self._clock = clock
        self._files = {upload_id: Upload(**facts) for upload_id, facts in state.uploads()}

    def living(self, gateway: str) -> Iterator[Upload]:
        """The files of a gateway that have not expired, oldest first."""
        now = self._clock.now()
        return (file for file in self._files.values() if file.gateway == gateway and file.expires_at > now)

    def find(self, upload_id: str) -> Upload | None:
        """A file that has not expired."""
        file = self._files.get(upload_id)
        return file if file is not None and file.expires_at > self._clock.now() else None

    def add(
        self, upload_id: str, gateway: str, data: bytes, mime_type: str, name: str, folder: str = "", quota: int = 0
    ) -> Upload:
        """Keep a file. With a quota the same folder and name overwrite, and one file too many is a QuotaError."""
        file = Upload(upload_id, gateway, folder, name, name, mime_type, len(data), self._clock.now())
        if quota:
            living = list(self.living(gateway))
            same = [old.upload_id for old in living if (old.folder, old.name) == (folder, name)]
            if len(living) - len(same) >= quota:
                raise QuotaError(f"the account holds {len(living)} files, the quota is {quota}")
            self.remove(same)
        self._files[upload_id] = file
        self._state.save_upload(upload_id, asdict(file), data)
        return file

    def remove(self, upload_ids: list[str]) -> None:
        """Delete files."""
        for upload_id in upload_ids:
            del self._files[upload_id]
        self._state.drop_uploads(upload_ids)

    def data(self, upload: Upload) -> bytes:
        """The bytes of a file."""
        return self._state.upload(upload.upload_id) or b""

    def bytes_at(self, url: str) -> bytes | None:
        """The bytes behind a file's URL, on any port the sandbox has had; None for any other URL."""
        try:
            parts = urlsplit(url).path.split("/")
        except ValueError:
            return None
        if len(parts) != 4 or parts[2] != "uploads":
            return None
        file = self.find(parts[3].partition(".")[0])
        return None if file is None else self.data(file)

    def reset(self) -> None:
        """Forget all files (their bytes go with the state's reset)."""
        self._files.clear()


def sniff(data: bytes) -> str | None:
    """The media type of a JPEG, PNG, GIF or WebP file by its content; None for anything else."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return _MIME.get(image.format or "")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None

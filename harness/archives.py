"""Archives in memory."""

import io
import tarfile


def tar(files: dict[str, bytes]) -> bytes:
    """Return a tar archive of files, by name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()

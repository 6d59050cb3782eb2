"""The lab's images: programs that other parts made, where the official image of the same release has them."""

from collections.abc import Mapping

from lab.cache import Job
from lab.images import write_archive, write_layer, write_tree_layer


def image(
    job: Job,
    reference: str,
    config: Mapping[str, object],
    files: Mapping[str, str],
    base: str | None,
) -> None:
    """Make `image.tar`.

    Args:
        job: What to fill.
        reference: The image's full name and tag.
        config: The `config` object of the image specification.
        files: For each path in the image, the file that goes there: `<part>/<path>`.
        base: The directory with the userland under it, `<part>/<path>`, if it has one.
    """
    layers = []
    if base:
        layers.append(job.out.parent / "base.tar")
        write_tree_layer(layers[-1], job.find(base))
    if files:
        layers.append(job.out.parent / "files.tar")
        write_layer(layers[-1], {path: job.find(source) for path, source in files.items()})
    write_archive(job.out / "image.tar", reference, config, layers)

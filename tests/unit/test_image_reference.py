"""Names of images with a registry's port, with and without tag and digest."""

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_reference import (
    Reference,
    parse,
)

DIGEST = f"sha256:{'2f' * 32}"


@pytest.mark.parametrize(
    ("text", "parts", "tagged", "exact"),
    [
        ("a/b:1", ("a/b", "1", ""), "a/b:1", "a/b:1"),
        ("host:5000/a/b", ("host:5000/a/b", "", ""), "host:5000/a/b", "host:5000/a/b"),
        (f"host:5000/a:1@{DIGEST}", ("host:5000/a", "1", DIGEST), "host:5000/a:1", f"host:5000/a@{DIGEST}"),
        (f"a/b@{DIGEST}", ("a/b", "", DIGEST), "a/b", f"a/b@{DIGEST}"),
    ],
)
def test_a_name_has_parts(text: str, parts: tuple[str, str, str], tagged: str, exact: str) -> None:
    reference = parse(text)

    assert (reference, reference.tagged, reference.exact) == (Reference(*parts), tagged, exact)


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("postgres:16", "docker.io/library/postgres:16"),
        ("docker.io/redis", "docker.io/library/redis"),
        (f"me/blog:1@{DIGEST}", f"docker.io/me/blog:1@{DIGEST}"),
        ("localhost/a:1", "localhost/a:1"),
    ],
)
def test_a_mirror_has_it_by_its_full_name(text: str, full: str) -> None:
    assert parse(text).full == full

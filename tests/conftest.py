"""What the tests of the collection share."""

import harness  # noqa: F401 (it makes the collection known)

"""How secrets are hashed."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class Random(PBKDF2PasswordHasher):
    """A hash for long random secrets, which nobody can guess however quick it is."""

    algorithm = "random"
    iterations = 1

from django.conf import settings
from django.contrib.auth.hashers import BCryptSHA256PasswordHasher


class BCryptHasher(BCryptSHA256PasswordHasher):
    """bcrypt over SHA-256 (so that long passwords count whole) with BCRYPT_ROUNDS; old hashes are renewed at login."""

    rounds = settings.BCRYPT_ROUNDS

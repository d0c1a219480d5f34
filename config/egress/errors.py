"""Why there is no usable reply, in words that may be shown to tenants."""

from __future__ import annotations


class EgressError(Exception):
    """No usable reply. The text is a fixed sentence that may be shown to the tenant."""


class Unreachable(EgressError):
    def __init__(self) -> None:
        # The same for an address we refuse and for one that does not answer: this is no port scanner.
        super().__init__("The receiver could not be reached.")


class TlsFailed(EgressError):
    def __init__(self) -> None:
        super().__init__("The receiver's TLS certificate is not valid for its name, or TLS failed.")


class TimedOut(EgressError):
    def __init__(self) -> None:
        super().__init__("The receiver did not answer in time.")


class BrokenReply(EgressError):
    def __init__(self) -> None:
        super().__init__("The receiver broke the connection or did not answer in HTTP.")


class TooLarge(EgressError):
    def __init__(self, most: int) -> None:
        super().__init__(f"The answer is larger than {most} bytes.")


class InvalidUrl(ValueError):
    """The text is no URL that may be called; the message says why."""

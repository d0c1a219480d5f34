"""The three commands that link a sandbox number and send a first message: printed at start, quoted in the README."""

from __future__ import annotations

COMMANDS = (
    """curl -X POST {address}/api/sandbox/phones/{sender}/scan -H 'Authorization: Bearer {key}' \\
  -H 'Content-Type: application/json' -d '{{"instance": "{instance}"}}'""",
    """curl -X POST {address}/api/messages -H 'Authorization: Bearer {key}' \\
  -H 'Content-Type: application/json' \\
  -d '{{"instance": "{instance}", "to": "{receiver}", "type": "text", "text": {{"body": "Hello"}}}}'""",
    """curl {address}/api/sandbox/phones/{receiver}/messages -H 'Authorization: Bearer {key}'""",
)


def commands(*, address: str, key: str, instance: str, phones: list[str]) -> list[str]:
    """COMMANDS filled in; `phones` are the number to link and the number that receives."""
    sender, receiver = phones
    return [
        text.format(address=address, key=key, instance=instance, sender=sender, receiver=receiver) for text in COMMANDS
    ]

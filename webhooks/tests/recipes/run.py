import base64
import sys

from recipe import is_genuine


def text(field: str) -> str:
    return base64.b64decode(field).decode()


NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")
for line in sys.stdin:
    secret, body, now, *fields = line.rstrip("\n").split("\t")
    headers = {name: text(field) for name, field in zip(NAMES, fields, strict=True) if field != "-"}
    print("yes" if is_genuine(text(secret), headers, base64.b64decode(body), int(now)) else "no")

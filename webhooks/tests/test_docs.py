from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings

from webhooks.catalogue import TYPES, is_pattern, matches

TEXT = (Path(settings.BASE_DIR) / "docs" / "webhooks.md").read_text()


def test_the_documented_verification_accepts_the_vector_of_standard_webhooks_and_nothing_else() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    scope: dict[str, object] = {}
    exec(code, scope)  # noqa: S102 (what the page tells its readers to run)
    is_genuine = scope["is_genuine"]
    assert callable(is_genuine)
    secret, body, now = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}', 1614265330
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert is_genuine(secret, headers, body, now + 299)
    assert is_genuine(secret, headers | {"webhook-signature": f"v1,AAAA {headers['webhook-signature']}"}, body, now)
    assert not is_genuine(secret, headers, body, now + 301)
    assert not is_genuine(secret, headers, body + b" ", now)
    for name in headers:
        assert not is_genuine(secret, headers | {name: "v1,nonsense"}, body, now)
        assert not is_genuine(secret, {other: headers[other] for other in headers if other != name}, body, now)


@pytest.mark.parametrize("type_", TYPES)
def test_a_type_is_matched_by_its_name_its_group_and_the_star(type_: str) -> None:
    group = f"{type_.split('.')[0]}.*"
    other = "instance.*" if group == "message.*" else "message.*"
    for pattern in (type_, group, "*"):
        assert is_pattern(pattern)
        assert matches([pattern], type_)
    assert not matches([other], type_)
    assert not matches([name for name in TYPES if name != type_], type_)

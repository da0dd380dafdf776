# One image for the four services, the migration and the commands: the arguments say which.
# A release pins its base: --build-arg BASE=python:3.13-slim-bookworm@sha256:...
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
WORKDIR /build
RUN python3 -m venv /opt/fairdrop
ENV PATH=/opt/fairdrop/bin:$PATH
COPY requirements-image.lock ./
RUN pip install --no-cache-dir --require-hashes --no-deps -r requirements-image.lock
COPY pyproject.toml README.md ./
COPY shared shared
COPY services services
# What installs is not there to install anything later.
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && pip uninstall --yes setuptools pip

FROM ${BASE}
COPY --from=build /opt/fairdrop /opt/fairdrop
ENV PATH=/opt/fairdrop/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["fairdrop"]
CMD ["--help"]

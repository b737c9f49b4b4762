# The platform's commands in one image: `docker run IMAGE ingest`, `… api`, `… migrate`.
# docker-compose.yml starts all of them together with a database and a broker.

# The map and the operators' page: of this stage only the built files are kept.
FROM node:24-slim AS pages
WORKDIR /build
COPY src/usp/web/.npmrc src/usp/web/package.json src/usp/web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY src/usp/web .
RUN npm run build

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# First what changes rarely. The virtual environment has no pip of its own: the build stage's pip fills it.
COPY requirements/runtime.txt requirements/
RUN python -m venv --without-pip /opt/usp \
 && pip --python /opt/usp/bin/python install --require-hashes -r requirements/runtime.txt

COPY LICENSE README.md pyproject.toml ./
COPY migrations migrations
COPY simulators simulators
COPY src src
COPY --from=pages /build/dist src/usp/web/dist
# What builds the wheel is pinned in the same file and leaves again; `pip check` says if something still needs it.
RUN /opt/usp/bin/hatchling build -t wheel -d dist \
 && pip --python /opt/usp/bin/python install --no-deps dist/*.whl \
 && pip --python /opt/usp/bin/python uninstall -y editables hatchling pathspec pluggy tomlkit trove-classifiers \
 && pip --python /opt/usp/bin/python check

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin usp
COPY --from=build /opt/usp /opt/usp
ENV PATH=/opt/usp/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001
WORKDIR /tmp
ENTRYPOINT ["usp"]
CMD ["--help"]

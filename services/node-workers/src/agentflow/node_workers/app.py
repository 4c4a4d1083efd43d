"""Everybody in one place: settings become parts, parts become a runner."""

import os
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from agentflow.node_workers.egress.policy import EgressPolicy
from agentflow.node_workers.llm.registry import LlmProviders
from agentflow.node_workers.nodes.db import DbNode
from agentflow.node_workers.nodes.llm import LlmNode
from agentflow.node_workers.nodes.pure import PURE_KINDS, PureNode
from agentflow.node_workers.runner import NodeRunner
from agentflow.node_workers.secrets import Secrets
from agentflow.node_workers.settings import WorkersSettings
from agentflow.node_workers.sql.registry import Databases


def make_runner(
    settings: WorkersSettings | None = None, environ: Mapping[str, str] | None = None
) -> NodeRunner:
    """A runner of every node type; no bus needed. `environ` is where secrets are looked up."""
    settings = settings or WorkersSettings()
    # A copy: in the embedded stack the variables are lent only while the parts are made.
    environ = dict(os.environ if environ is None else environ)
    secrets = Secrets(environ, well_known_for=settings.well_known_secrets_for)
    policy = EgressPolicy(settings.egress_allow)
    tls = ssl.create_default_context()
    threads = ThreadPoolExecutor(settings.sqlite_threads, thread_name_prefix="sqlite")
    databases = Databases(secrets, policy, threads, settings.sqlite_roots)
    return NodeRunner(
        {
            **dict.fromkeys(PURE_KINDS, PureNode()),
            "llm": LlmNode(LlmProviders(secrets, policy, tls), settings.max_sources),
            "db": DbNode(databases, settings.max_sources),
        }
    )

"""The picture in README: services, streams, and the roads their code really takes."""

from agentflow.cli.reference.roads import Road, roads

ABOUT = {
    "gateway": "gateway<br/>REST, SSE",
    "validator": "validator<br/>checks specs",
    "executor": "executor<br/>walks the graph",
    "node-workers": "node-workers<br/>run the nodes",
    "history": "history<br/>SQL records",
    "audit": "audit<br/>append-only",
}
STREAMS = ("COMMANDS", "TASKS", "EVENTS", "AUDIT")
ARROWS = {"says": "-->", "hears": "-->", "hears live": "-.->"}


def picture() -> str:
    """A Mermaid flowchart. Dotted: the live feed, a shortcut beside the log."""
    lines = ["```mermaid", "flowchart LR", "    client([client])"]
    lines += [f'    {_id(service)}["{text}"]' for service, text in ABOUT.items()]
    lines += [f"    {stream}[({stream})]" for stream in STREAMS]
    lines += ["    client <-->|REST| gateway", "    client -->|plain NATS| COMMANDS"]
    lines += [f"    {_arrow(road)}" for road in roads() if road.stream in STREAMS]
    lines.append("```")
    return "\n".join(lines)


def _arrow(road: Road) -> str:
    service, arrow = _id(road.service), ARROWS[road.verb]
    if road.verb == "says":
        return f"{service} {arrow} {road.stream}"
    return f"{road.stream} {arrow} {service}"


def _id(service: str) -> str:
    return service.replace("-", "_")

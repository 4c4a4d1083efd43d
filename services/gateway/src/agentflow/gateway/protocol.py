"""Malformed HTTP is refused like everything else: as a problem, then the connection closes."""

import uuid

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agentflow.gateway.problems import PROBLEM_JSON, plain_problem


class ProblemProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with our words for what is no HTTP."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Answer what httptools cannot parse."""
        request_id = uuid.uuid4().hex
        problem = plain_problem(400, "This is not an HTTP/1.1 request.")
        told = problem.model_copy(update={"request_id": request_id, "code": "malformed_http"})
        body = told.model_dump_json(exclude_none=True).encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            f"content-type: {PROBLEM_JSON}\r\n"
            f"content-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()

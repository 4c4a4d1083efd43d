"""The whole first tutorial, with the stack it asks for in the background."""

import asyncio
from pathlib import Path

import pytest

from tests.support.examples import ROOT
from tests.support.stacks import running_stack
from tests.support.tutorial import follow

pytestmark = pytest.mark.e2e
PAGE = ROOT / "docs" / "tutorials" / "first-workflow.md"


async def test_every_command_of_the_page_works(tmp_path: Path) -> None:
    async with running_stack(tmp_path, split=False) as stack:
        environ = {
            "AGENTFLOW_URL": stack.addresses.gateway_url,
            "AGENTFLOW_API_KEY": stack.addresses.api_key,
        }
        compared = await asyncio.to_thread(follow, PAGE, tmp_path, ["run", "stack"], environ)
    assert compared == 3

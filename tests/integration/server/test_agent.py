"""The tools of agents, called by the SDK's own client: in the process, and over standard input and output."""

import asyncio
import json
import os
import sys

import pytest
from mcp import Client, ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from agrilape.server.agent import make_agent_server


def call(server, *calls):
    """Results of tools."""

    async def ask():
        async with Client(server) as client:
            return [await client.call_tool(name, given) for name, given in calls]

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def server(predictor, images):
    return make_agent_server(lambda: predictor, images)


def text(result):
    return result.content[0].text


def test_an_agent_asks_a_map(server, images, predictor):
    given = {"image": "farm/june.tif", "question": "where are the fields?", "min_confidence": 0}
    listed, described, asked, known = call(
        server,
        ("describe_image", {}),
        ("describe_image", {"image": "series.tif"}),
        ("ask_map", given),
        ("known_questions", {}),
    )
    assert "farm/june.tif" in text(listed)
    assert json.loads(text(described))["dates"] == ["2022-04-01", "2022-06-01", "2022-08-01"]
    found = json.loads(text(asked))
    expected = predictor.ask(images / "farm/june.tif", "where are the fields?", min_confidence=0)
    assert found["summary"] == expected.attrs["summary"]
    assert len(found["features"]) == len(expected)
    assert any("{crop}" in str(part) for part in known.content)


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("ask_map", {"image": "../secret.tif", "question": "where are the fields?"}, "there is no image"),
        ("ask_map", {"image": "farm/june.tif", "question": "sing"}, "->"),
        ("describe_image", {"image": "broken.tif"}, "not a readable image"),
    ],
)
def test_an_agent_is_told_what_is_wrong(server, name, given, says):
    (found,) = call(server, (name, given))
    assert found.is_error
    assert says in text(found)


def test_the_command_speaks_the_protocol(images):
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "agrilape", "mcp", "--images", str(images)],
        env=dict(os.environ),
    )

    async def ask():
        async with stdio_client(command) as streams, ClientSession(*streams) as session:
            await session.initialize()
            return await session.list_tools()

    tools = asyncio.run(ask()).tools
    assert {tool.name for tool in tools} == {"ask_map", "known_questions", "describe_image"}

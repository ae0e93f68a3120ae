"""Recorded histories of workflows: `GOLDEN_RECORD=1 make test` records them anew from the end-to-end tests."""

import os
from pathlib import Path

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowHistory
from temporalio.converter import PayloadCodec

FOLDER = Path(__file__).parent.parent / "replay" / "histories"


async def record(client: Client, workflow_id: str, name: str) -> None:
    """Keep a closed workflow's history as `NAME.json`, in clear text, where recording is asked for."""
    if os.environ.get("GOLDEN_RECORD") == "1":
        history = await client.get_workflow_handle(workflow_id).fetch_history()
        # The test server's client seals nothing.
        if client.data_converter.payload_codec is not None:
            await decrypt(history, client)
        (FOLDER / f"{name}.json").write_text(history.to_json() + "\n")


async def decrypt(history: WorkflowHistory, client: Client) -> None:
    """Open every payload of a history in place: the ring that sealed it is gone with its stack."""
    codec = client.data_converter.payload_codec
    assert codec is not None
    for event in history.events:
        await _open_all(event, codec)


async def _open_all(message: Message, codec: PayloadCodec) -> None:
    if isinstance(message, Payload):
        (opened,) = await codec.decode([message])
        message.CopyFrom(opened)
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            children = [child for child in value.values() if isinstance(child, Message)]
        else:
            children = list(value) if field.is_repeated else [value]
        for child in children:
            await _open_all(child, codec)

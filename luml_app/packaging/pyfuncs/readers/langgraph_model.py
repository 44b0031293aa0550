"""Graphs of LangGraph, made by the author's own modules when the model is loaded."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


def load(file: Callable[[str], Path], config: dict[str, Any]) -> Any:
    """The graph: a variable of a module, or what a function of it returns."""
    found = getattr(importlib.import_module(config["module"]), config["name"])
    return found() if config["factory"] else found


def predict(model: Any, native: Any, config: dict[str, Any]) -> dict[str, Any]:
    """The state in which the graph ends, by its keys. Each call is a conversation of its own."""
    settings = {"configurable": {"thread_id": uuid.uuid4().hex}}
    # Nodes may be coroutines, and whoever calls may have a running loop, as notebooks do.
    with ThreadPoolExecutor(1) as thread:
        state = thread.submit(lambda: asyncio.run(model.ainvoke(native, settings))).result()
    return {str(name): _plain(value) for name, value in state.items()} if isinstance(state, dict) else {"output": state}


def _plain(value: Any) -> Any:
    """Messages in the form that chat services take, without ids that are made up anew each time."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if type(value).__module__.startswith("langchain_core.messages"):
        from langchain_core.messages import convert_to_openai_messages

        return convert_to_openai_messages(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value

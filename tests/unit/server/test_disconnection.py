"""A client that closes the connection takes its request out of the queue."""

import asyncio
import json

from tapetum.search import SearchEngine
from tapetum.server.app import create_app
from tapetum.server.settings import ServerSettings
from tapetum.server.users import LOCAL


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


async def ask(app, query_id, leaving: asyncio.Event) -> int:
    """Search over ASGI, and leave when told to; the status of the answer."""
    body = json.dumps({"query_ids": [query_id]}).encode()
    headers = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(body))}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/v1/search",
        "raw_path": b"/api/v1/search",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }
    sent, given = [], []

    async def receive():
        if not given:
            given.append(body)
            return {"type": "http.request", "body": body, "more_body": False}
        await leaving.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"]


def test_who_leaves_is_not_waited_for(gallery, model, picture):
    app = create_app(ServerSettings(batch_size=1), SearchEngine(gallery, model))
    service = app.state.service

    async def leave():
        service.start()
        names = [(await service.upload([picture()], by=LOCAL)).query_id for _ in range(2)]
        stay, go = asyncio.Event(), asyncio.Event()
        model.go.clear()
        first = asyncio.create_task(ask(app, names[0], stay))
        await until(lambda: service.waiting_clips == 0 and model.busy)
        second = asyncio.create_task(ask(app, names[1], go))
        await until(lambda: service.waiting_clips == 1)
        go.set()
        async with asyncio.timeout(20):
            assert await second == 499
            assert service.waiting_clips == 0
            model.go.set()
            assert await first == 200

    asyncio.run(leave())
    service.close()
    assert model.batches == [1]

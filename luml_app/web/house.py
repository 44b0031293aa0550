"""What a server process shares: settings, keys, database, service, threads, notifications."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

from luml_app.core.db import Database, Listener
from luml_app.core.events import DELIVERY_DUE, Notice
from luml_app.core.keys import Keys
from luml_app.core.mail import check_mail_settings
from luml_app.core.oidc import providers
from luml_app.core.outside import Question
from luml_app.core.scope import Credentials
from luml_app.core.service import Answer, Request, Service
from luml_app.core.settings import Settings
from luml_app.jobs.chores import QUEUED
from luml_app.jobs.courier import Courier
from luml_app.jobs.housekeeper import Housekeeper
from luml_app.jobs.workers import Workers
from luml_app.resources import CHORES, all_operations
from luml_app.schemas.settling import settle_structs
from luml_app.web.bodies import BodyRoom
from luml_app.web.hub import MISSED, Hub
from luml_app.web.local import LocalApi

_BODIES_AT_ONCE = 4


@dataclass
class House:
    """Everything a handler or a page may need. Nothing connects before the first call."""

    settings: Settings
    keys: Keys
    database: Database
    service: Service
    hub: Hub
    listener: Listener
    threads: ThreadPoolExecutor
    housekeeper: Housekeeper
    courier: Courier
    room: BodyRoom

    @classmethod
    def build(cls, settings: Settings, keys: Keys) -> Self:
        """Put the parts together. Raises ConfigurationError without a database address, or for a wrong setting."""
        check_mail_settings(settings)
        providers(settings)
        settle_structs()
        size, patience = settings.pool_size, settings.statement_seconds
        database = Database(settings.database_url or "", pool_size=size, statement_seconds=patience)
        hub = Hub()
        # As many threads as connections: a thread that would only wait for a connection is of no use.
        threads = ThreadPoolExecutor(settings.pool_size, thread_name_prefix="luml-operation")
        service = Service(all_operations(), database, keys, settings)
        housekeeper = Housekeeper(database, keys, settings, CHORES)
        courier = Courier(database, keys, settings)
        listener = Listener(database, hub.receive)
        room = BodyRoom(_BODIES_AT_ONCE * settings.max_body_bytes)
        return cls(settings, keys, database, service, hub, listener, threads, housekeeper, courier, room)

    async def call(self, request: Request) -> Answer:
        """Run an operation in a thread of the pool; while it waits for somebody else, it holds none."""
        attempt = self.service.attempt
        try:
            return await asyncio.get_running_loop().run_in_executor(self.threads, attempt, request)
        except Question as question:
            answer = await asyncio.wrap_future(self.service.outside.ask(question))
            return await asyncio.get_running_loop().run_in_executor(self.threads, attempt, request, answer)

    def api(self, credentials: Credentials) -> LocalApi:
        """The api for widgets and pages of this process, in the name of a caller."""
        return LocalApi(self.service, credentials)

    def know(self, settings: Settings) -> None:
        """Go on with these settings, as when the port has turned out."""
        self.settings = self.service.settings = self.housekeeper.settings = settings

    def keep(self) -> None:
        """Begin to do the server's chores and to deliver to webhooks; notices on the hub wake who does it."""
        for workers, action in ((self.housekeeper, QUEUED), (self.courier, DELIVERY_DUE)):
            self.hub.subscribe(_waker(workers, action))
            workers.start()

    def close(self, *_: Any) -> None:
        """Stop threads and connections."""
        self.housekeeper.stop()
        self.courier.stop()
        self.listener.stop()
        self.service.outside.close()
        self.threads.shutdown(wait=True, cancel_futures=True)
        self.database.close()


def _waker(workers: Workers, action: str) -> Callable[[Notice], None]:
    return lambda notice: workers.wake() if notice.action in {action, MISSED.action} else None

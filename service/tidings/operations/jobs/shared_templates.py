"""Says which notifications have a template that is gone, where the templates of the workers are known."""

from time import monotonic
from typing import Final

from tidings.channels.registry import SPECS
from tidings.delivery.errors import ConfigurationError
from tidings.ledger.dead_letters.choice import Objection, no_objection
from tidings.operations.backend import Backend
from tidings.templates import TemplateNotFound, Templates
from tidings_events import Notification

FRESH: Final = 30.0
"""Seconds for which it is relied on that the workers have read these templates."""


class SharedTemplates:
    """The templates of this process, if every running worker has read the same."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._looked_at: float | None = None
        self._objection: Objection = no_objection

    async def objection(self) -> Objection:
        """Why the template of a notification can't be used. Nothing is objected to if the workers have other templates.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        if self._looked_at is None or monotonic() - self._looked_at > FRESH:
            self._objection = await self._look()
            self._looked_at = monotonic()
        return self._objection

    async def _look(self) -> Objection:
        known = await self._backend.ledger.processes.known()
        read = {process.templates for process in known if process.running and process.templates}
        root = self._backend.settings.worker.templates_root
        if not (read and root.is_dir()):
            return no_objection
        try:
            templates = Templates(root)
        except ConfigurationError:  # `tidings doctor` tells of it
            return no_objection
        if read != {templates.digest}:
            return no_objection

        def missing(notification: Notification) -> str | None:
            name: str | None = getattr(notification, "template", None)
            if name is None:
                return None
            try:
                required = SPECS[notification.channel].template_parts.required
                templates.locale(name, notification.locale, required)
            except TemplateNotFound as error:
                return str(error)
            return None

        return missing

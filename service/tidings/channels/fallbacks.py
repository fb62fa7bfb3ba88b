"""Fallback providers: their names, and the settings that they inherit from the preferred one."""

import re
from collections.abc import Collection
from typing import Annotated, Final

from pydantic import AfterValidator

from tidings.delivery.ports import PRIMARY
from tidings.runtime.environment.formats import Words
from tidings.runtime.environment.reading import Section

_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,30}")


def _names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _NAME.fullmatch(name) or name in RESERVED:
            raise ValueError(
                f"{name[:40]!r} is not a valid name: use letters and digits, e.g. backup or relay2, "
                f"but none of {', '.join(sorted(RESERVED))}"
            )
    if len(set(names)) < len(names):
        raise ValueError("a name occurs twice")
    return names


RESERVED: Final = frozenset(
    {PRIMARY, "account", "allow", "api", "auth", "ca", "circuit", "low", "max", "messages"}
    | {"messaging", "send", "base", "status"}
)
"""With these names, two settings would share an environment variable."""
Fallbacks = Annotated[Words, AfterValidator(_names)]


def prefix_of(channel: str, provider: str) -> str:
    """The prefix of a fallback's variables, e.g. `TIDINGS_EMAIL_BACKUP_`."""
    return f"TIDINGS_{channel}_{provider}_".upper()


def inherit(own: Section, preferred: Section, *, but: Collection[str]) -> Section:
    """A fallback's section, with unset fields taken from the preferred provider."""
    missing = type(own).model_fields.keys() - own.model_fields_set - set(but)
    whole = own.model_copy(update={name: getattr(preferred, name) for name in missing})
    whole.model_fields_set.difference_update(missing)
    return whole

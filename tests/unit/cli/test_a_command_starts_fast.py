"""Help and questions load no library that they don't need: starting one is most of a command's time."""

import subprocess
import sys
from typing import Final

import pytest

SERVICE: Final = {
    "aio_pika",
    "aiohttp",
    "aiormq",
    "aiosmtplib",
    "alembic",
    "apprise",
    "jinja2",
    "prometheus_client",
    "sqlalchemy",
    "twilio",
}
QUESTIONS: Final = {
    "asyncpg",
    "structlog",
    "pydantic",
    "pydantic_settings",
    "rich.table",
    "tidings.ledger",
}
LISTS_WHAT_IT_LOADS: Final = """
import atexit, sys
from tidings.cli.main import main
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
main()
"""


def loaded(*arguments: str, **variables: str) -> set[str]:
    """The modules that a command has loaded when it ends."""
    ended = subprocess.run(
        [sys.executable, "-c", LISTS_WHAT_IT_LOADS, *arguments],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    *_, modules = ended.stderr.splitlines()
    return set(modules.split())


@pytest.mark.parametrize(
    "variables",
    [{}, {"_TIDINGS_COMPLETE": "complete_bash", "COMP_WORDS": "tidings s", "COMP_CWORD": "1"}],
    ids=["help", "completion"],
)
def test_help_and_completion_load_no_command(variables: dict[str, str]) -> None:
    modules = loaded(*([] if variables else ["--help"]), **variables)
    assert modules & {*SERVICE, *QUESTIONS} == set()
    assert "tidings.cli.show" not in modules


def test_a_question_to_postgresql_loads_no_other_client() -> None:
    modules = loaded("show", "0192f0c1", TIDINGS_DATABASE_URL="postgresql://127.0.0.1:1/tidings")
    assert "tidings.ledger" in modules
    assert modules & {*SERVICE, "email_validator", "phonenumbers"} == set()

"""`tidings list` has every filter of `GET /v1/notifications`, under the same name."""

from typing import Any

import typer.main

from tidings.api.routes.lists import FilterQuery
from tidings.cli.main import app


def test_each_filter_of_the_api_is_an_option_of_the_command_line() -> None:
    commands: Any = typer.main.get_command(app)
    options = {
        option for parameter in commands.commands["list"].params for option in parameter.opts
    }
    wanted = {f"--{name.replace('_', '-')}" for name in FilterQuery.model_fields}
    assert wanted <= options, wanted - options

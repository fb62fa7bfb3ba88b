"""Imports commands on use: help and completion need only their names and descriptions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import typer.main

from tidings.cli import plugins
from tidings.cli.commands import Command, CommandGroup, Commands

RUN: Final = "Run"


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command that is not imported yet."""

    panel: str
    """Its heading in the help."""
    name: str
    place: str
    """Its function or group, as `module:attribute` in `tidings.cli`."""
    line: str
    """The first line of its help."""


class LazyCommands(Mapping[str, Any]):
    """Commands by name, plugins first; each is imported when it is looked up."""

    def __init__(self, listed: Sequence[LazyCommand]) -> None:
        self._listed = {command.name: command for command in listed}
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> Any:
        holder = Commands(add_completion=False)
        if (listed := self._listed.get(name)) is None:
            holder.command(name, rich_help_panel=RUN)(plugins.commands()[name])
        else:
            module, attribute = listed.place.split(":")
            found = getattr(import_module(f"tidings.cli.{module}"), attribute)
            if isinstance(found, typer.Typer):
                holder.add_typer(found, name=name, rich_help_panel=listed.panel)
            else:
                holder.command(name, rich_help_panel=listed.panel)(found)
        return typer.main.get_group(holder).commands[name]

    def __iter__(self) -> Iterator[str]:
        yield from plugins.commands()
        yield from self._listed

    def __len__(self) -> int:
        return sum(1 for _ in self)


class LazyGroup(CommandGroup):
    """A group that imports its commands on use."""

    listed: Sequence[LazyCommand] = ()

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.commands: Any = LazyCommands(self.listed)

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands."""
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command for help and completion."""
        for command in self.listed:
            if command.name == cmd_name:
                return Command(command.name, help=command.line, rich_help_panel=command.panel)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """A command to run. Raises like `CommandGroup.resolve_command`."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found and self.commands[name], rest

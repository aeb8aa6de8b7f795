"""A group of commands each of which is loaded when it is called, and none of them for the list in the help."""

from __future__ import annotations

from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from runner.cli.verbs import VERBS

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
MARKUP: Final = "markdown"


class LazyGroup(TyperGroup):
    """The commands of ``runner.cli.verbs``: names and summaries at once, the rest when asked for."""

    def __init__(self, **keys: Any) -> None:
        named = {
            verb.name: TyperCommand(
                verb.name, help=verb.summary, rich_help_panel=verb.heading, rich_markup_mode=MARKUP
            )
            for verb in VERBS
        }
        super().__init__(**{**keys, "commands": named})
        self._verbs = {verb.name: verb for verb in VERBS}
        self._is_listing = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, with its arguments and options unless it is only named in a list."""
        if self._is_listing or cmd_name not in self._verbs:
            return super().get_command(ctx, cmd_name)
        alone = typer.Typer(
            add_completion=False,
            rich_markup_mode=MARKUP,
            pretty_exceptions_enable=False,
            context_settings=HELP_OPTIONS,
        )
        alone.command(cmd_name)(self._verbs[cmd_name].function())
        return get_command(alone)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help of ``mmm`` itself: a list of commands, which needs none of them."""
        self._is_listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._is_listing = False

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Names of commands that begin so; a list, too."""
        self._is_listing = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self._is_listing = False

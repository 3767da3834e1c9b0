"""Where commands and their actions are added to the command line."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn, Protocol, cast

from typing_extensions import override

from syncd.quoting import shown

EXIT_USAGE = 2


class Commands(Protocol):
    """What `ArgumentParser.add_subparsers` returns."""

    def add_parser(
        self,
        name: str,
        *,
        help: str | None = ...,  # noqa: A002 - its name
        parents: Sequence[argparse.ArgumentParser] = ...,
    ) -> argparse.ArgumentParser:
        """Add a command and return its parser."""
        ...


class CommandModule(Protocol):
    """A module of this package that adds one command or several."""

    def add_parser(self, commands: Commands, common: argparse.ArgumentParser) -> None:
        """Add its commands with their arguments, of which `common` has those that most share."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """A command: the `module` of this package that adds it, and what it does."""

    module: str
    help: str


COMMANDS: Mapping[str, Listed] = {
    "run": Listed("run", "run the daemon in the foreground"),
    "quickstart": Listed("quickstart", "sync a folder, search it, and say how to go on"),
    "sources": Listed("sources", "list, show, add, edit, pause, rename and remove sources"),
    "collections": Listed("collections", "list collections with their chunks and the sources that keep them"),
    "documents": Listed("documents", "list a collection's documents, sync some again, and delete some"),
    "sync": Listed("sync", "run a source now and wait for the end"),
    "plan": Listed("plan", "show what a sync would add, change, delete and cost, without doing it"),
    "status": Listed("status", "show the daemon, or one invocation with its documents"),
    "watch": Listed("watch", "follow an invocation until it is over"),
    "cancel": Listed("cancel", "end an invocation; what it has indexed stays"),
    "dead-letters": Listed("dead_letters", "list event messages that could not be processed, with the reasons"),
    "retry": Listed("reruns", "run an invocation's failed documents again"),
    "confirm-deletes": Listed("reruns", "carry out the deletes that an invocation held back"),
    "search": Listed("search", "search a collection"),
    "related": Listed("related", "find chunks like one chunk"),
    "read": Listed("read", "print a document, or lines, pages or a section of it"),
    "explain": Listed("explain", "say where a chunk comes from, and whether it is still what its document gives"),
    "eval": Listed("eval", "measure how well searches find what questions ask for, or compare collections"),
    "verify": Listed("verify", "compare a collection with the store and with the sources that feed it"),
    "rebuild": Listed("rebuild", "recreate a collection from the store, without fetching or embedding"),
    "shadow": Listed("shadow", "show how a collection is built anew for changed settings, and decide about it"),
    "rollback": Listed("shadow", "go back to a collection as it was before its settings changed"),
    "mcp": Listed("mcp", "serve an agent's tools over standard input and output (MCP)"),
    "token": Listed("token", "create, list and revoke API tokens"),
    "credentials": Listed("credentials", "list, rotate and delete the keys that sources use"),
    "webhooks": Listed("webhooks", "list who is told of what happens, and try one out"),
    "export": Listed("backup", "write the state folder into one file, also while the daemon runs"),
    "import": Listed("backup", "make a state folder of an exported file"),
    "doctor": Listed(
        "doctor",
        "say what is in order and what to do about the rest, also while the daemon runs (s3 doctor: of a bucket)",
    ),
    "logs": Listed("logs", "print what the daemon logged, all or of one source"),
    "config": Listed("config", "print a configuration to start from, and check one"),
    "service": Listed("service", "make syncd a service of this machine (systemd), or no service any more"),
    "model": Listed("model", "list, fetch, add and measure embedding models"),
    "s3": Listed("s3", "prepare a bucket for auto-sync, and say what is missing"),
    "completion": Listed("completion", "print a script with which a shell completes commands, options and names"),
}


class OneLineParser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line, without the whole usage before it; parsers of actions are of its class too."""

    _given: Sequence[str] = ()

    @override
    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride] - it is called so
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Do as argparse does, and keep what was given."""
        self._given = args or ()
        return super().parse_known_args(args, namespace or argparse.Namespace())

    @override
    def error(self, message: str) -> NoReturn:
        """Exit with status 2. An option that does not exist is named rather than what is missing beside it."""
        options = [name for it in actions_of(self) for name in it.option_strings]
        given = [it for it in itertools.takewhile(lambda it: it != "--", self._given) if it.startswith("--")]
        for unknown in given:
            if not any(name.startswith(unknown.partition("=")[0]) for name in options):
                self.exit(EXIT_USAGE, f"{self.prog}: {no_such_argument(self, self.prog, unknown)}\n")
        end = " " if message.endswith("?") else "; "
        self.exit(EXIT_USAGE, f"{self.prog}: {message}{end}`{self.prog} --help` lists what it takes\n")

    @override
    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Raise ArgumentError for what an argument cannot be, which names what was meant."""
        known = [str(it) for it in action.choices or ()]
        if known and value not in known and (likely := get_close_matches(str(value), known, 1)):
            raise argparse.ArgumentError(action, f"there is no {shown(str(value))}; did you mean {likely[0]}?")
        super()._check_value(action, value)


class CommandLine:
    """The commands of one parser: all are listed, and `chosen` alone is loaded, since each imports what it needs."""

    def __init__(self, top: argparse.ArgumentParser) -> None:
        self._parsers = top.add_subparsers(required=True, metavar="COMMAND")

    def list_all(self) -> None:
        """Add all commands without their arguments."""
        for name, listed in COMMANDS.items():
            self._parsers.add_parser(name, help=listed.help)

    def load(self, chosen: str, common: argparse.ArgumentParser) -> None:
        """Add one command, and what its module adds beside it."""
        module = cast("CommandModule", import_module(f"syncd.cli.{COMMANDS[chosen].module}"))
        module.add_parser(self, common)

    def load_all(self, common: argparse.ArgumentParser) -> None:
        """Add every command with its arguments; importing what they need takes a second."""
        for name in {listed.module: name for name, listed in COMMANDS.items()}.values():
            self.load(name, common)

    def add_parser(
        self,
        name: str,
        *,
        help: str | None = None,  # noqa: A002 - argparse's name
        parents: Sequence[argparse.ArgumentParser] = (),
    ) -> argparse.ArgumentParser:
        """Add a command of the table; what it does stands there."""
        text = help or COMMANDS[name].help
        return self._parsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=parents)


def actions_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield every argument of a parser and of those below it."""
    for action in parser._actions:  # pyright: ignore[reportPrivateUsage] - argparse lists them nowhere else
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            for below in cast("Mapping[str, argparse.ArgumentParser]", action.choices).values():  # pyright: ignore[reportUnknownMemberType]
                yield from actions_of(below)
        else:
            yield action


def no_such_argument(parser: argparse.ArgumentParser, command: str, given: str) -> str:
    """Return what to tell somebody who gave a `command` an argument that it does not take."""
    likely = get_close_matches(
        given.partition("=")[0], [name for it in actions_of(parser) for name in it.option_strings], 1
    )
    hint = f"did you mean {likely[0]}?" if likely else f"`{command} --help` lists what it takes"
    return f"there is no argument {given!r}; {hint}"


def no_such_command(name: str) -> str:
    """Return what to tell somebody who wrote a command that does not exist."""
    likely = get_close_matches(name, COMMANDS, 1)
    hint = f"; did you mean `syncd {likely[0]}`?" if likely else "; `syncd --help` lists them"
    return f"there is no command {name!r}{hint}"

"""Secrets that the configuration file holds, or says where they are: in a variable of the environment, or in a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, SecretStr, model_validator

from syncd.errors import ConfigError
from syncd.quoting import told
from syncd.schema import Table, VariableName


def sendable(secret: str) -> str:
    """Return a secret that is sent in a header, without white space at its ends. Raises ValueError, not quoting it, if no header can hold it."""
    stripped = secret.strip()
    if not (stripped.isascii() and stripped.isprintable()):
        raise ValueError("a header takes printable ASCII characters alone; give the key as it was issued, on one line")
    return stripped


HeaderSecret = Annotated[SecretStr, AfterValidator(lambda given: SecretStr(sendable(given.get_secret_value())))]
OptionalSecret = Annotated[HeaderSecret | None, AfterValidator(lambda given: given or None)]
"""An empty one, as of a variable of the environment that is set to nothing, is none."""


def check_secret(key: str, value: SecretStr | None, variable: str | None, file: Path | None) -> None:
    """Raise ValueError if the secret `key` is given in more than one way, or in a variable that is a configuration key."""
    if sum(given is not None for given in (value, variable, file)) > 1:
        raise ValueError(f"give one of {key}, {key}_env and {key}_file")
    if variable is not None and variable.startswith("SYNCD_"):
        raise ValueError(f"{key}_env = {variable!r}: variables beginning with SYNCD_ are configuration keys")


def read_secret(owner: Sequence[str], value: SecretStr | None, variable: str | None, file: Path | None) -> str | None:
    """Return a secret without white space at its ends, None if there is none; a bare file name is one of systemd's credentials.

    `owner`: the table, and what in it has the secret, for the message. Raises ConfigError if it cannot be read.
    """
    table, of = owner
    if value is not None:
        return value.get_secret_value().strip()
    if variable is not None:
        if not (found := os.environ.get(variable, "").strip()):
            raise ConfigError(f"{table}: the variable {variable} of {of} is not set; set it")
        return found
    if file is None:
        return None
    path = Path(os.environ.get("CREDENTIALS_DIRECTORY", "")) / file.expanduser()
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{table}: the secret of {of} cannot be read from {path} ({told(error)}); correct the file's name, or who may read it"
        ) from None


class KeyedTable(Table):
    """A table about a server that may want a key."""

    api_key: OptionalSecret = None
    api_key_env: VariableName | None = None
    """The environment variable that holds the key; names beginning with SYNCD_ are configuration keys."""
    api_key_file: Path | None = None
    """The file that holds the key; a bare name is one of systemd's credentials."""

    @model_validator(mode="after")
    def one_key(self) -> Self:
        """Check that the key is given in only one way."""
        check_secret("api_key", self.api_key, self.api_key_env, self.api_key_file)
        return self

    def key(self, table: str, of: str) -> str | None:
        """Return the key, None if there is none.

        Raises ConfigError, which says which `table` it is and `of` what, if it cannot be read, or sent in a header.
        """
        found = read_secret((table, of), self.api_key, self.api_key_env, self.api_key_file)
        try:
            return found and sendable(found)
        except ValueError as error:
            raise ConfigError(f"{table}: the key of {of} cannot be sent: {error}") from None

"""What rows are asked for: SQL of the columns' values that a caller names."""

from __future__ import annotations

from collections.abc import Mapping


def conditions(equal: Mapping[str, object], databases: frozenset[str] | None) -> tuple[str, list[object]]:
    """Return a WHERE clause over the given (non-None) columns and the database scope, with its values."""
    terms = [f"{column} = ?" for column, value in equal.items() if value is not None]
    values = [value for value in equal.values() if value is not None]
    if databases is not None:
        terms.append(f"database IN ({', '.join('?' * len(databases))})")
        values.extend(sorted(databases))
    return (" WHERE " + " AND ".join(terms) if terms else ""), values

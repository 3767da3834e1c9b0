"""What became of one document."""

from __future__ import annotations

from dataclasses import dataclass

from syncd.model import Counts, DocumentState


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the document: indexed, unchanged, deleted, skipped or failed (with the reason).

    In a dry run, what would; the reason of an indexed one is then "new" or "changed".
    """

    key: str
    state: DocumentState
    reason: str = ""
    version: str = ""
    chunks: int = 0
    written: int = 0
    deleted: int = 0
    embedded: int = 0
    reused: int = 0
    tokens: int = 0
    warnings: int = 0
    """How many kinds of warnings it has."""
    content_hash: str = ""
    """That of the bytes that it was made from, if it was."""
    is_put_off: bool = False
    """It failed for a reason that may pass, so that it is worth asking for again."""

    @property
    def counts(self) -> Counts:
        """What the document adds to its run's counts, beside having been found."""
        return Counts(
            indexed=int(self.state is DocumentState.INDEXED),
            unchanged=int(self.state is DocumentState.UNCHANGED),
            deleted=int(self.state is DocumentState.DELETED),
            skipped=int(self.state is DocumentState.SKIPPED),
            failed=int(self.state is DocumentState.FAILED),
            chunks_written=self.written,
            chunks_deleted=self.deleted,
            chunks_embedded=self.embedded,
            chunks_reused=self.reused,
            tokens=self.tokens,
            warned=int(self.warnings > 0),
        )

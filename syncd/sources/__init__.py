"""Where documents come from. This page is all you need to write a source.

A source is an object with one method, an async generator (the protocol is `syncd.model.Source`):

    class Notes:
        async def changes(self, run: Run) -> AsyncIterator[Document | Checkpoint]:
            for note in await self._changed_since(run.cursor):
                yield Document(
                    key=note.path,                        # unique within the source; shown to people
                    version=note.etag,                    # equal versions of one key mean equal bytes
                    body=StreamBody(note.read),           # fetched only when opened; None: the document is gone
                    chunk_prefix=chunk_prefix(note.path), # the same at every run
                    metadata={"author": note.author},     # nothing volatile: a change rewrites every chunk of the document
                )
            yield Checkpoint(cursor=self._now)            # "that was all, up to here"

What the caller does with it:

- It skips a document whose version is already indexed, without opening its body. Listing everything in every run is
  correct and cheap; using the cursor is cheaper.
- It opens bodies later, several at once and possibly twice, while the generator is suspended or after it has finished.
- It saves a checkpoint's cursor once every document before it is recorded, and returns it as `run.cursor`. A crash
  repeats everything since then. Checkpoints may come half-way, and must where a repeat could not undo what was done.
- After `Checkpoint(absent_are_gone=True)` it deletes every document of this source that this run did not yield. An
  incomplete listing must never set it; it yields documents known to be gone with `body=None`.
- With `run.keys` only those keys are wanted: each one is yielded, gone or not, and the cursor stays as it is.
- It closes the generator; clean up in `finally`.

Errors say what happens next: RetryableError (the run is tried again from its cursor), PermanentError (the run fails with
that message). Raised while a body is opened, they concern only that document; Skipped means that it is deliberately not indexed.

`bodies` has bodies for bytes, files and streams, and the check for text; `globs` matches include and exclude patterns.

A source type is a folder with these modules, and one line in `registry`; nothing else refers to a type by name:

- `settings.py`: a frozen dataclass derived from `SourceSettings`, whose fields are named as the stored JSON names them; the
  API's shape (`schema.Model`); the table of the configuration file (`table.SourceTable`), where sources can be declared.
- `factory.py`: a `SourceFactory`, built once per daemon, that opens the source of a record. Where the type needs it, it also
  checks new settings (`accept`), keeps their secrets, says when something changed (`watch`), and runs actors of its own.
- `type.py`: the `SourceType` that ties them together: name, codec, facts, `sources add`, tables of its own in `migrations/`.
  It imports the factory only when asked for it: the command line reads every type and must start at once.
"""

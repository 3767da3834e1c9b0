"""Where documents come from. This page is all one needs to write a source.

A source is an object with one method, an async generator (the protocol is `syncd.model.Source`):

    class Notes:
        async def changes(self, run: Run) -> AsyncIterator[Document | Checkpoint]:
            for note in await self._changed_since(run.cursor):
                yield Document(
                    key=note.path,                        # unique within the source; what people recognise
                    version=note.etag,                    # equal versions of one key mean equal bytes
                    body=StreamBody(note.read),           # fetched only when opened; None: the document is gone
                    chunk_prefix=chunk_prefix(note.path), # the same at every run
                    metadata={"author": note.author},     # nothing volatile: a change rewrites every chunk
                )
            yield Checkpoint(cursor=self._now)            # "that was all, up to here"

What the caller does with it:

- It skips a document whose version is already indexed, without opening its body. To list everything at every run is
  correct and cheap; to use the cursor is cheaper.
- It opens bodies later, several at once, perhaps twice; the generator is still suspended then, or already finished.
- It saves a checkpoint's cursor when every document before it is recorded, and gives it back as `run.cursor`. A crash
  repeats everything since. A cursor may be saved half-way, and must be where a repeat could not mend what was done.
- After `Checkpoint(absent_are_gone=True)` it removes what it knows of this source and did not see in this run. A
  listing that was cut short must never say that; it yields what it knows to be gone with `body=None`.
- With `run.keys` only those keys are wanted: each one is yielded, gone or not, and the cursor stays as it is.
- It closes the generator; `finally` is the place to clean up.

Errors name the next move: RetryableError (the run is tried again from its cursor), PermanentError (the run fails with
that message). Raised while a body is opened, they concern that document only; Skipped says it is left out on purpose.

`bodies` has bodies for bytes, files and streams and the check for text; `globs` the patterns people write.

Its type is a folder with these, and one line in `registry`; nothing else knows a type by name:

- `settings.py`: a frozen dataclass derived from `SourceSettings`, whose fields are named as the stored JSON names them; the
  API's shape (`schema.Model`); the table of the configuration file (`table.SourceTable`), where sources can be declared.
- `factory.py`: a `SourceFactory`, built once per daemon, that opens the source of a record. Where the type needs it, it also
  checks new settings (`accept`), keeps their secrets, says when something changed (`watch`), and runs actors of its own.
- `type.py`: the `SourceType` that ties them together: name, codec, facts, `sources add`, tables of its own in `migrations/`.
  It imports the factory only when asked for it: the command line reads every type and must start at once.
"""

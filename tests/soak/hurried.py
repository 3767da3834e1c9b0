"""The program in a hurry: whatever it waits for of its own accord takes a sixtieth of the time. What limits work stays as it is.

python -m tests.soak.hurried run --config FILE
"""

from dataclasses import replace
from types import ModuleType

from syncd.app import parts, upkeep
from syncd.cli import main
from syncd.index import collection_watch, query_functions, sparse_backfill
from syncd.runtime import watched_server
from syncd.runtime.retry import Backoff
from syncd.sources.azure_blob import credentials as azure_credentials
from syncd.sources.folder.watch import FolderWatcher
from syncd.sources.gcs import credentials as gcs_credentials
from syncd.sources.git import watch
from syncd.sources.objects import access, queues
from syncd.sources.s3 import client
from syncd.sources.web import crawl
from syncd.sync import syncer, triggers

HURRY = 60.0
WAITS: dict[ModuleType, tuple[str, ...]] = {
    access: ("REFUSED_FOR_S",),
    azure_credentials: ("READ_AGAIN_S",),
    client: ("READ_ANEW_S",),
    collection_watch: ("LOOK_EVERY_S",),
    crawl: ("OUTAGE_RETRY_S",),
    gcs_credentials: ("ANOTHER_AFTER_S",),
    query_functions: ("FUNCTION_RETRY_S",),
    queues: ("QUEUE_CHECK_EVERY_S",),
    sparse_backfill: ("BACKFILL_RETRY_S",),
    syncer: ("IDLE_S", "UNSETTLED_S", "SLOT_S"),
    triggers: ("CHECK_EVERY_S", "STEADY_S"),
    upkeep: ("LEFTOVERS_EVERY_S",),
    watch: ("MAX_BACKOFF_S",),
    watched_server: ("_LOOK_EVERY_S", "_PROBE_EVERY_S"),
}
LEAST_S = 0.1
"""Nothing is looked at more often."""


def hurry() -> None:
    """Shorten every wait; limits of single requests and of the work on a document are not touched."""
    for module, names in WAITS.items():
        for name in names:
            setattr(module, name, max(LEAST_S, getattr(module, name) / HURRY))
    delay_s, by_schedule, settings = Backoff.delay_s, triggers.Triggers._by_schedule, parts.sync_settings
    Backoff.delay_s = lambda self, failures: delay_s(self, failures) / HURRY
    triggers.Triggers._by_schedule = lambda self, record, target, interval_s: by_schedule(
        self, record, target, interval_s / HURRY
    )
    parts.sync_settings = lambda config: hurried(settings(config))
    FolderWatcher.__init__.__defaults__ = (
        *FolderWatcher.__init__.__defaults__[:1],
        *(wait_s / HURRY for wait_s in FolderWatcher.__init__.__defaults__[1:]),
    )


def hurried(settings):
    """Return settings under which runs are tried again sooner."""
    return replace(settings, mending_s=settings.mending_s / HURRY)


if __name__ == "__main__":
    hurry()
    main()

"""Ray: workers on other machines that embed and prepare, reached through a process of our own that is the cluster's driver.

    daemon: embedder.py ── frames ──> driver.py ── Ray ──> embedding_actor.py on a worker ── frames ──> the model's process
            preparer.py ── frames ──> driver.py ── Ray ──> preparing_actor.py on a worker ── frames ──> a jailed process

The daemon's half imports nothing of Ray, and keeps everything that lasts: documents that are not prepared are of a run that has not
ended, the texts that want vectors lie in its store until they have them, and whatever is lost on the way is done again. Ray repeats
nothing by itself.
"""

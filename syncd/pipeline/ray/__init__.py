"""Ray: workers on other machines that embed, reached through a process of our own that is the cluster's driver.

    daemon: embedder.py ── frames ──> driver.py ── Ray ──> actor.py on a worker ── frames ──> the model's process

The daemon's half imports nothing of Ray, and keeps everything that lasts: the texts that want vectors lie in its store until they have
them, and whatever is lost on the way is computed again. Ray repeats nothing by itself.
"""

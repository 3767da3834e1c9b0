"""Tests mirror the modules they test."""

import os

# Before numpy and llama.cpp load: threads that spin while they wait cost 15 times the CPU on a busy machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

"""Folders of this machine, watched live."""

"""Actors, mailboxes, supervision, retries and child processes; knows nothing about documents."""

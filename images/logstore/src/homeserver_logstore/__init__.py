"""Manages the Elasticsearch indices of logs and traces: setup, rollover, retention and snapshots.

`python -m homeserver_logstore COMMAND` runs one of the modules in `commands`; `client` is a minimal client
for Elasticsearch, and `audit` writes the audit log.
"""

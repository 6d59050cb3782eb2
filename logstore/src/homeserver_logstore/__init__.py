"""Logs and traces are kept in Elasticsearch; their indices are set up, rolled over, deleted and saved here.

`python -m homeserver_logstore COMMAND` runs one of the modules in `commands`; `client` is as much of
Elasticsearch as they need, and `audit` writes down what they did.
"""

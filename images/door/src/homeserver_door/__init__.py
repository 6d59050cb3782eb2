"""The home's one login, and its start page.

`config` reads the people, clients and pages; nothing else says who may log in. `models` has what is
remembered of a person, `sync` brings the database in line with the file. `hosts` sends a request to the
pages of its host, `sessions` ends what has become too old. `adapters` is what allauth asks. `invitations`,
`recovery`, `accounts` and `provider` are the pages of the login, `start` that of the home. `health` asks
Prometheus, `events` writes down who comes and goes.
"""

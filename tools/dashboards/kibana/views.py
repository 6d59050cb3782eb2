"""The data views: all lines, and those of each source."""

from tools.dashboards.kibana import fields
from tools.dashboards.kibana.objects import PREFIX, data_view

_ONE_REQUEST = (
    f"/app/dashboards#/view/{PREFIX}request"
    "?_a=(query:(language:kuery,query:'trace.id:%22{{value}}%22'))&_g=(time:(from:now-7d,to:now))"
)
# A trace id always links to all lines of its request.
_LINKS = {fields.TRACE: _ONE_REQUEST}

ALL = data_view("logs", "All logs", fields.ALL, _LINKS)
TRAEFIK = data_view("logs-traefik", "Requests through Traefik", fields.TRAEFIK, _LINKS)
APP = data_view("logs-app", "Apps", fields.APP, _LINKS)
KUBERNETES = data_view("logs-kubernetes", "Cluster", fields.KUBERNETES, _LINKS)
HOSTS = data_view("logs-host", "Hosts", fields.HOSTS, _LINKS)
INVALID = data_view("logs-invalid", "Lines that Elasticsearch refused", fields.INVALID, _LINKS)

VIEWS = (ALL, TRAEFIK, APP, KUBERNETES, HOSTS, INVALID)

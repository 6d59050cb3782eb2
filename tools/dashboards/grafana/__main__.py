"""Write the files of all dashboards: python -m tools.dashboards.grafana."""

from tools.dashboards.grafana.catalogue import write

write()

"""Write the file of all Kibana objects: python -m tools.dashboards.kibana."""

from tools.dashboards.kibana.catalogue import write

write()

"""Write the files of all dashboards: python -m dashboards."""

from dashboards.catalogue import write

write()

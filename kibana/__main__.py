"""Write the file of all of Kibana's objects: python -m kibana."""

from kibana.catalogue import write

write()

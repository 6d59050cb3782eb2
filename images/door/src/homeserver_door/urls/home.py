"""The pages of the host of the start page."""

from django.urls import path

from homeserver_door import pages, probes, start

urlpatterns = [
    path("", start.page, name="start"),
    path("manifest.webmanifest", pages.manifest),
    path("static/<path:name>", pages.static),
    path("healthz", probes.alive),
]
handler403, handler404, handler500 = pages.forbidden, pages.missing, pages.broken

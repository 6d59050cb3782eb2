"""Grafana's dashboards as code: one module for each, and what they share in panels, variables and page."""

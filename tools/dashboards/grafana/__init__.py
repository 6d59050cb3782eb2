"""Grafana's dashboards as code: one module for each, and shared panels, variables and page layout."""

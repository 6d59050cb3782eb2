"""Kibana's data views, searches and dashboards as code: one module per dashboard, and shared parts."""

"""Kibana's data views, searches and dashboards as code: a module for each dashboard, and what they share."""

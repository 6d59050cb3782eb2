"""Frees disk space when an alert fires.

`receiver` receives alerts from Alertmanager and starts a Job in the cluster, `kubernetes` is a minimal client
for the Kubernetes API, `cleanup` is the program of the Job on the node whose disk is filling, and `audit`
writes the audit log of both.
"""

"""Something is done about an alert.

`receiver` is told of alerts by Alertmanager and starts a Job in the cluster, `kubernetes` is as much of the
Kubernetes API as that needs, `cleanup` is what the Job runs on the node whose disk is filling, and `audit`
writes down what either did.
"""

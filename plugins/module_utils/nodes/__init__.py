"""What one machine of the home is: its snap, its membership in the cluster, its certificates."""

"""The state of one machine of the home: its snap, its cluster membership, its certificates."""

"""Whether the agent grows: memory, descriptors and threads under constant churn (`make soak`)."""

"""The ServiceNow side: one module per API."""

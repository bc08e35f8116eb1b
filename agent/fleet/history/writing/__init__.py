"""What a commit writes, table by table. Each function works in the transaction of its caller."""

"""What is static, tables and features, and the arrays that belong to it."""

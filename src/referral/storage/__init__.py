"""The database: connections, transactions, tables, and the queries for them."""

"""Where the embedded memory keeps its log, its records and its vectors: protocols, SQLite, and the exact index."""

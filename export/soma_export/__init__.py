"""soma in production: the same functions behind Kafka, Postgres, Qdrant and a graph database."""

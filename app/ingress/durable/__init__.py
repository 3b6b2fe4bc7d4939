"""Records are on Kafka, or in the spool on disk, before a request is answered."""

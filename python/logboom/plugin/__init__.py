"""What dockerd asks of a logging plugin: the documents, the calls, and the stream that ``docker logs`` reads."""

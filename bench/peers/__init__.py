"""The peers: one job in stock Faust, Quix Streams and Kafka Streams, each as its docs advise."""

"""Why one device acted as it did: attributions, gates, one sentence, one value."""

"""Side by side against peers: equal isolation, one interleaved run, ratios only."""

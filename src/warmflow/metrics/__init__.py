"""Features and distances with units: how far samples are from real data, and what they copy or miss."""

"""What the commands do: train, prepare, measure, compare, sample, distill."""

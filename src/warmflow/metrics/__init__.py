"""Distances between samples and real data, the features they are computed on, and measures of copying and missing classes."""

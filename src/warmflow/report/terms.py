"""The terms that a page explains at its end."""

from __future__ import annotations

TERMS = {
    "Baseline, candidate": "The candidate has to be faster than every baseline. Where the answer says equal training, all of "
    "them were trained with the same budget.",
    "Pairs": "Which start is trained towards which training sample: drawn at random (independent), or matched so that the total "
    "distance is least, within each minibatch or over the whole training set.",
    "Control": "The candidate's own recipe, pairing included, from noise in place of the draft. What the candidate gains over it "
    "is due to the draft; what both gain is due to the recipe.",
    "Distance D": "How far samples are from held-out real data. MMD² is the unbiased squared maximum mean discrepancy: 0 for "
    "equal distributions, and its estimate may fall below 0.",
    "n_eq": "The number of real samples that are, on average, as far from the data as these samples. It is infinite where D is "
    "at most 0.",
    "Steps and calls": "Steps are the intervals of a solver. Calls are evaluations of the flow's network for each sample. The "
    "draft's own cost is not in the calls; it is in the seconds.",
    "Time": "Seconds for each sample of a large batch, with everything counted, the draft included.",
    "Near enough to count": "On validation data, n_eq is at least half of the best that any baseline row reaches. Rows of poor "
    "quality are cheap, and their rate says nothing.",
    "Class variation": "Half the sum of the absolute differences between the shares of classes (or clusters) in samples and in "
    "data.",
    "Copying": "How many samples are nearer to the training data than new real data are, at several quantiles.",
}  # fmt: skip

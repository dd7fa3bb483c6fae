"""From samples to a verdict. Knows nothing of recipes, problems or training: generators, ready samples and real data.

study       what was measured, as numbers          real         held-out data, made ready to measure against
curves      distances and bounds                   rows         generators -> rows: choice of solvers, the grid of calls
exchange    the certified exchange rate            targets      fixed targets, gains at equal calls, the start effect
guards      near for the wrong reason?             verdict      five outcomes
sentences   the outcome in words                   planner      how many seeds and samples it takes
paired      samples that answer an input           evaluate     all of it in one call
"""

"""From samples to a verdict, independent of methods, problems and training: generators, ready samples and real data.

study       the measurements, as numbers           real         held-out data, prepared for measuring
curves      distances and bounds                   rows         generators -> rows: choice of solvers, the grid of calls
exchange    the certified exchange rate            targets      fixed targets, gains at equal calls, the start effect
guards      class proportions and copying          verdict      five outcomes
sentences   the outcome in words                   planner      the number of seeds and samples needed
paired      samples that answer an input           evaluate     everything in one call
"""

"""Mutants: each plants one mistake in a copy of the source, and a test must turn red.

    python tests/mutations.py [WORD ...]      all mutants, or those whose name holds one of the words

Two are tried at once, each in a copy of its own.

A mutation is an exact replacement of a string that stands once in its file; if the source has changed so that it does not,
this script (and tests/truths/test_mutations_exist.py) fails loudly. The same tests must first be green on the unchanged copy.
Exits with 1 if a mutant survives.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).parents[1]
C, T, R = "tests/contracts/", "tests/truths/", "tests/references/"

PATHS, SOURCES, COUPLINGS = C + "test_every_path.py", C + "test_every_source.py", C + "test_every_coupling.py"
SOLVING, SOLVERS, FIELDS = C + "test_every_solver.py", T + "test_solvers.py", T + "test_fields.py"
MATCHING, TRAINING, NOISE = T + "test_flow_matching.py", T + "test_training.py", T + "test_noise.py"
TWO = T + "test_processes.py::test_two_processes_equal_one"
RESUME = TRAINING + "::test_a_run_cut_off_and_continued_equals_one_that_was_not"
JUMPS, DISCRETE, TOKENS = T + "test_jump.py", T + "test_discrete_flow_matching.py", C + "test_every_token_class.py"
MIXTURE = "paths/mixture.py"
DISTIL, DISTILLING = "objectives/flow_generator_matching.py", T + "test_flow_generator_matching.py"
PRIOR = T + "test_learned_prior.py"
LABELS, CONDITIONAL = T + "test_labels.py", "tests/cli/test_conditional.py"
NETWORKS = "tests/experiments/test_networks.py"
KID, NEAR, PICTURES = T + "test_kid.py", T + "test_neighbours.py", T + "test_extractors.py"
FINAL = T + "test_final.py"
PAIRING, SEMIDISCRETE = T + "test_pairing.py", T + "test_semidiscrete.py"
CIFAR, DEMAND, SELECTION = T + "test_cifar10.py", T + "test_demand.py", T + "test_selection.py"
ADVERSARIAL, PLAYING, GENERATORS = "objectives/adversarial.py", T + "test_adversarial.py", T + "test_generators.py"
INPUTS, ANSWERS = T + "test_samples.py", T + "test_answers.py"
REAL, MEASURING = T + "test_real_data.py::test_", T + "test_measuring.py::test_"
EXCHANGE, OUTCOMES = T + "evaluation/test_exchange.py", T + "evaluation/test_outcomes.py"
LINEAR, EXACT, LOOP = "paths/linear.py", "fields/exact.py", "training.py"

MUTANTS = [
    # a drift's sign
    (
        "path's velocity turned round",
        LINEAR,
        "velocity = (x1 - x0) / spread(1",
        "velocity = (x0 - x1) / spread(1",
        [PATHS],
    ),
    (
        "conversion to velocity turned round",
        LINEAR,
        "return (x1 - x_t) / spread(",
        "return (x_t - x1) / spread(",
        [PATHS],
    ),
    (
        "conversion to x1 turned round",
        LINEAR,
        "return x_t + spread(1 - doubled(t)",
        "return x_t - spread(1 - doubled(t)",
        [PATHS],
    ),
    (
        "exact mixture turned round",
        EXACT,
        "velocity = m_bar - c_bar + gain",
        "velocity = c_bar - m_bar - gain",
        [SOLVERS],
    ),
    (
        "exact Gaussian's slope turned round",
        EXACT,
        "self.mean0.double() + slope) /",
        "self.mean0.double() - slope) /",
        [SOLVERS],
    ),
    (
        "solver steps backwards",
        "solvers/runge_kutta.py",
        "h = s.double() - state.t",
        "h = state.t - s.double()",
        [SOLVERS],
    ),
    (
        "wrapped clock turned round",
        "fields/wrapped.py",
        'if self.time == "descending" else asked',
        'if self.time == "ascending" else asked',
        [C + "test_every_field.py"],
    ),
    (
        "guidance points away",
        "fields/guided.py",
        "b + self.scale * (a[rows] - b)",
        "b + self.scale * (b - a[rows])",
        [C + "test_every_field.py"],
    ),
    (
        "guided outside its interval",
        "fields/guided.py",
        "(self.interval[0] <= t) & (t <= self.interval[1])",
        "(self.interval[0] <= t) | (t <= self.interval[1])",
        [LABELS],
    ),
    ("guidance ends before its end", "fields/guided.py", "(t <= self.interval[1])", "(t < self.interval[1])", [LABELS]),
    ("drafts of another label", "sources/by_label.py", "(label == value)", "(label == known - 1 - value)", [LABELS]),
    (
        "one draft for all classes",
        "drafts/base.py",
        "rows = (label == value).nonzero().flatten()",
        "rows = (label >= 0).nonzero().flatten()",
        [LABELS],
    ),
    (
        "pairs across labels",
        "methods/pairing.py",
        "return pairing_named(name, within=within, capacity=pairing.capacity)",
        "return pairing_named(name, capacity=pairing.capacity)",
        [LABELS],
    ),
    ("labels never dropped", "methods/flow.py", 'drop = DROP if "label" in shapes else 0.0', "drop = 0.0", [LABELS]),
    ("guidance never asked for", "methods/flow.py", "if t.guidance == 1 else", "if t.guidance > 0 else", [CONDITIONAL]),
    (
        "moments read in another layout",
        LOOP,
        "{k: laid_out(v, p) for k, v in",
        "{k: v for k, v in",
        [NETWORKS],
    ),
    (
        "how fast is part of what was asked",
        "options.py",
        "if runtime or not is_runtime(of, f.name):",
        "if True:",
        [NETWORKS],
    ),
    # the ends of time, and 1/(1 - t0)
    (
        "ends of time swapped",
        LINEAR,
        "return (1 - t) / (1 - t0), (t - t0) / (1 - t0)",
        "return (t - t0) / (1 - t0), (1 - t) / (1 - t0)",
        [PATHS],
    ),
    ("path not re-based", LINEAR, "return (1 - t) / (1 - t0), (t - t0) / (1 - t0)", "return 1 - t, t", [PATHS]),
    (
        "coefficients in float32",
        LINEAR,
        "t, t0 = doubled(t), self.begin(start)",
        "t, t0 = t.float(), self.begin(start).float()",
        [PATHS],
    ),
    (
        "1/(1-t0) dropped from the target",
        LINEAR,
        "velocity = (x1 - x0) / spread(1 - self.begin(pair.start), x1)",
        "velocity = x1 - x0",
        [PATHS],
    ),
    (
        "1/(1-t0) dropped from the exact Gaussian",
        EXACT,
        "slope) / (1 - self.path.begin(start))[:, None]",
        "slope)",
        [FIELDS],
    ),
    (
        "times of training from 0, not t0",
        "objectives/flow_matching.py",
        "t = begin + (1 - begin) * noise",
        "t = begin + 0 * begin + noise",
        [MATCHING],
    ),
    (
        "all rows of a batch at one time",
        "objectives/flow_matching.py",
        'noise.uniform("t").to',
        'noise.uniform("t")[:1].expand(len(begin)).to',
        [MATCHING],
    ),
    # noise
    ("names ignored", "noise.py", "word = mix(self.fold(name).key[:, None]", "word = mix(self.key[:, None]", [NOISE]),
    (
        "blur uses the draft's stream",
        "sources/blurred.py",
        'noise.normal("blur", *self.shape)',
        'noise.fold("draft").normal("noise", *self.shape)',
        [SOURCES],
    ),
    (
        "jitter uses the draft's stream",
        "sources/jittered.py",
        'noise.normal("jitter"',
        'noise.fold("jittered").normal("noise"',
        [SOURCES],
    ),
    ("samples of a batch share a stream", "noise.py", "start + rows * _signed(GOLDEN)", "start + 0 * rows", [NOISE]),
    (
        "a batch begins at sample 0",
        "sampler.py",
        "Noise.of(seed, rows.stop - first, first)",
        "Noise.of(seed, rows.stop - first)",
        [SOLVING],
    ),
    ("every walk's step has the same noise", "sampler.py", "noise=noise.fold(i))", "noise=noise)", [SOLVING]),
    (
        "every training step has the same noise",
        LOOP,
        "Noise.of(seed, batch, step * batch)",
        "Noise.of(seed, batch, 0)",
        [TRAINING],
    ),
    ("rounds of pairs share their starts", "couplings/prepare.py", "found = k * n,", "found = 0,", [COUPLINGS]),
    # calls and the grid
    (
        "Adams-Bashforth forgets",
        "solvers/adams_bashforth.py",
        'memory={"slope": u,',
        'memory={"slope": 0 * u,',
        [SOLVERS],
    ),
    (
        "Adams-Bashforth takes all steps as equally long",
        "solvers/adams_bashforth.py",
        "h * h / (2 *",
        "h / (2 / before *",
        [SOLVERS],
    ),
    (
        "multistep x1 forgets",
        "solvers/multistep_x1.py",
        'memory={"x1": x1, "t": state.t}',
        'memory={"x1": x1, "t": s}',
        [SOLVERS],
    ),
    (
        "multistep x1 without its logarithm",
        "solvers/multistep_x1.py",
        "h + torch.special",
        "h + 0 * torch.special",
        [SOLVERS],
    ),
    ("a spaced grid is even", "solvers/grid.py", "** spacing", "** 1", [SOLVERS]),
    (
        "rows share a memory",
        "solvers/adams_bashforth.py",
        "slope[live], past[live] =",
        "slope[:], past[:] =",
        [SOLVERS],
    ),
    ("Heun evaluates at t = 1", "solvers/heun.py", "inner=HEUN, last=EULER", "inner=HEUN, last=HEUN", [SOLVING]),
    (
        "RK4 evaluates at t = 1",
        "solvers/rk4.py",
        "inner=CLASSICAL, last=RALSTON",
        "inner=CLASSICAL, last=CLASSICAL",
        [SOLVING],
    ),
    ("grid one interval short", "solvers/grid.py", "torch.arange(steps + 1,", "torch.arange(steps,", [SOLVERS]),
    (
        "grid in float32",
        "solvers/grid.py",
        "times = ((steps - i) * begin.double() + i) / steps",
        "times = (((steps - i) * begin.double() + i) / steps).float().double()",
        [
            SOLVERS + "::test_the_cold_grid_is_i_over_n",
            SOLVERS + "::test_the_grid_is_float64_even_and_exact_at_both_ends",
        ],
    ),
    (
        "calls not counted",
        "solvers/runge_kutta.py",
        "calls = calls + estimate.calls",
        "calls = calls + 1 * (len(slopes) == 1)",
        [SOLVERS],
    ),
    ("guidance counts once", "fields/guided.py", "calls[inside] += u.calls", "pass", [SOLVERS]),
    (
        "midpoint asks at the whole step",
        "solvers/midpoint.py",
        "(0.0, 1.0), (0.0, 0.5))",
        "(0.0, 1.0), (0.0, 0.9))",
        [SOLVERS, R + "test_torchdiffeq.py"],
    ),
    # couplings
    (
        "pairs with replacement",
        "couplings/assignment.py",
        "torch.as_tensor(linear_sum_assignment(cost.numpy())[1])",
        "cost.argmin(1)",
        [COUPLINGS],
    ),
    (
        "the worst assignment",
        "couplings/assignment.py",
        ".mul_(-2)",
        ".mul_(2)",
        [R + "test_assignment.py"],
    ),
    (
        "prices of rows on the wrong side",
        "couplings/assignment.py",
        "(heat * rows.double()[:, None]).to(cost.dtype)",
        "(heat * rows.double()[:, None]).to(cost.dtype) * cost",
        [PAIRING],
    ),
    ("starts of all labels mixed", "couplings/base.py", '"label" in source.takes and', "False and", [COUPLINGS]),
    (
        "costs left in pixels",
        "couplings/assignment.py",
        "place(start, self.space).cpu(), seen(batch.x1, self.space).cpu()",
        "place(start).cpu(), seen(batch.x1).cpu()",
        [PAIRING],
    ),
    (
        "the last components for the first",
        "couplings/principal.py",
        "vectors[:, -k:].flip(1)",
        "vectors[:, :k]",
        [PAIRING],
    ),
    ("room for one more", "couplings/stable.py", "place >= room[datum]", "place > room[datum]", [PAIRING]),
    ("a bonus that costs", "couplings/stable.py", "- bonus.to(x1)", "+ bonus.to(x1)", [PAIRING, SEMIDISCRETE]),
    ("a pass forgets the one before", "couplings/refine.py", "new = old[assign(", "new = near[assign(", [PAIRING]),
    (
        "a pass keeps the dearer pairs",
        "couplings/refine.py",
        "if _cost(x0[new], x1[near]) < _cost",
        "if _cost(x0[new], x1[near]) > _cost",
        [PAIRING],
    ),
    (
        "passes across classes",
        "couplings/prepare.py",
        "rows, groups, block=block",
        "rows, None, block=block",
        [PAIRING],
    ),
    (
        "blocks of mixed classes",
        "couplings/prepare.py",
        "members = order[groups[order] == group]",
        "members = order[groups.sort().values == group]",
        [PAIRING],
    ),
    ("passes over other pairs kept", "couplings/prepare.py", "stale.unlink()", "stale.exists()", [PAIRING]),
    (
        "masses driven apart",
        "couplings/semidiscrete.py",
        "(1 - used / (batch * shares))",
        "(used / (batch * shares) - 1)",
        [SEMIDISCRETE],
    ),
    (
        "starts moved back without their dual",
        "couplings/semidiscrete.py",
        "g = g - 2 * (y @ apart)",
        "g = g + 2 * (y @ apart)",
        [SEMIDISCRETE],
    ),
    (
        "a datum used twice as often as allowed",
        "couplings/semidiscrete.py",
        "(self.most * n * shares",
        "(2 * self.most * n * shares",
        [SEMIDISCRETE],
    ),
    (
        "drafts left behind",
        "couplings/base.py",
        "moved = start[rows.to(start.x0.device)]",
        "moved = Start(start.x0[rows], start.condition)",
        [COUPLINGS],
    ),
    (
        "paired by the blurred start",
        "couplings/base.py",
        'start.condition.get("draft", start.x0)',
        "start.x0",
        [COUPLINGS],
    ),
    (
        "the field sees the blur",
        "sources/blurred.py",
        'draft = given["draft"]\n',
        'draft = given["draft"]\n        given["draft"] = draft + self.sigma * noise.normal("blur", *self.shape)\n',
        [SOURCES],
    ),
    ("given drafts are not blurred", "couplings/given.py", "x0=fresh.x0", "x0=draft", [COUPLINGS]),
    # training
    ("averaged weights off", LOOP, "blend(self.averaged, self.weights, None)", "pass", [TRAINING]),
    (
        "averaged weights lag a step",
        LOOP,
        "decay = min(self.player.ema, (1 + self.updates) / (10 + self.updates))",
        "decay = min(self.player.ema, self.updates / (9 + self.updates))",
        [TRAINING],
    ),
    ("optimiser not restored", LOOP, "self.optimiser.load_state_dict(state)", "pass", [RESUME]),
    ("average not restored", LOOP, 'self.average.load_state_dict(part(f"{name}.average."))', "pass", [RESUME]),
    (
        "resumes a step late",
        LOOP,
        'self.first, self.spent, self.loss = facts["step"]',
        'self.first, self.spent, self.loss = 1 + facts["step"]',
        [RESUME],
    ),
    ("log not trimmed", LOOP, '["step"] <= step:', '["step"] <= step + 99:', [RESUME]),
    (
        "divergence goes unseen",
        LOOP,
        "if not (math.isfinite(value) and math.isfinite(float(norm))):",
        "if False:",
        [TRAINING],
    ),
    # processes
    (
        "each process takes the same rows",
        LOOP,
        "slice(accelerator.process_index, None, accelerator.num_processes)",
        "slice(0, None, accelerator.num_processes)",
        [TWO],
    ),
    (
        "rows not divided by rank",
        LOOP,
        "slice(accelerator.process_index, None, accelerator.num_processes)",
        "slice(None)",
        [TWO],
    ),
    (
        "each process pairs its own half",
        LOOP,
        "objective.pair(data[rows.of(step)], noise=noise)[mine]",
        "objective.pair(data[rows.of(step)][mine], noise=noise[mine])",
        [TWO],
    ),
    ("gradients not averaged", LOOP, "    _average_gradients(accelerator, trainer.weights)", "    pass", [TWO]),
    ("averages count everyone's updates", LOOP, "decay if self.updates else 0.0", "decay if step else 0.0", [TRAINING]),
    (
        "pairs of another draft reused",
        "couplings/prepare.py",
        '"source": f"{type(source).__name__} {_source_digest(data, source)}"',
        '"source": type(source).__name__',
        [COUPLINGS],
    ),
    # tokens
    ("chance to fire of a step alone", MIXTURE, "chance = (s - t) / (1 - t)", "chance = s - t", [JUMPS]),
    (
        "the small-step rule",
        MIXTURE,
        "chance = (s - t) / (1 - t)",
        "chance = 1 - torch.exp(-(s - t) / (1 - t))",
        [JUMPS],
    ),
    (
        "chances to fire not taken from where the walk is",
        MIXTURE,
        "(self.kappa(s) - before) / (1 - before)",
        "self.kappa(s) - before",
        [JUMPS],
    ),
    ("the path's share at another time", MIXTURE, "uniform < chance.reshape", "uniform > chance.reshape", [TOKENS]),
    ("power dropped from the rate", MIXTURE, "slope = self.power * u", "slope = u", [TOKENS]),
    (
        "what has jumped fires again",
        "solvers/jump.py",
        "fires &= ~path.settled(x, state.start).to(fires.device)",
        "pass",
        [JUMPS],
    ),
    ("draws reuse the noise of firing", "solvers/jump.py", 'noise.uniform("token"', 'noise.uniform("fires"', [JUMPS]),
    (
        "draws in single precision",
        "solvers/jump.py",
        "torch.softmax(doubled(logits), 1)",
        "torch.softmax(logits.float(), 1)",
        [JUMPS],
    ),
    (
        "every row is charged",
        "solvers/jump.py",
        "torch.zeros_like(calls).masked_scatter(rows.to(x.device), estimate.calls)",
        "torch.ones_like(calls)",
        [JUMPS],
    ),
    (
        "the weight of the bound dropped",
        "objectives/discrete_flow_matching.py",
        "each * like(path.rate(t), chance)[rows]",
        "each * like(path.rate(t * 0), chance)[rows]",
        [DISCRETE],
    ),
    (
        "learning where nothing can change",
        "objectives/discrete_flow_matching.py",
        "open_ = ~path.settled(x_t, start)",
        "open_ = x_t == x_t",
        [DISCRETE],
    ),
    ("backward messages dropped", "fields/exact_tokens.py", "chance = forward * backward", "chance = forward", [JUMPS]),
    (
        "chosen positions turned by their number",
        "networks/transformer.py",
        "(cos[only][:, None], sin[only][:, None])",
        "(cos[: only.shape[1]], sin[: only.shape[1]])",
        [TOKENS],
    ),
    (
        "discounts dropped from n-grams",
        "sources/ngram.py",
        "counts - taken + taken.sum",
        "counts + taken.sum",
        [TOKENS],
    ),
    # checkpoints
    (
        "any class may be built",
        "strangers.py",
        "issubclass(kind, parts) and not inspect.isabstract(kind)",
        "True",
        [C + "test_config.py"],
    ),
    # networks for images, paired problems
    (
        "attention without its scale",
        "networks/unet.py",
        "scaled_dot_product_attention(q, k, v)",
        "scaled_dot_product_attention(q, k, v, scale=1.0)",
        [T + "test_unet.py"],
    ),
    (
        "rows and columns of a patch exchanged",
        "networks/dit.py",
        "seen, side).flatten(2).transpose(1, 2)",
        "seen.transpose(2, 3), side).flatten(2).transpose(1, 2)",
        [T + "test_dit.py"],
    ),
    ("one axis known twice", "networks/dit.py", "c.sin(), c.cos()]", "r.sin(), r.cos()]", [T + "test_dit.py"]),
    (
        "sigma without the latent's spread",
        "networks/low_pass.py",
        "z = mean + log_spread.exp() *",
        "z = mean + 0 *",
        [T + "test_low_pass.py"],
    ),
    (
        "the mean's own variance forgotten",
        "metrics/restoration.py",
        "/ (1 + 1 / len(many))",
        "",
        [T + "test_paired.py"],
    ),
    (
        "a free regression",
        "sources/restored.py",
        "calls=torch.ones(n, dtype=torch.int64)",
        "calls=None",
        [T + "test_paired.py"],
    ),
    ("one noise for all parts", "data/paired.py", "seed + k", "seed", [T + "test_paired.py"]),
    (
        "the nearest of the first tile alone",
        "metrics/distances.py",
        "range(0, len(train), width)",
        "range(0, width, width)",
        [T + "test_metrics.py"],
    ),
    # learned priors and distillation
    (
        "a student's own start on the path",
        DISTIL,
        'noise=noise.fold("interpolant")).start',
        "noise=noise).start if False else start",
        [DISTILLING],
    ),
    (
        "the student's direction turned round",
        DISTIL,
        "d = teacher - online",
        "d = online - teacher",
        [DISTILLING],
    ),
    ("alpha counted once", DISTIL, "-2 * alpha * d.square()", "-alpha * d.square()", [DISTILLING]),
    (
        "the online flow's gradient into the student",
        DISTIL,
        """        with torch.no_grad():
            x1 = self.generated(pair.start)
        if""",
        """        x1 = self.generated(pair.start)
        if""",
        [DISTILLING],
    ),
    (
        "the student's turn first",
        DISTIL,
        "== self.online_updates else",
        "== 0 else",
        [DISTILLING],
    ),
    (
        "a fresh draft for the path",
        DISTIL,
        "known = Batch(x1.detach(), dict(start.condition))",
        'known = Batch(x1.detach(), {k: v for k, v in start.condition.items() if k != "draft"})',
        [DISTILLING],
    ),
    (
        "the spread's sign in the likelihood",
        "objectives/variance_guided.py",
        "(y - mean).square() * (-log_variance).exp()",
        "(y - mean).square() * log_variance.exp()",
        [PRIOR],
    ),
    (
        "the latent's divergence without its spread",
        "objectives/variance_guided.py",
        "- 1 - 2 * log_spread)",
        "- 1)",
        [PRIOR],
    ),
    (
        "weights of sigma, not of its square",
        "objectives/flow_matching.py",
        "(-2 * log_sigma).exp()",
        "(-log_sigma).exp()",
        [PRIOR],
    ),
    ("variance for deviation in the prior", "sources/learned_prior.py", "log_variance / 2", "log_variance", [PRIOR]),
    (
        "a latent that is encoded without noise",
        "couplings/encoded.py",
        "log_spread.exp() * noise",
        "0 * noise",
        [PRIOR],
    ),
    (
        "a hard clamp",
        "networks/auxiliary.py",
        "F.softplus(below - self.low)",
        "(below - self.low).clamp(min=0)",
        [PRIOR],
    ),
    (
        "reflow's starts drawn again",
        "couplings/walked.py",
        "return Pair(start, self",
        'return Pair(starts(batch, source, noise=noise.fold("again")), self',
        [T + "test_reflow.py"],
    ),
    # trained drafts and pipelines
    (
        "a generator whose loss saturates",
        ADVERSARIAL,
        "F.softplus(-self.discriminator(self.generator(pair.start.x0)))",
        "-F.softplus(self.discriminator(self.generator(pair.start.x0)))",
        [PLAYING],
    ),
    ("a penalty of fewer rows", ADVERSARIAL, ".sum(1) / self.share", ".sum(1)", [PLAYING]),
    (
        "the penalty where images are generated",
        ADVERSARIAL,
        "self.slopes(pair.x1,",
        "self.slopes(generated,",
        [PLAYING],
    ),
    (
        "the discriminator's gradient into the generator",
        ADVERSARIAL,
        """        with torch.no_grad():
            generated = self.generator(pair.start.x0)
""",
        """        generated = self.generator(pair.start.x0)
""",
        [PLAYING],
    ),
    ("the generator moves first", ADVERSARIAL, "% (k + 1) == k else", "% (k + 1) == 0 else", [PLAYING]),
    ("norms over the batch", "networks/dcgan.py", "nn.GroupNorm(GROUPS, c)", "nn.BatchNorm2d(c)", [PLAYING]),
    (
        "latents of N(0, I) whatever the encoder says",
        "drafts/generators.py",
        "if some else StandardNormal",
        "if some < 0 else StandardNormal",
        [GENERATORS],
    ),
    (
        "a bound without its weight on the latent",
        "objectives/variance_guided.py",
        "+ weight * kl.sum(1)",
        "+ weight * kl.mean(1)",
        [GENERATORS],
    ),
    (
        "one generator for all pictures",
        "sources/pipeline.py",
        "manual_seed(seed) for seed in",
        "manual_seed(seeds[at]) for seed in",
        [SOURCES],
    ),
    ("pictures left in [0, 1]", "sources/pipeline.py", "(2 * images - 1)", "(1 * images)", [T + "test_pipeline.py"]),
    (
        "pictures of a pipeline shrunk with aliases",
        "sources/pipeline.py",
        "antialias=True",
        "antialias=False",
        [T + "test_pipeline.py"],
    ),
    (
        "a draft's earlier sittings off the bill",
        "methods/parts.py",
        "max(clock() - began, trained_seconds(place.folder))",
        "clock() - began",
        ["tests/experiments/test_drafts.py::test_a_comparison_from_a_trained_draft"],
    ),
    (
        "a trained draft that is not read again",
        "drafts/trained.py",
        "part = again(where)",
        "part = None",
        [GENERATORS],
    ),
    (
        "the audit's cold flows without the assigned one",
        "experiments/audit.py",
        "for name, series in whole.items()",
        "for name, series in {}.items()",
        [T + "test_prospect.py"],
    ),
    (
        "one draft for every training seed",
        "methods/parts.py",
        "return Place(folder, self.seed, self.progress)",
        "return Place(folder, 0, self.progress)",
        ["tests/experiments/test_parts.py"],
    ),
    (
        "the same pairs for every training seed",
        "methods/parts.py",
        "seed=self.seed, progress=tell,\n                )",
        "seed=0, progress=tell,\n                )",
        ["tests/experiments/test_parts.py"],
    ),
    (
        "the control from the draft itself",
        "methods/warm_start.py",
        'control = changed(self, {"draft": NoDraft(),',
        "control = changed(self, {",
        ["tests/experiments/test_parts.py"],
    ),
    (
        "the whole-set cold flow paired online",
        "methods/pairing.py",
        'WHILE_TRAINING = ("independent", "minibatch")',
        'WHILE_TRAINING = ("independent", "minibatch", "whole-set")',
        ["tests/experiments/test_parts.py"],
    ),
    # what is the same data, and what is told of it
    (
        "other inputs of the same images are the same data",
        "experiments/run.py",
        "for part in (train, data.apart) if INPUT in part.condition",
        "for part in () if INPUT in part.condition",
        ["tests/experiments/test_restoration.py::test_other_inputs_of_the_same_images_are_other_data"],
    ),
    (
        "drafts of one class alone are billed",
        "methods/parts.py",
        'folder.rglob("config.json")',
        'folder.glob("config.json")',
        ["tests/experiments/test_drafts.py::test_the_drafts_of_all_classes_are_billed"],
    ),
    (
        "minutes without the sampling",
        "experiments/budget.py",
        '"measuring": seeds * share',
        '"measuring": 0 * share',
        ["tests/experiments/test_budget.py::test_every_stage_counts"],
    ),
    (
        "a dry run without labels",
        "methods/warm_start.py",
        "StartOfFlow(train.x1, train.condition)",
        "StartOfFlow(train.x1)",
        ["tests/cli/test_conditional.py::test_a_dry_run_of_flows_with_labels"],
    ),
    (
        "a capacity that nobody keeps",
        "couplings/named.py",
        "NearestDatum(capacity or None)",
        "NearestDatum()",
        [T + "test_pairing.py::test_a_capacity_is_an_option"],
    ),
    # the verdict, version 2
    (
        "a guard that fails on doubt",
        "evaluation/guards.py",
        'Guard("copying", low <= limit,',
        'Guard("copying", float(ours.mean()) <= limit,',
        [REAL + "a_guard_has_to_be_sure_and_is_one_sided"],
    ),
    (
        "copies of the baseline forbidden to the candidate",
        "evaluation/guards.py",
        "limit = max(q, float(theirs.mean()) if len(theirs) else 0.0) + COPYING_SLACK",
        "limit = q + COPYING_SLACK",
        [REAL + "a_guard_has_to_be_sure_and_is_one_sided"],
    ),
    (
        "copying without the noise of real data",
        "evaluation/guards.py",
        "low = share - z * math.hypot(math.sqrt(share * (1 - share) / n), noise)",
        "low = share - z * math.sqrt(share * (1 - share) / n)",
        [REAL + "a_guard_has_to_be_sure_and_is_one_sided"],
    ),
    (
        "classes of the baseline forbidden to the candidate",
        "evaluation/guards.py",
        "limit = max(real.variation_limit, (float(theirs.mean()) if len(theirs) else 0.0) + allowed)",
        "limit = real.variation_limit",
        [REAL + "the_limit_of_variation_is_what_sampling_gives"],
    ),
    (
        "a limit of variation that half of the truth passes",
        "metrics/variation.py",
        "np.quantile(values, 0.95)",
        "np.quantile(values, 0.5)",
        [REAL + "the_limit_of_variation_is_what_sampling_gives"],
    ),
    (
        "choices made on the samples of the verdict",
        "evaluation/real.py",
        "tested, chosen = x[: len(x) - last], x[len(x) - last :]",
        "tested, chosen = x, x",
        [REAL + "samples_for_the_choice_do_not_enter_the_verdict_and_the_other_way_round"],
    ),
    (
        "the test set chooses",
        "evaluation/real.py",
        "chosen.against(chosen.features(x), self.validation[metric])",
        "chosen.against(chosen.features(x), self.test[metric])",
        [MEASURING + "a_test_set_of_garbage_changes_no_choice_and_a_validation_set_does"],
    ),
    (
        "validation rows in the test set",
        "data/given.py",
        "return real[order[third:]], real[order[:third]]",
        "return real[order[third // 2 :]], real[order[:third]]",
        [REAL + "halves_are_disjoint_and_together_whole"],
    ),
    (
        "a test set that has no name",
        "evaluation/real.py",
        "digest=_digest(test, validation,",
        "digest=_digest(validation,",
        [REAL + "sets_are_named_by_their_values"],
    ),
    (
        "answers measured against their own truths",
        "evaluation/paired.py",
        "return torch.cat([self.validation.inputs[chosen], self.test.inputs[tested]])",
        "return torch.cat([self.test.inputs[chosen], self.test.inputs[tested]])",
        [REAL + "restorations_are_measured_as_pairs_and_by_a_proper_score"],
    ),
    (
        "class folders in one quarter of ready samples",
        "data/ready.py",
        'return x[permutation(0, len(x), "rows")[:n]]',
        "return x[:n]",
        [INPUTS + "::test_ready_samples_that_are_sorted_by_class_are_measured_as_shuffled_ones"],
    ),
    (
        "numbers of calls that a baseline leaves out are no doubt",
        "evaluation/exchange.py",
        "return np.array(sorted({*missing, *gaps}))",
        "return np.empty(0)",
        [EXCHANGE],
    ),
    (
        "wide gaps are no doubt",
        "evaluation/exchange.py",
        "return np.array(sorted({*missing, *gaps}))",
        "return np.array(sorted(missing))",
        [EXCHANGE],
    ),
    (
        "a row that no baseline reaches is worth more than any other",
        "evaluation/exchange.py",
        "key=lambda e: (e.certified, -e.calls)",
        "key=lambda e: (e.rate, -e.calls)",
        [EXCHANGE],
    ),
    (
        "the freedom of the whole variance",
        "evaluation/curves.py",
        "np.sqrt(stdtrit(self.freedom, level) ** 2 * self.training + ndtri(level) ** 2 * self.real)",
        "stdtrit(self.whole_freedom, level) * self.error",
        ["tests/truths/evaluation/test_curves.py"],
    ),
    (
        "no faster between two rungs",
        "evaluation/verdict.py",
        "if _no_faster(targets) and _as_good(candidate, baselines, found, rules):",
        "if _no_faster(targets):",
        [OUTCOMES],
    ),
    (
        "the inputs that were asked are no noise",
        "evaluation/paired.py",
        "replicates[metric.name] + moved - measure.distance[metric.name]",
        "replicates[metric.name]",
        ["tests/truths/test_asked_inputs.py"],
    ),
    (
        "copies of one seed hidden by the others",
        "evaluation/guards.py",
        "low = max(low, lowest)",
        "low = low",
        ["tests/truths/evaluation/test_cheats.py::test_one_seed_that_copies_is_caught"],
    ),
    (
        "near copies of the held-out data",
        "data/checks.py",
        "if share - SURE * noise**0.5 > MOST_NEAR:",
        "if share > 1:",
        ["tests/truths/evaluation/test_cheats.py::test_near_copies_of_the_held_out_data_are_an_error"],
    ),
    (
        "a gap in the grid is a claim",
        "evaluation/exchange.py",
        "return min(found, calls if last < calls - 1e-9 else math.floor(last + 1e-9) + 1.0)",
        "return found",
        [EXCHANGE],
    ),
    (
        "useful by the test set",
        "evaluation/exchange.py",
        "candidate.validation[metric] <= limit",
        "candidate.mean(metric) <= limit",
        [EXCHANGE],
    ),
    (
        "quoted though another metric is worse",
        "evaluation/exchange.py",
        "if e.useful and not e.worse_on and",
        "if e.useful and",
        [EXCHANGE],
    ),
    (
        "rows that do not share the error",
        "evaluation/exchange.py",
        "errors = {metric: row_error(candidate, pairs, metric, each) for metric in metrics}",
        "errors = dict.fromkeys(metrics, each)",
        [EXCHANGE],
    ),
    (
        "metrics that do not share the error",
        "evaluation/exchange.py",
        "each = rules.error / len(metrics)",
        "each = rules.error",
        [T + "test_shared_error.py"],
    ),
    (
        "the weakest baseline counts",
        "evaluation/exchange.py",
        "found = min(_first_doubt(",
        "found = max(_first_doubt(",
        [EXCHANGE],
    ),
    (
        "candidates that do not share the error",
        "evaluation/verdict.py",
        "error=rules.error / len(candidates)",
        "error=rules.error",
        [OUTCOMES],
    ),
    (
        "no faster by an estimate",
        "evaluation/verdict.py",
        "t.baseline_certain <= t.candidate_possible",
        "t.baseline_certain <= t.candidate_calls",
        [OUTCOMES],
    ),
    (
        "a baseline without the candidate's solver",
        "evaluation/verdict.py",
        "if not solvers_tried(study, method):",
        "if False:",
        [OUTCOMES],
    ),
    (
        "the draft credited against another metric",
        "evaluation/verdict.py",
        " and not any(high < 0 for _, _, high in bands):",
        ":",
        [OUTCOMES],
    ),
    (
        "one seed makes a claim",
        "evaluation/verdict.py",
        "if candidate.seeds < 2:",
        "if candidate.seeds < 1:",
        [OUTCOMES],
    ),
    (
        "credit for what is not faster",
        "evaluation/sentences.py",
        " or e is None or verdict.outcome is not Outcome.FASTER:",
        " or e is None:",
        [OUTCOMES],
    ),
    (
        "a bound said as a number",
        "evaluation/sentences.py",
        "needs at least {calls(e.baseline_calls)}",
        "needs {calls(e.baseline_calls)}",
        [OUTCOMES],
    ),
    (
        "the worst solver is chosen",
        "evaluation/rows.py",
        "return min(found, key=lambda s: (score(s, useful), score(s, both)))",
        "return max(found, key=lambda s: (score(s, useful), score(s, both)))",
        [MEASURING + "the_solver_of_the_lowest_distance_is_chosen_on_the_validation_set"],
    ),
    (
        "solvers chosen on the samples of the rows",
        "evaluation/rows.py",
        "CHOICE_SEED - seed",
        "seed",
        [MEASURING + "a_choice_is_made_on_samples_that_no_row_has"],
    ),
    (
        "solvers told apart by noise",
        "evaluation/rows.py",
        "math.log(max(d, floors[m]))",
        "math.log(max(d, 1e-12))",
        [MEASURING + "distances_within_the_noise_of_the_validation_set_are_not_told_apart"],
    ),
    (
        "rows timed in one order",
        "evaluation/rows.py",
        "for j in generator.permutation(len(jobs)):",
        "for j in range(len(jobs)):",
        [MEASURING + "seconds_are_of_rounds_in_which_every_row_is_timed_once"],
    ),
    (
        "rows of other data are taken",
        "experiments/measure.py",
        '"real": real.fixed, ',
        "",
        [MEASURING + "rows_measured_against_other_data_are_not_taken"],
    ),
    (
        "the row of seed -1 is that of seed 1",
        "experiments/measure.py",
        'r"[^A-Za-z0-9.]", "_"',
        'r"[^A-Za-z0-9.]+", "_"',
        [MEASURING + "a_row_is_found_by_its_own_name_alone"],
    ),
    (
        "a step is a call of any solver",
        "experiments/measure.py",
        "return (steps - 1) * solver.calls_per_step + solver.calls_last_step",
        "return steps",
        [MEASURING + "heun_costs_two_calls_a_step_and_one_for_the_last"],
    ),
    (
        "a row that is half kept",
        "experiments/measure.py",
        'if not (place / "row.json").exists():',
        "if not place.exists():",
        [MEASURING + "a_row_without_its_last_file_is_measured_again"],
    ),
    # metrics of images
    (
        "the kernel distance with pairs of a row and itself",
        "metrics/kid.py",
        "(_kernel_sum(x, x) - _own_diagonal(x))",
        "_kernel_sum(x, x)",
        [KID],
    ),
    (
        "an interval of the standard deviation over n",
        "metrics/kid.py",
        "float(values.std()) / n**0.5",
        "float(values.std()) / n",
        [KID],
    ),
    (
        "subsets of the kernel distance share their rows",
        "metrics/kid.py",
        "(x[: n // size * size].split(size) for x in dealt)",
        "([x[: 2 * size][k : k + size] for k in range(n // size)] for x in dealt)",
        [KID],
    ),
    (
        "a row is its own nearest neighbour",
        "metrics/neighbours.py",
        "[:, list(k)]",
        "[:, [each - 1 for each in k]]",
        [NEAR],
    ),
    ("rims left to rounding", "metrics/neighbours.py", "RIM = 1e-12", "RIM = 0.0", [NEAR]),
    (
        "recall by the balls of real rows",
        "metrics/neighbours.py",
        "found |= (block <= reach[rows, None]).any(0)",
        "found |= (block <= narrow).any(0)",
        [NEAR],
    ),
    ("images shrunk with aliases", "metrics/extractors/base.py", "antialias=True", "antialias=False", [PICTURES]),
    (
        "padding as torch does it",
        "metrics/extractors/efficientnet.py",
        "return total // 2, total - total // 2",
        "return kernel // 2, kernel // 2",
        [PICTURES],
    ),
    (
        "pictures in another range",
        "metrics/extractors/efficientnet.py",
        "(255 * x - 127) / 128",
        "(255 * x - 127.5) / 127.5",
        [PICTURES],
    ),
    (
        "features kept whatever the weights",
        "feature_cache.py",
        "extractor.name, extractor.digest, __version__)",
        "extractor.name, __version__)",
        [FINAL],
    ),
    (
        "arms of other sizes in one table",
        "image_table.py",
        "if x.shape != real.shape:",
        "if x.shape[1:] != real.shape[1:]:",
        [FINAL],
    ),
    # samples from files
    (
        "files by the letters of their names",
        "data/sample_files.py",
        ", key=natural)",
        ")",
        [INPUTS],
    ),
    (
        "class folders one after the other",
        "data/sample_files.py",
        "((i + 0.5) / len(names), k, name)",
        "(0.0 * i, k, name)",
        [INPUTS],
    ),
    (
        "a range that is not asked about",
        "data/samples.py",
        "lightest > NO_DARK",
        "lightest >= 0",
        [INPUTS],
    ),
    (
        "a copy hidden by rounding",
        "data/checks.py",
        "return x.ndim == 4 and x.is_floating_point() and 0.5 < float(x.abs().max()) <= IN_RANGE",
        "return False",
        [INPUTS],
    ),
    (
        "one method clipped",
        "data/checks.py",
        "beyond[0] > end + BEYOND * span",
        "beyond[0] > end + 10 * span",
        [INPUTS],
    ),
    (
        "clipping looked for in numbers alone",
        "evaluation/evaluate.py",
        "if clip is None and real.is_floating_point():",
        "if clip is not None and real.is_floating_point():",
        [INPUTS],
    ),
    (
        "seeds counted anew",
        "data/ready.py",
        "return dict(sorted((int(k), one) for k, one in given.items()))",
        "return dict(enumerate(given.values()))",
        [INPUTS],
    ),
    (
        "answers in the order of rows",
        "data/ready.py",
        "torch.tensor([self.rows[key] for key in _row_keys(inputs)])",
        "torch.arange(len(inputs))",
        [ANSWERS],
    ),
    (
        "every draw the first",
        "data/ready.py",
        "x[seed % len(x)]",
        "x[0 * seed]",
        [ANSWERS],
    ),
    (
        "an input asked twice",
        "data/ready.py",
        "4 * validation // 3",
        "4 * validation // 2",
        [ANSWERS],
    ),
    # data
    (
        "a grid of images read by columns",
        "data/cifar10.py",
        "cells.permute(0, 2, 4, 1, 3)",
        "cells.permute(2, 0, 4, 1, 3)",
        [CIFAR],
    ),
    (
        "captions in the order of the part",
        "data/__init__.py",
        "self.captions[row] for row in self.rows[part].tolist()",
        "self.captions[row] for row in range(len(self.rows[part]))",
        [T + "test_emoji.py"],
    ),
    (
        "rows read on demand come in rising order",
        "data/demand.py",
        "self.read(there)[back]",
        "self.read(there)[back.sort().values]",
        [DEMAND],
    ),
    (
        "a flow whose pairs are made while training reads only the rows in memory",
        "methods/pairing.py",
        "return coupling, setup.train\n",
        "return coupling, setup.data.train\n",
        [DEMAND],
    ),
    (
        "pruning keeps the worst",
        "data/selection.py",
        "argsort(descending=True, stable=True)\n    kept",
        "argsort(descending=False, stable=True)\n    kept",
        [SELECTION],
    ),
    (
        "pruned rows point at others of the array",
        "data/selection.py",
        'numbers["train"] = numbers["train"][rows]',
        'numbers["train"] = numbers["train"][: len(rows)]',
        [SELECTION],
    ),
    (
        "a row of a class drawn twice as often",
        "data/selection.py",
        "[: int(counts[k]) % len(mine)]]] += 1",
        "[: int(counts[k]) % len(mine) // 2]]] += 2",
        [SELECTION],
    ),
]


def mutated(text: str, old: str, new: str, where: str) -> str:
    """The text with its one occurrence of ``old`` replaced."""
    if text.count(old) != 1:
        raise SystemExit(f"{where} holds {old!r} {text.count(old)} times, not once: mend tests/mutations.py")
    return text.replace(old, new)


def tests(source: Path, which: list[str]) -> tuple[int, str]:
    """pytest's exit code and its last line, on the package below ``source``."""
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=no", "-p", "no:cacheprovider", *DESELECTED, *which]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    failed = [
        line.split(" - ")[0].rsplit("::", 1)[-1] for line in done.stdout.splitlines() if line.startswith("FAILED")
    ]
    lines = done.stdout.strip().splitlines()
    return done.returncode, failed[0] if failed else (lines[-1] if lines else done.stderr[-200:])


DESELECTED: list[str] = []
"""Tests that are red on the unchanged source are left out, and named: what they say of a mutant is nothing."""


def baseline(source: Path, mutants: list) -> None:
    which = sorted({t.split("::")[0] for m in mutants for t in m[4] if not t.startswith(TWO)})
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", *which]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    if done.returncode not in (0, 1):
        raise SystemExit(f"the tests do not run on the unchanged source:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    for line in done.stdout.splitlines():
        if line.startswith("FAILED"):
            test = line.removeprefix("FAILED ").split(" - ")[0]
            DESELECTED.extend(["--deselect", test])
            print(f"red before any mutation, left out: {test}", flush=True)


def copied(here: str, k: int) -> Path:
    source = Path(here) / str(k) / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return source


def judged(mutant: tuple, copies: "SimpleQueue[Path]") -> bool:
    """Plants the mutant in a free copy, runs its tests, prints a line; true if it turned one red."""
    name, file, old, new, which = mutant
    source = copies.get()
    path = source / "warmflow" / file
    text = path.read_text()
    path.write_text(mutated(text, old, new, file))
    code, said = tests(source, which)
    path.write_text(text)
    copies.put(source)
    verdict = "red" if code == 1 else "SURVIVED" if code == 0 else f"pytest exit {code}"
    print(f"{name:45s} {verdict:9s} {said[:90]}", flush=True)
    return code == 1


def main(words: list[str]) -> int:
    mutants = [m for m in MUTANTS if not words or any(w in m[0] for w in words)]
    began, copies = time.perf_counter(), SimpleQueue()
    with tempfile.TemporaryDirectory() as here:
        source = copied(here, 0)
        environment = {**os.environ, "PYTHONPATH": str(source)}
        found = [sys.executable, "-c", "import warmflow; print(warmflow.__file__)"]
        where = subprocess.run(found, capture_output=True, text=True, env=environment, check=True, cwd=here)
        assert where.stdout.startswith(str(source)), "the copy is not what is imported"
        baseline(source, mutants)
        if any(TWO in m[4] for m in mutants):
            code, said = tests(source, [TWO])
            assert code == 0, f"{TWO} is red before any mutation: {said}"
        copies.put(source)
        copies.put(copied(here, 1))
        with ThreadPoolExecutor(2) as pool:
            red = list(pool.map(lambda mutant: judged(mutant, copies), mutants))
    print(f"{len(mutants)} mutants, {len(mutants) - sum(red)} survived, {time.perf_counter() - began:.0f} s")
    return not all(red)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
